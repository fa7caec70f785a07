"""The scratchpad and its golden model."""

import numpy as np
import pytest

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.isa import ErrorCode
from ageha.hw.scratchpad import Scratchpad, read_latency
from ageha.verif.golden.fault import Fault
from ageha.verif.golden.scratchpad import Scratchpad as Golden
from ageha.verif.simulator import run_bench

TINY = preset("tiny")
CONFIGS = {
    "tiny": TINY,
    "eight banks": override(preset("ecp5"), {"scratchpad.bytes": 4096}),
    "sixteen banks": override(preset("base"), {"scratchpad.bytes": 8192}),
}


@pytest.mark.parametrize(
    ("name", "clients"), [("tiny", (1, 1)), *((name, (4, 3)) for name in CONFIGS)]
)
def test_traffic(name, clients):
    readers, writers = clients
    config = CONFIGS[name]
    parameters = {"config": config.to_dict(), "readers": readers, "writers": writers}
    assert run_bench(Scratchpad(config, readers, writers), "scratchpad", parameters=parameters) == 2


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("clients", [(0, 1), (1, 0), (17, 1), (1, 2.0), (True, 1)])
def test_client_count_is_checked(clients):
    with pytest.raises(ConfigError, match="must be an integer from 1 to 16"):
        Scratchpad(TINY, *clients)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_parameters_are_attributes():
    scratchpad = Scratchpad(TINY, 2, 3)
    assert (scratchpad.config, scratchpad.readers, scratchpad.writers) == (TINY, 2, 3)
    with pytest.raises(AttributeError):
        scratchpad.readers = 4


def test_requests_are_registered_where_the_clock_needs_it():
    assert [read_latency(preset(name)) for name in ("tiny", "ecp5", "base")] == [4, 4, 3]
    with pytest.raises(ConfigError, match="scratchpad.pipelined must be true or false, not 1"):
        override(preset("tiny"), {"scratchpad.pipelined": 1})


def test_golden_reads_what_was_written():
    memory = Golden(TINY)
    data = np.arange(3 * 16, dtype=np.uint8).reshape(3, 16)
    memory.write(5, 9, data)
    assert np.array_equal(memory.read(5, 9, 3, 2), data)
    assert np.array_equal(memory.bytes[8 * 14 : 8 * 16], data[1])
    assert np.count_nonzero(memory.bytes) == 47


def test_golden_overlapping_rows_are_written_in_order():
    memory = Golden(TINY)
    data = np.arange(1, 3 * 16 + 1, dtype=np.uint8).reshape(3, 16)
    memory.write(0, 1, data)
    assert np.array_equal(memory.bytes[:32], np.r_[data[0, :8], data[1, :8], data[2]])


@pytest.mark.parametrize(
    ("block", "last"),
    [((2047, 1, 1, 2), 2048), ((0, 1024, 3, 1), 2048), ((5000, 0, 1, 1), 5000)],
)
def test_golden_range(block, last):
    memory = Golden(TINY)
    with pytest.raises(Fault) as fault:
        memory.read(*block)
    assert (fault.value.code, fault.value.address) == (ErrorCode.SCRATCHPAD_RANGE, last)


@pytest.mark.parametrize("block", [(-1, 1, 1, 1), (0, -1, 1, 1), (0, 1, 0, 1), (0, 1, 1, 0)])
def test_golden_refuses_nonsense(block):
    with pytest.raises(ValueError, match="at least"):
        Golden(TINY).read(*block)


def test_golden_refuses_other_types():
    with pytest.raises(ValueError, match="uint8"):
        Golden(TINY).write(0, 1, np.zeros((1, 8), dtype=np.int8))


def test_golden_lines_wrap_but_never_write_outside():
    memory = Golden(TINY)
    memory.words[:] = np.arange(2048)
    assert memory.read_line(2046, 1).tolist() == [2046, 2047, 0, 1]
    memory.write_line(2046, 1, 0b0011, np.zeros(4, dtype=np.uint64))
    assert memory.words[0] == 0 and memory.words[2046:].tolist() == [0, 0]
    with pytest.raises(Fault):
        memory.write_line(2046, 1, 0b0100, np.zeros(4, dtype=np.uint64))
