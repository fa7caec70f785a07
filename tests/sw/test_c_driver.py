"""The C driver: strict C99, refuses what it must, and runs programs on the simulated Verilog."""

import random
import struct
import subprocess
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ageha.gen.header import isa_header
from ageha.gen.registers import systemrdl, write_c_header
from ageha.hw.config import INSTRUCTION_BYTES, PRESETS, AcceleratorConfig, override
from ageha.hw.isa import ErrorCode, Opcode
from ageha.sw.compiler import compile_encoder
from ageha.sw.driver import WINDOW_ALIGNMENT, DeviceError, run_program
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.instruction import encode
from ageha.sw.program import FILE_HEADER, SEGMENT_HEADER, WINDOW_HEADER, Program, Segment, Window
from ageha.sw.program_header import program_header
from ageha.sw.tensor import Tensor
from ageha.verif import failures
from ageha.verif.compressed_failures import compressed_failures
from ageha.verif.devices.golden import GoldenDevice
from ageha.verif.devices.library import DECODE_ERROR, SLAVE_ERROR, build
from ageha.verif.program_builder import DATA
from ageha.verif.programs import random_program

TINY = PRESETS["tiny"]
REPOSITORY = Path(__file__).resolve().parents[2]
DRIVER = REPOSITORY / "sw" / "c"
SOURCES = (DRIVER / "ageha_driver.c", DRIVER / "ageha_program.c")
MEMORY_ADDRESS = 0x4000_0000
"""Where c_driver.c puts the memory."""
HARNESS = REPOSITORY / "tests" / "support" / "c_driver.c"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{DRIVER}", "-I.")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compile_c(folder: Path, *arguments: str | Path, compiler: str = "gcc") -> None:
    """Call the compiler in `folder`; fail if it says anything."""
    command = [compiler, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def write_headers(config: AcceleratorConfig, folder: Path) -> None:
    """Write the generated headers of `config`."""
    (folder / "ageha_isa.h").write_text(isa_header(config))
    write_c_header(systemrdl(config), folder / "ageha_registers.h")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the headers and the harness, sanitizers included."""
    made = tmp_path_factory.mktemp("driver")
    write_headers(TINY, made)
    objects = []
    for source in SOURCES:
        objects.append(f"{source.stem}.o")
        options = (*STRICT, *SANITIZED, "-Wconversion", "-ffreestanding")
        compile_c(made, *options, "-c", source, "-o", objects[-1])
    # dlopen is POSIX, not C99.
    options = (*STRICT, *SANITIZED, "-D_POSIX_C_SOURCE=200809L")
    compile_c(made, *options, HARNESS, *objects, "-o", "c_driver", "-ldl")
    return made


def call(folder: Path, *arguments: str | Path) -> list[str]:
    """Return what the harness prints."""
    command = [folder / "c_driver", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def said_of(folder: Path, tmp_path: Path, *files: bytes) -> list[str]:
    """Return what the driver says of each program file."""
    paths = [tmp_path / str(place) for place in range(len(files))]
    for path, contents in zip(paths, files, strict=True):
        path.write_bytes(contents)
    return call(folder, "open", *paths)


def data_image(program: Program, inputs: Mapping[str, NDArray]) -> bytes:
    """Return the data window with `inputs`; nothing if there are none."""
    if not inputs:
        return b""
    image = bytearray(program.windows[DATA].size)
    for tensor in program.inputs:
        for offset, data in tensor.pack(inputs[tensor.name]):
            image[offset : offset + len(data)] = data
    return bytes(image)


def sealed(contents: bytes, changes: Mapping[int, int], body: bytes | None = None) -> bytes:
    """Return a program file with fields of the header changed and right checksums."""
    body = contents[FILE_HEADER.size :] if body is None else body
    values = list(FILE_HEADER.unpack_from(contents))
    for field, value in {**changes, -4: len(body), -2: zlib.crc32(body)}.items():
        values[field] = value
    header = FILE_HEADER.pack(*values)[:-4]
    return header + struct.pack("<I", zlib.crc32(header)) + body


def small_program() -> Program:
    """Return a program with constants in both windows."""
    return Program(
        config=TINY,
        code=encode(Opcode.END),
        code_address=(0, 64),
        windows=(Window("code", 512), Window("data", 4096, writable=True)),
        segments=(Segment(0, 256, bytes(range(200))), Segment(1, 100, b""), Segment(1, 9, b"abc")),
    )


def test_programs_that_are_refused(folder: Path, tmp_path: Path) -> None:
    contents = small_program().to_bytes()
    other = override(TINY, {"controller.semaphores": 31})
    body = contents[FILE_HEADER.size :]
    table = INSTRUCTION_BYTES + 3 * SEGMENT_HEADER.size
    no_windows = body[:table] + body[table + 2 * WINDOW_HEADER.size :]
    cases = {
        "all is well": contents,
        "the program is for other parameters": replace(small_program(), config=other).to_bytes(),
        "the file is truncated": contents[:-1],
        "the file is damaged": contents[:300] + bytes([contents[300] ^ 4]) + contents[301:],
        "the file is no program": b"hello, I am no program at all",
        "the file has another version": sealed(contents, {1: 2}),
        "the program is for another instruction set": sealed(contents, {2: 9}),
        "the file has no table of windows": sealed(contents, {9: 0}, no_windows),
    }
    assert said_of(folder, tmp_path, *cases.values()) == list(cases)


@pytest.mark.parametrize(
    "changes",
    [
        *({4: instructions} for instructions in (0, 2, 65_536, 2**32 - 1)),
        *({5: segments} for segments in (1000, 2**32 - 1)),
        *({6: window} for window in (2, 2**32 - 1)),
        *({7: offset} for offset in (32, 448, 2**64 - 64)),
        *({9: windows} for windows in (5, 2**32 - 1)),
    ],
)
def test_contradictions_behind_right_checksums(
    folder: Path, tmp_path: Path, changes: dict[int, int]
) -> None:
    contents = sealed(small_program().to_bytes(), changes)
    assert said_of(folder, tmp_path, contents) == ["the file is damaged"]


def test_segments_must_lie_in_their_windows(folder: Path, tmp_path: Path) -> None:
    contents = small_program().to_bytes()
    body = contents[FILE_HEADER.size :]
    segments = [(2, 0, 0, 200), (0, 0, 400, 200), (0, 0, 2**64 - 8, 200), (1, 0, 0, 4000)]
    code, rest = body[:INSTRUCTION_BYTES], body[INSTRUCTION_BYTES + SEGMENT_HEADER.size :]
    files = [
        sealed(contents, {}, code + SEGMENT_HEADER.pack(*segment) + rest) for segment in segments
    ]
    assert said_of(folder, tmp_path, *files) == ["the file is damaged"] * len(segments)


def test_every_truncation_and_many_flipped_bits(folder: Path, tmp_path: Path) -> None:
    contents = small_program().to_bytes()
    cut = said_of(folder, tmp_path, *(contents[:size] for size in range(len(contents))))
    assert said_of(folder, tmp_path, contents + b"\0") == ["the file is damaged"]
    assert cut == ["the file is no program"] * 8 + ["the file is truncated"] * (len(contents) - 8)
    generator = random.Random(1)
    flipped = []
    for bit in generator.sample(range(64, 8 * len(contents)), 300):
        damaged = bytearray(contents)
        damaged[bit // 8] ^= 1 << bit % 8
        flipped.append(bytes(damaged))
    assert set(said_of(folder, tmp_path, *flipped)) == {"the file is damaged"}


def test_machine_and_memory_are_checked(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "program.bin"
    small_program().save(path)
    assert call(folder, "registers", path) == [
        "all is well",
        "the registers are not those of an accelerator",
        "the machine has another instruction set",
        "the machine has other parameters",
        "the memory is too small or misaligned",
        "no program is loaded",
        "the memory is too small or misaligned",
        "all is well",
        "all is well",
        "the program is running",
        "the machine does not answer in time",
        "a program is running already",
        "the machine does not answer in time",
    ]


def illegal_program() -> tuple[Program, dict[str, NDArray]]:
    """Return a program with an illegal opcode before its END."""
    made, inputs = random_program(TINY, 2)
    return replace(made, code=made.code[:-64] + bytes([0xEE]).ljust(64, b"\0")), inputs


def runs() -> Iterator[tuple[Program, dict[str, NDArray]]]:
    """Yield programs to run one after the other."""
    yield random_program(TINY, 1)
    yield illegal_program()
    yield random_program(TINY, 3)
    yield small_program(), {}


@pytest.mark.parametrize("mode", ["poll", "interrupt"])
def test_programs_run_on_the_verilog(folder: Path, tmp_path: Path, mode: str) -> None:
    arguments: list[str | Path] = [build(TINY), mode]
    expected = []
    outputs = {}
    for place, (program, inputs) in enumerate(runs()):
        paths = [tmp_path / f"{place}.{kind}" for kind in ("program", "input", "output")]
        arguments += [*paths, str(DATA)]
        program.save(paths[0])
        paths[1].write_bytes(data_image(program, inputs))
        try:
            golden = run_program(GoldenDevice(TINY, 1 << 20), program, inputs)
        except DeviceError as error:
            assert error.code is ErrorCode.ILLEGAL_OPCODE
            expected += ["the machine has stopped the program"]
            expected += [f"{error.code.name} {error.index} {error.address}"]
            continue
        outputs[paths[2]] = program, golden.outputs
        counters = golden.counters
        expected += ["all is well", "NONE 0 0"]
        expected += [f"{counters['instructions']} {counters['dram_written_bytes']}"]
    printed = call(folder, "run", *arguments)
    # What a stopped program has counted depends on how far its units had come.
    assert printed[:5] + printed[6:] == expected
    for path, (program, arrays) in outputs.items():
        image = path.read_bytes()
        for segment in (part for part in program.segments if part.window == DATA):
            assert image[segment.offset : segment.offset + segment.size] == segment.data
        for tensor in program.outputs:
            data = image[tensor.offset : tensor.offset + tensor.size]
            np.testing.assert_array_equal(tensor.unpack(data), arrays[tensor.name])


@pytest.mark.parametrize("mode", ["poll", "interrupt"])
def test_an_encoder_layer_runs_on_the_verilog(folder: Path, tmp_path: Path, mode: str) -> None:
    """Compiled, not written for the test: the output has every bit of the golden machine's."""
    program = compile_encoder(synthetic_bert(), TINY, 8)
    (source,), (target,) = program.inputs, program.outputs
    generator = np.random.default_rng(5)
    inputs = {source.name: generator.integers(-4096, 4096, source.shape).astype(np.int16)}
    golden = run_program(GoldenDevice(TINY, 1 << 20), program, inputs)
    assert source.window == DATA
    paths = [tmp_path / name for name in ("program", "input", "output")]
    program.save(paths[0])
    paths[1].write_bytes(data_image(program, inputs))
    printed = call(folder, "run", build(TINY), mode, *paths, str(target.window))
    counters = golden.counters
    assert printed == [
        "all is well",
        "NONE 0 0",
        f"{counters['instructions']} {counters['dram_written_bytes']}",
    ]
    data = paths[2].read_bytes()[target.offset : target.offset + target.size]
    np.testing.assert_array_equal(target.unpack(data), golden.outputs[target.name])


def every_failure() -> list[failures.Failure]:
    """Return programs that stop, at least one for each error that the machine knows."""
    found = [
        *failures.instruction_failures(TINY),
        *failures.bus_failures(TINY),
        *failures.controller_failures(TINY),
        next(compressed_failures(TINY)),
    ]
    assert {failure.code for failure in found} | {ErrorCode.NONE} == set(ErrorCode)
    return found


@pytest.mark.parametrize("mode", ["poll", "interrupt"])
def test_every_error_of_the_machine_by_name(folder: Path, tmp_path: Path, mode: str) -> None:
    """Code, instruction and address are right, and after all of them a program still runs."""
    arguments: list[str | Path] = []
    expected = []
    for place, failure in enumerate(every_failure()):
        path = tmp_path / f"{place}.program"
        failure.program.save(path)
        error = failure.bus_error
        response = 0 if error is None else DECODE_ERROR if error.decode else SLAVE_ERROR
        where = (error.window, error.offset) if error else (0, 0)
        arguments += [path, *map(str, where), str(response)]
        address = MEMORY_ADDRESS
        bases = []
        for window in failure.program.windows:
            bases.append(address)
            address += -(-window.size // WINDOW_ALIGNMENT) * WINDOW_ALIGNMENT
        expected += ["the machine has stopped the program"]
        expected += [f"{failure.code.name} {failure.index} {failure.reported(bases)}"]
    last = tmp_path / "last.program"
    failures.copy_program(TINY).save(last)
    printed = call(folder, "fail", build(TINY), mode, *arguments, last, "0", "0", "0")
    assert printed == [*expected, "all is well", "NONE 0 0"]


@pytest.mark.parametrize("windows", [1, 8])
def test_other_numbers_of_windows(tmp_path: Path, windows: int) -> None:
    write_headers(override(TINY, {"controller.windows": windows}), tmp_path)
    for source in SOURCES:
        compile_c(tmp_path, *STRICT, "-ffreestanding", "-O2", "-fsyntax-only", source)


def test_c_plus_plus_takes_the_header(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "main.cpp"
    source.write_text('#include "ageha_driver.h"\n')
    options = ("-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{DRIVER}", "-I.")
    compile_c(folder, *options, "-fsyntax-only", source, compiler="g++")


@pytest.mark.parametrize(
    ("example", "options"), [("bare_metal", ["-ffreestanding", "-c"]), ("linux_uio", SOURCES)]
)
def test_examples_compile(folder: Path, example: str, options: Sequence[str | Path]) -> None:
    program = replace(
        small_program(),
        inputs=(Tensor("input", 1, 0, (3, 5), "int16", 16),),
        outputs=(Tensor("output", 1, 64, (3, 5), "int16", 16),),
    )
    (folder / "model.h").write_text(program_header(program, "model"))
    source = REPOSITORY / "examples" / "c" / f"{example}.c"
    compile_c(folder, *STRICT, "-O2", source, *options, "-o", example)
