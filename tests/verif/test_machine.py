"""The golden model of the machine: results, every error, and missing semaphores."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ageha.hw.config import PRESETS, AcceleratorConfig
from ageha.hw.isa import ErrorCode, Flow, Opcode
from ageha.sw.driver import ADDRESS_MEANINGS, DeviceError, load_program, run_program
from ageha.sw.instruction import Dram, decode_all, encode
from ageha.sw.program import Program, Window
from ageha.sw.scale import ScaleVector
from ageha.verif.benches.products import compress
from ageha.verif.devices.golden import GoldenDevice
from ageha.verif.golden.controller import Deadlock
from ageha.verif.golden.machine import Machine
from ageha.verif.golden.matmul import matmul
from ageha.verif.program_builder import Builder
from ageha.verif.programs import random_program

TINY = PRESETS["tiny"]
END = encode(Opcode.END)
ROWS = ScaleVector.from_float(np.full(5, 2.0**-6), np.arange(5))
COLUMNS = ScaleVector.from_float(np.full(7, 2.0**-5), np.arange(7))
COPY = {"rows": 2, "row_words": 3, "dram_stride": 32, "pitch": 5}


def program(*words: bytes, config: AcceleratorConfig = TINY) -> Program:
    """Return a program of `words` with a read-only and a writable window of data."""
    return Program(
        config=config,
        code=b"".join(words),
        code_address=Dram(0, 64),
        windows=(
            Window("code", 64 * (len(words) + 2)),
            Window("constant", 4096),
            Window("data", 4096, writable=True),
            Window("result", 4096, readable=False, writable=True),
        ),
    )


def error(*words: bytes) -> DeviceError:
    """Run `words` and return the error that they end with."""
    device = GoldenDevice(TINY, 1 << 16)
    with pytest.raises(DeviceError) as caught:
        run_program(device, program(*words), {})
    assert run_program(device, program(END), {}).counters["instructions"] == 1
    return caught.value


def product_program(
    a: NDArray[np.int8], b: NDArray[np.int8], flow: Flow, words: NDArray[np.uint64] | None = None
) -> Builder:
    """Return a program of one product [5, 7] whose B is given as it is, or as `words`."""
    builder = Builder(TINY)
    left = builder.load("a", a)
    right = builder.load("b", b) if words is None else builder.load("b", words[np.newaxis], pitch=1)
    scales = [builder.load_scales("rows", ROWS), builder.load_scales("columns", COLUMNS)]
    y = builder.block(5, 7, "int16")
    builder.emit(
        Opcode.MATMUL,
        flow=flow,
        m=5,
        n=7,
        k=a.shape[1],
        fraction=4,
        a_address=left.address,
        a_pitch=left.pitch,
        b_address=right.address,
        b_pitch=right.pitch,
        compressed_words=0 if words is None else len(words),
        row_scale_address=scales[0].address,
        column_scale_address=scales[1].address,
        y_address=y.address,
        y_pitch=y.pitch,
    )
    builder.store("y", y)
    return builder


def operands() -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Return A [5, 9] and B [7, 9]; of B, the first four rows are zero in seven of nine columns."""
    generator = np.random.default_rng(5)
    a = generator.integers(-127, 128, (5, 9), dtype=np.int8)
    b = generator.integers(1, 128, (7, 9), dtype=np.int8)
    b[:4, 2:] = 0
    return a, b


def test_product_of_a_program() -> None:
    a, b = operands()
    builder = product_program(a, b, Flow.DENSE_OUTPUT_STATIONARY)
    result = run_program(GoldenDevice(TINY), builder.program(), builder.inputs)
    np.testing.assert_array_equal(result.outputs["y"], matmul(a, b, ROWS, COLUMNS, 4))
    assert result.counters["array_multiplies"] == 5 * 7 * 9
    assert result.counters["array_skipped"] == 0
    assert result.counters["instructions"] == 7


