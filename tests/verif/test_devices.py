"""The simulated Verilog against the golden machine: the same programs, the same calls."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ageha.hw.config import PRESETS
from ageha.hw.isa import UNITS, ErrorCode, Opcode
from ageha.sw.driver import DeviceError, LoadedProgram, load_program, run_program
from ageha.sw.instruction import Dram, encode
from ageha.sw.program import Program, Window
from ageha.verif.devices.golden import GoldenDevice
from ageha.verif.devices.library import DECODE_ERROR, SLAVE_ERROR, MemorySettings, build
from ageha.verif.devices.rtl import RtlDevice
from ageha.verif.golden.machine import COUNTED
from ageha.verif.programs import random_program

TINY = PRESETS["tiny"]
MEMORY_BYTES = 1 << 20
HARSH = MemorySettings(latency=100, stall_percent=50, seed=9)
END = encode(Opcode.END)
BLOCK = {"rows": 2, "row_words": 3, "dram_stride": 32, "pitch": 5}
LOAD = encode(Opcode.LOAD, dram_address=(1, 0), **BLOCK)
STORE = encode(Opcode.STORE, dram_address=(2, 0), **BLOCK)


@pytest.fixture(scope="module")
def library() -> Path:
    return build(TINY)


@pytest.fixture
def device(library: Path) -> Iterator[RtlDevice]:
    with RtlDevice(TINY, MEMORY_BYTES, library=library) as made:
        yield made
        assert made.simulation.violations == []


def program(*words: bytes) -> Program:
    """Return a program of `words` with windows of every kind of permission."""
    return Program(
        config=TINY,
        code=b"".join(words),
        code_address=Dram(0, 0),
        windows=(
            Window("code", 64 * (len(words) + 1)),
            Window("constant", 4096),
            Window("data", 4096, writable=True),
            Window("result", 4096, readable=False, writable=True),
        ),
    )


def ordered(*words: bytes) -> list[bytes]:
    """Return `words` that each wait for the one before."""
    numbers = [int.from_bytes(word, "little") for word in words]
    for place in range(len(words) - 1):
        numbers[place] |= 1 << 64 + place
        numbers[place + 1] |= 1 << 32 + place
    return [number.to_bytes(64, "little") for number in numbers]


def error_of(loaded: LoadedProgram, **options: int) -> tuple[ErrorCode, int, int]:
    """Run a loaded program that must stop; then run another one on the same device."""
    with pytest.raises(DeviceError) as caught:
        loaded.run({}, timeout=60, **options)
    made, inputs = random_program(TINY, 3)
    if isinstance(loaded.device, RtlDevice):
        loaded.device.simulation.clear_faults()
    after = run_program(loaded.device, made, inputs)
    expected = run_program(GoldenDevice(TINY, MEMORY_BYTES), made, inputs)
    for name, values in expected.outputs.items():
        np.testing.assert_array_equal(after.outputs[name], values)
    return caught.value.code, caught.value.index, caught.value.address


@pytest.mark.parametrize("settings", [MemorySettings(), HARSH], ids=["perfect", "harsh"])
@pytest.mark.parametrize("seed", range(12))
def test_random_programs(device: RtlDevice, seed: int, settings: MemorySettings) -> None:
    device.simulation.configure(settings)
    made, inputs = random_program(TINY, seed)
    golden = run_program(GoldenDevice(TINY, MEMORY_BYTES), made, inputs)
    result = run_program(device, made, inputs)
    for name, values in golden.outputs.items():
        np.testing.assert_array_equal(result.outputs[name], values, err_msg=name)
    for name in COUNTED:
        assert result.counters[name] == golden.counters[name]
    assert result.counters["cycles"] > result.counters["array_busy"] > 0


def test_trace_has_every_instruction_but_end(device: RtlDevice) -> None:
    made, inputs = random_program(TINY, 5)
    cycles = run_program(device, made, inputs).counters["cycles"]
    events = list(device.simulation.events())
    assert sorted(event.index for event in events) == list(range(made.instructions - 1))
    assert {event.unit for event in events} == set(UNITS)
    assert all(event.accepted < event.done for event in events)
    first, last = min(event.accepted for event in events), max(event.done for event in events)
    assert last - first < cycles


def test_memory_at_a_high_address(library: Path) -> None:
    made, inputs = random_program(TINY, 6)
    golden = run_program(GoldenDevice(TINY, MEMORY_BYTES), made, inputs)
    base = (1 << TINY.axi.address_width) - MEMORY_BYTES
    with RtlDevice(TINY, MEMORY_BYTES, library=library, memory_base=base) as high:
        result = run_program(high, made, inputs)
    np.testing.assert_array_equal(result.outputs["quantised"], golden.outputs["quantised"])


@pytest.mark.parametrize("settings", [MemorySettings(), HARSH], ids=["perfect", "harsh"])
@pytest.mark.parametrize(
    "word",
    [
        bytes(64),
        b"\x77" + bytes(63),
        encode(Opcode.LOAD, dram_address=(1, 64)),
        encode(Opcode.LOAD, dram_address=(1, 4), **BLOCK),
        encode(Opcode.LOAD, dram_address=(1, 0), address=2041, **BLOCK),
        encode(Opcode.LOAD, dram_address=(1, 4048), **BLOCK),
        encode(Opcode.LOAD, dram_address=(3, 0), **BLOCK),
        encode(Opcode.LOAD, dram_address=(4, 0), **BLOCK),
        encode(Opcode.STORE, dram_address=(1, 0), **BLOCK),
        encode(Opcode.STORE, dram_address=(2, 0), address=2041, **BLOCK),
        encode(Opcode.MATMUL, m=1, n=1, a_pitch=1, b_pitch=1),
        encode(Opcode.MATMUL, m=1, n=1, k=1, a_pitch=2, b_pitch=1),
        encode(Opcode.MATMUL, m=4, n=4, k=4, a_pitch=1, b_pitch=1, a_address=2047),
        encode(Opcode.MATMUL, m=4, n=4, k=4, a_pitch=1, b_pitch=1, y_address=2048),
        encode(Opcode.QUANTISE, rows=1),
        encode(Opcode.QUANTISE, rows=1, columns=1, x_fraction=65),
        encode(Opcode.QUANTISE, rows=1, columns=1, x_fraction=16, activation=2),
        encode(Opcode.QUANTISE, rows=3, columns=9, scale_address=2046),
        encode(Opcode.SOFTMAX, rows=1, columns=1, x_fraction=16),
        encode(Opcode.SOFTMAX, rows=2, columns=1, x_pitch=3000),
        encode(Opcode.SOFTMAX, rows=2, columns=9, two_planes=1, plane_words=2047),
        encode(Opcode.NORMALISE, rows=1, columns=8193),
        encode(Opcode.NORMALISE, rows=1, columns=1, y_fraction=16),
        encode(Opcode.NORMALISE, rows=1, columns=1, parameter_pitch=5000),
    ],
)
def test_errors_are_those_of_the_golden_machine(
    device: RtlDevice, word: bytes, settings: MemorySettings
) -> None:
    made = program(*ordered(LOAD, word, END))
    expected = error_of(load_program(GoldenDevice(TINY, MEMORY_BYTES), made))
    device.simulation.configure(settings)
    assert error_of(load_program(device, made)) == expected
    assert expected[1] == 1


@pytest.mark.parametrize("settings", [MemorySettings(), HARSH], ids=["perfect", "harsh"])
@pytest.mark.parametrize("response", [SLAVE_ERROR, DECODE_ERROR])
def test_bus_errors(device: RtlDevice, response: int, settings: MemorySettings) -> None:
    device.simulation.configure(settings)
    read, write = (
        (ErrorCode.READ_SLAVE_ERROR, ErrorCode.WRITE_SLAVE_ERROR)
        if response == SLAVE_ERROR
        else (ErrorCode.READ_DECODE_ERROR, ErrorCode.WRITE_DECODE_ERROR)
    )
    loaded = load_program(device, program(*ordered(LOAD, STORE, END)))
    for window, expected in ((1, (read, 0)), (2, (write, 1))):
        second_row = loaded.bases[window] + 32
        device.simulation.add_fault(
            second_row, second_row + 8, read=window == 1, write=window == 2, response=response
        )
        assert error_of(load_program(device, loaded.program)) == (*expected, second_row)


def test_bus_error_of_the_fetch(device: RtlDevice) -> None:
    loaded = load_program(device, program(*ordered(LOAD, STORE, END)))
    second = loaded.bases[0] + 128
    device.simulation.add_fault(second, second + 8, read=True, write=False)
    assert error_of(loaded) == (ErrorCode.READ_SLAVE_ERROR, 1, second)


def test_writes_stay_inside_the_windows(device: RtlDevice) -> None:
    loaded = load_program(device, program(*ordered(LOAD, STORE, END)))
    start = loaded.bases[2]
    device.simulation.memory[:] = 0x5A
    loaded = load_program(device, loaded.program)
    before = device.simulation.memory.copy()
    loaded.run({})
    changed = np.flatnonzero(device.simulation.memory != before)
    assert set(changed) <= set(range(start, start + 24)) | set(range(start + 32, start + 56))


@pytest.mark.parametrize("golden", [False, True])
def test_a_window_beyond_the_bus_is_closed(device: RtlDevice, golden: bool) -> None:
    used = GoldenDevice(TINY, MEMORY_BYTES) if golden else device
    loaded = load_program(used, program(*ordered(LOAD, STORE, END)))
    # Truncated to an address of the bus, this base would be that of the constants.
    alias = loaded.bases[1] + (1 << TINY.axi.address_width)
    loaded.registers.write_long("window2_base", alias)
    before = used.read_memory(loaded.bases[1], 4096)
    with pytest.raises(DeviceError) as caught:
        loaded.run({}, timeout=60)
    assert (caught.value.code, caught.value.index) == (ErrorCode.WINDOW, 1)
    assert used.read_memory(loaded.bases[1], 4096) == before


@pytest.mark.parametrize("place", [0, 4, 8, 12])
def test_damaged_header_in_memory(device: RtlDevice, place: int) -> None:
    loaded = load_program(device, program(END))
    device.write_memory(loaded.bases[0] + place, b"\xff")
    assert error_of(loaded) == (ErrorCode.PROGRAM_HEADER, 0, place)


def test_code_outside_its_window(device: RtlDevice) -> None:
    loaded = load_program(device, program(END))
    loaded.registers.write_long("window0_size", 64)
    assert error_of(loaded) == (ErrorCode.WINDOW, 0, 0)


def test_no_end(device: RtlDevice) -> None:
    made = program(LOAD)
    expected = error_of(load_program(GoldenDevice(TINY, MEMORY_BYTES), made))
    assert error_of(load_program(device, made)) == expected


def test_semaphore_overflow(device: RtlDevice) -> None:
    signal = encode(Opcode.LOAD, dram_address=(1, 0), signal=2, **BLOCK)
    code, index, address = error_of(load_program(device, program(*[signal] * 256, END)))
    assert (code, index, address) == (ErrorCode.SEMAPHORE_OVERFLOW, 255, 1)


def test_watchdog(device: RtlDevice) -> None:
    waits = encode(Opcode.STORE, dram_address=(2, 0), wait=4, **BLOCK)
    code, index, _ = error_of(load_program(device, program(LOAD, waits, END)), watchdog=2000)
    assert (code, index) == (ErrorCode.WATCHDOG, 1)


def test_soft_reset_of_a_running_program(device: RtlDevice) -> None:
    device.simulation.configure(HARSH)
    made, inputs = random_program(TINY, 4)
    golden = run_program(GoldenDevice(TINY, MEMORY_BYTES), made, inputs)
    loaded = load_program(device, made)
    for cycles in range(50, 2050, 200):
        loaded.write_inputs(inputs)
        loaded.registers.write("control", 1)
        device.simulation.run(cycles)
        loaded.reset()
        result = loaded.run(inputs)
        for name, values in golden.outputs.items():
            np.testing.assert_array_equal(result.outputs[name], values, err_msg=name)


def test_no_answer_in_time(device: RtlDevice) -> None:
    waits = encode(Opcode.STORE, dram_address=(2, 0), wait=4, **BLOCK)
    loaded = load_program(device, program(waits, END))
    with pytest.raises(RuntimeError, match="no answer from the device in 0.01 s"):
        loaded.run({}, timeout=0.01, watchdog=0)
    made, inputs = random_program(TINY, 2)
    run_program(device, made, inputs)
