"""The simulated memory and its checks, on a small master that misbehaves on demand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ageha.hw.isa import Unit
from ageha.verif.devices.library import (
    DECODE_ERROR,
    SLAVE_ERROR,
    MemorySettings,
    Simulation,
    SimulationError,
    build_harness,
)

BASE = 0x1000_0000
SIZE = 1 << 16
WRITE, DROP, CHANGE, EARLY_LAST, NARROW, FIXED, SILENT = (1 << bit for bit in range(7))
STALLS = MemorySettings(latency=10, stall_percent=50, seed=3)
SLOW_TO_ACCEPT = MemorySettings(stall_percent=90)


@pytest.fixture(scope="module")
def library() -> Path:
    verilog = (Path(__file__).parent / "burst_master.v").read_text()
    return build_harness(verilog, "burst_master")


@pytest.fixture
def simulation(library: Path) -> Iterator[Simulation]:
    made = Simulation(library, BASE, SIZE, MemorySettings(), burst_beats=64)
    yield made
    made.close()


def start(simulation: Simulation, mode: int, address: int, beats: int, data: int = 0) -> int:
    """Run one burst; return the cycles that it took."""
    simulation.write_register(0x4, address)
    simulation.write_register(0x8, beats)
    simulation.write_register(0xC, data)
    simulation.write_register(0x0, mode)
    first = simulation.cycle
    assert simulation.run(100_000)
    return simulation.cycle - first


@pytest.mark.parametrize("settings", [MemorySettings(), STALLS])
def test_write_and_read(simulation: Simulation, settings: MemorySettings) -> None:
    simulation.configure(settings)
    simulation.memory[:] = 0xFF
    start(simulation, WRITE, BASE + 0x200, 5, data=100)
    assert simulation.read_register(0x10) == 0
    words = simulation.memory[0x200:0x228].view("<u4").reshape(5, 2)
    expected = np.stack([np.arange(100, 105), np.arange(5)], axis=1)
    expected[1, 1] = 0xFFFF_FFFF
    np.testing.assert_array_equal(words, expected)
    assert simulation.memory[:0x200].min() == simulation.memory[0x228:].min() == 0xFF
    start(simulation, 0, BASE + 0x200, 5)
    assert simulation.read_register(0xC) == 510
    assert simulation.violations == []


def test_latency_and_bandwidth(simulation: Simulation) -> None:
    fast = start(simulation, 0, BASE, 64)
    simulation.configure(MemorySettings(latency=101))
    late = start(simulation, 0, BASE, 64)
    assert 99 <= late - fast <= 101
    simulation.configure(MemorySettings(bandwidth=0.25))
    narrow = start(simulation, 0, BASE, 64)
    assert 3 * 60 <= narrow - fast <= 3 * 64
    simulation.configure(MemorySettings(bandwidth=0.25))
    assert 4 * 60 <= start(simulation, WRITE, BASE, 64) <= 4 * 68


def test_stalls_are_replayed_by_seed(simulation: Simulation) -> None:
    def cycles(seed: int) -> list[int]:
        simulation.configure(MemorySettings(stall_percent=50, seed=seed))
        return [start(simulation, mode, BASE, 64) for mode in (0, WRITE)]

    first = cycles(1)
    simulation.reset()
    assert cycles(2) != first
    simulation.reset()
    assert cycles(1) == first


@pytest.mark.parametrize("mode", [0, WRITE])
def test_errors(simulation: Simulation, mode: int) -> None:
    def response(address: int, beats: int = 2) -> int:
        start(simulation, mode, address, beats, data=7)
        return simulation.read_register(0x10)

    assert response(BASE - 16) == DECODE_ERROR
    assert response(BASE + SIZE) == DECODE_ERROR
    assert response(BASE + SIZE - 16) == 0
    simulation.add_fault(BASE + 64, BASE + 72, read=True, write=False)
    simulation.add_fault(BASE + 72, BASE + 80, read=False, write=True, response=DECODE_ERROR)
    assert response(BASE + 64) == (DECODE_ERROR if mode == WRITE else SLAVE_ERROR)
    assert response(BASE + 48) == 0
    simulation.clear_faults()
    assert response(BASE + 64) == 0
    assert simulation.violations == []


@pytest.mark.parametrize(
    ("mode", "address", "beats", "settings", "message"),
    [
        (DROP, 0, 1, SLOW_TO_ACCEPT, "ARVALID fell before ARREADY"),
        (CHANGE, 0, 1, SLOW_TO_ACCEPT, "AR changed before ARREADY"),
        (WRITE | DROP, 0, 1, SLOW_TO_ACCEPT, "AWVALID fell before AWREADY"),
        (WRITE | CHANGE, 0, 1, SLOW_TO_ACCEPT, "AW changed before AWREADY"),
        (WRITE | EARLY_LAST, 0, 2, MemorySettings(), "WLAST is not on the last beat"),
        (NARROW, 0, 2, MemorySettings(), "beats of a burst are not full"),
        (WRITE | FIXED, 0, 2, MemorySettings(), "a burst is not INCR"),
        (0, 4096 - 8, 2, MemorySettings(), "a burst crosses 4 KiB"),
        (WRITE, 4, 1, MemorySettings(), "an address is no multiple of a beat"),
        (0, 0, 65, MemorySettings(), "a burst is longer than configured"),
    ],
)
def test_violations(
    simulation: Simulation,
    mode: int,
    address: int,
    beats: int,
    settings: MemorySettings,
    message: str,
) -> None:
    simulation.configure(settings)
    start(simulation, mode, BASE + address, beats)
    assert any(line.endswith(message) for line in simulation.violations)
    assert all(line.startswith("cycle ") for line in simulation.violations)


def test_machine_that_does_not_answer(simulation: Simulation) -> None:
    assert not simulation.run(1000)
    simulation.write_register(0x8, 1)
    simulation.write_register(0x0, SILENT)
    with pytest.raises(SimulationError, match="register 0x4 does not answer a write"):
        simulation.write_register(0x4, 0)


def test_bare_clock_loop(simulation: Simulation) -> None:
    before = simulation.cycle
    simulation.toggle(1000)
    assert simulation.cycle == before + 1000


def test_trace(simulation: Simulation) -> None:
    lengths = [start(simulation, 0, BASE, beats) for beats in (3, 300)]
    events = sorted(simulation.events(), key=lambda event: (event.unit.value, event.accepted))
    assert [event.unit for event in events] == 2 * [Unit.LOAD] + 2 * [Unit.STORE]
    assert [event.index for event in events] == 2 * [3, 300]
    for event, length in zip(events, 2 * lengths, strict=True):
        assert 0 < event.done - event.accepted <= length + 2
    simulation.reset()
    assert list(simulation.events()) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"latency": 0}, "latency must be from 1 to 100000, not 0"),
        ({"stall_percent": 91}, "stall_percent must be from 0 to 90, not 91"),
        ({"outstanding": 0}, "outstanding must be from 1 to 64, not 0"),
        ({"bandwidth": 1.5}, "bandwidth must be from 1/1024 to 1, not 1.5"),
    ],
)
def test_settings_out_of_range(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MemorySettings(**values)
