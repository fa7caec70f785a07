"""The read arbiter."""

import pytest

from ageha.hw.config import override, preset
from ageha.hw.read_arbiter import ReadArbiter
from ageha.verif.simulator import run_bench


@pytest.mark.parametrize("stalls", [0.0, 0.4])
@pytest.mark.parametrize("width", [64, 256])
def test_read_arbiter(width, stalls):
    config = override(preset("tiny"), {"axi.data_width": width})
    parameters = {"config": config.to_dict(), "stalls": stalls}
    assert run_bench(ReadArbiter(config), "read_arbiter", parameters=parameters) == 3