@pytest.mark.parametrize(
    ("flow", "skipped"),
    [
        # Two tiles of rows; the first strip has two useful vectors of nine, the second all.
        (Flow.SPARSE_OUTPUT_STATIONARY, 2 * 7),
        (Flow.COLUMN_SPARSE_OUTPUT_STATIONARY, 2 * 7),
        # One stationary tile instead of three, for each of five rows.
        (Flow.SPARSE_WEIGHT_STATIONARY, 5 * 2),
    ],
)
def test_sparse_product_of_a_program(flow: Flow, skipped: int) -> None:
    a, b = operands()
    builder = product_program(a, b, flow, compress(b, flow, TINY))
    result = run_program(GoldenDevice(TINY), builder.program(), builder.inputs)
    np.testing.assert_array_equal(result.outputs["y"], matmul(a, b, ROWS, COLUMNS, 4))
    assert result.counters["array_multiplies"] == 5 * (4 * 2 + 3 * 9)
    assert result.counters["array_skipped"] == skipped


def test_malformed_operand_of_a_program() -> None:
    a, b = operands()
    flow = Flow.SPARSE_OUTPUT_STATIONARY
    words = compress(b, flow, TINY)
    builder = product_program(a, b, flow, words[:-1])
    with pytest.raises(DeviceError, match="malformed strip or tile") as caught:
        run_program(GoldenDevice(TINY), builder.program(), builder.inputs)
    place = decode_all(builder.program().code)[4]["b_address"]
    assert caught.value.code is ErrorCode.COMPRESSED_OPERAND
    # The first strip: a header, vector bits, element bits, eight values.
    assert (caught.value.index, caught.value.address) == (4, place + 4)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("preset", ["tiny", "base"])
def test_ordered_programs_do_not_depend_on_the_seed(preset: str, seed: int) -> None:
    made, inputs = random_program(PRESETS[preset], seed)
    first = run_program(GoldenDevice(PRESETS[preset]), made, inputs)
    other = run_program(GoldenDevice(PRESETS[preset], seed=seed), made, inputs)
    assert first.counters == other.counters
    for name, values in first.outputs.items():
        np.testing.assert_array_equal(values, other.outputs[name])


def test_missing_semaphore_shows() -> None:
    made, inputs = random_program(TINY, 0)
    instructions = decode_all(made.code)
    stores = [item.opcode == Opcode.STORE for item in instructions]
    raced = [
        item.replace(wait=0 if is_store else item.wait)
        for item, is_store in zip(instructions, stores, strict=True)
    ]
    racing = replace(made, code=b"".join(item.encode() for item in raced))
    runs = [run_program(GoldenDevice(TINY, seed=seed), racing, inputs) for seed in range(10)]
    results = {tuple(map(bytes, run.outputs.values())) for run in runs}
    assert len(results) > 1


def test_deadlock_names_who_waits() -> None:
    words = [encode(Opcode.LOAD, wait=4, **COPY), encode(Opcode.END, wait=1)]
    with pytest.raises(Deadlock, match=r"LOAD at instruction 0 for semaphores 0x4, END"):
        run_program(GoldenDevice(TINY), program(*words), {})


