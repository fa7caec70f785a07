"""Every preset is emitted as one module a distinct component, without a warning."""

import pytest

from ageha.gen.generate import TOP, generate
from ageha.hw.accelerator import Accelerator
from ageha.hw.config import PRESETS
from ageha.verif.verilator import lint

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("base", "large")]


@pytest.mark.parametrize("name", ["tiny", "ecp5", *SLOW])
def test_preset(name, tmp_path):
    config = PRESETS[name]
    content = generate(config, Accelerator(config), tmp_path)
    elements = config.array.rows * config.array.columns
    assert content["modules"]["processing_element"] == elements
    assert not any(module.startswith("processing_element_") for module in content["modules"])
    assert {"name": "m_axi_awaddr", "direction": "output", "width": config.axi.address_width} in (
        content["ports"]
    )
    lint([tmp_path / f"{TOP}.v", tmp_path / "lint.vlt"], TOP)
