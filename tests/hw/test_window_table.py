"""The window table."""

import pytest

from ageha.hw.config import override, preset
from ageha.hw.window_table import WindowTable
from ageha.verif.golden.window import Window
from ageha.verif.golden.window_table import admitted
from ageha.verif.simulator import run_bench


@pytest.mark.parametrize("width", [32, 40, 48])
def test_bench(width):
    config = override(preset("tiny"), {"axi.address_width": width, "controller.windows": 3})
    parameters = {"config": config.to_dict()}
    assert run_bench(WindowTable(config), "window_table", parameters=parameters) == 1


def test_a_window_may_end_with_the_bus():
    limit = 1 << 40
    inside, beyond = Window(limit - 64, 64, True, True), Window(limit - 64, 65, True, True)
    assert admitted(preset("base"), [inside, beyond]) == [
        inside,
        Window(limit - 64, 65, False, False),
    ]