@pytest.mark.parametrize(
    ("word", "code", "address"),
    [
        (bytes(64), ErrorCode.ILLEGAL_OPCODE, 0),
        (b"\x77" + bytes(63), ErrorCode.ILLEGAL_OPCODE, 0x77),
        (encode(Opcode.LOAD, dram_address=(1, 64)), ErrorCode.ILLEGAL_OPERAND, 64),
        (
            encode(Opcode.LOAD, dram_address=(1, 4), **COPY),
            ErrorCode.ILLEGAL_OPERAND,
            4,
        ),
        (
            encode(Opcode.LOAD, dram_address=(1, 0), address=2041, **COPY),
            ErrorCode.SCRATCHPAD_RANGE,
            2048,
        ),
        (encode(Opcode.LOAD, dram_address=(1, 4048), **COPY), ErrorCode.WINDOW, 4103),
        (encode(Opcode.LOAD, dram_address=(3, 0), **COPY), ErrorCode.WINDOW, 55),
        (encode(Opcode.LOAD, dram_address=(4, 0), **COPY), ErrorCode.WINDOW, 55),
        (encode(Opcode.STORE, dram_address=(1, 0), **COPY), ErrorCode.WINDOW, 55),
        (encode(Opcode.MATMUL, m=1, n=1), ErrorCode.ILLEGAL_OPERAND, 0),
        (
            encode(Opcode.MATMUL, m=1, n=1, k=1, a_pitch=2, b_pitch=1),
            ErrorCode.ILLEGAL_OPERAND,
            0,
        ),
        (
            encode(Opcode.MATMUL, m=4, n=4, k=4, a_pitch=1, b_pitch=1, y_address=2048),
            ErrorCode.SCRATCHPAD_RANGE,
            2048,
        ),
        (encode(Opcode.QUANTISE, rows=1), ErrorCode.ILLEGAL_OPERAND, 0),
        (
            encode(Opcode.QUANTISE, rows=1, columns=1, x_fraction=65),
            ErrorCode.ILLEGAL_OPERAND,
            0,
        ),
        (
            encode(Opcode.SOFTMAX, rows=2, columns=1, x_pitch=3000),
            ErrorCode.SCRATCHPAD_RANGE,
            3000,
        ),
        (
            encode(Opcode.NORMALISE, rows=1, columns=1, parameter_pitch=5000),
            ErrorCode.SCRATCHPAD_RANGE,
            5000,
        ),
    ],
)
def test_errors_of_an_instruction(word: bytes, code: ErrorCode, address: int) -> None:
    before = encode(Opcode.LOAD, dram_address=(1, 0), signal=1, **COPY)
    number = int.from_bytes(word, "little") | 1 << 32
    stopped = error(before, number.to_bytes(64, "little"), END)
    assert (stopped.code, stopped.index, stopped.address) == (code, 1, address)
    assert str(stopped).startswith(f"{code.name} in instruction 1 at {address:#x} (")


def test_every_error_says_what_its_address_is() -> None:
    assert set(ADDRESS_MEANINGS) == set(ErrorCode) - {ErrorCode.NONE}


def test_unknown_flow() -> None:
    word = bytearray(encode(Opcode.MATMUL, m=1, n=1, k=1, a_pitch=1, b_pitch=1))
    word[12] |= 0xF
    assert error(bytes(word), END).code is ErrorCode.ILLEGAL_OPERAND


def test_semaphores() -> None:
    signals = [encode(Opcode.LOAD, signal=2, dram_address=(1, 0), **COPY)] * 256
    stopped = error(*signals, END)
    assert (stopped.code, stopped.index) == (ErrorCode.SEMAPHORE_OVERFLOW, 255)
    assert stopped.address == 1


def test_bus_error() -> None:
    device = GoldenDevice(TINY, 1 << 16)
    loaded = load_program(device, program(encode(Opcode.LOAD, dram_address=(1, 0), **COPY), END))
    loaded.registers.write_long("window1_base", 1 << 20)
    with pytest.raises(DeviceError) as caught:
        loaded.run({})
    assert caught.value.code is ErrorCode.READ_DECODE_ERROR
    assert caught.value.address == 1 << 20


@pytest.mark.parametrize(("place", "offset"), [(0, 0), (4, 4), (8, 8), (12, 12)])
def test_damaged_header_in_dram(place: int, offset: int) -> None:
    device = GoldenDevice(TINY)
    loaded = load_program(device, program(END))
    device.write_memory(loaded.bases[0] + 64 + place, b"\xff")
    with pytest.raises(DeviceError) as caught:
        loaded.run({})
    assert caught.value.code is ErrorCode.PROGRAM_HEADER
    assert caught.value.address == offset


def test_fetch_errors() -> None:
    machine = Machine(TINY, np.zeros(4096, dtype=np.uint8))
    assert machine.run(Dram(0, 0), 0).code is ErrorCode.PROGRAM_HEADER
    outcome = machine.run(Dram(0, 128), 1)
    assert (outcome.code, outcome.address) == (ErrorCode.WINDOW, 128)


def test_no_end() -> None:
    stopped = error(encode(Opcode.LOAD, dram_address=(1, 0), **COPY))
    assert stopped.code is ErrorCode.PROGRAM_HEADER
