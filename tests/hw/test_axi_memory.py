"""The memory behind AXI4."""

import pytest

from ageha.hw.axi_memory import AxiMemory
from ageha.hw.config import ConfigError, override, preset
from ageha.verif.simulator import run_bench

TINY = preset("tiny")


@pytest.mark.parametrize("width, base", [(64, 0), (128, 0x4000_0000)])
def test_bench(width, base):
    config = override(TINY, {"axi.data_width": width, "axi.address_width": 32})
    values = {
        "config": config.to_dict(),
        "size": 4096,
        "base": base,
        "accesses": 40,
        "stalls": 0.5,
    }
    assert run_bench(AxiMemory(config, 4096, base), "axi_memory", parameters=values) == 2


def test_parameters_can_be_read():
    memory = AxiMemory(TINY, 8192, 16384)
    assert (memory.config, memory.size, memory.base) == (TINY, 8192, 16384)


@pytest.mark.parametrize(
    "size, base, message",
    [
        (2048, 0, "size must be a power of two from 4096 to 8388608, not 2048"),
        (5000, 0, "size must be a power of two from 4096 to 8388608, not 5000"),
        (4096.0, 0, "size must be an integer, not 4096.0"),
        (8192, 4096, "base must be a multiple of 8192 below 2\\^32, not 0x1000"),
        (4096, 1 << 32, "base must be a multiple of 4096 below"),
        (4096, True, "base must be an integer, not True"),
    ],
)
def test_values_out_of_range_are_refused(size, base, message):
    with pytest.raises(ConfigError, match=message):
        AxiMemory(TINY, size, base)
