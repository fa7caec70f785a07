"""The program file: round trips, and everything that is refused."""

import random
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ageha.hw import isa
from ageha.hw.config import INSTRUCTION_BYTES, PRESETS, override
from ageha.hw.isa import Opcode
from ageha.sw.instruction import Dram, encode
from ageha.sw.program import (
    FILE_HEADER,
    SEGMENT_HEADER,
    WINDOW_HEADER,
    Program,
    ProgramError,
    Segment,
    Window,
)
from ageha.sw.tensor import Tensor, TensorError

TINY = PRESETS["tiny"]


def program() -> Program:
    """Return a small program with something of everything."""
    return Program(
        config=TINY,
        code=encode(Opcode.LOAD, rows=1, row_words=1) + encode(Opcode.END),
        code_address=Dram(0, 0x40),
        windows=(Window("constant", 1024), Window("data", 4096, writable=True)),
        segments=(Segment(0, 512, b"weights"), Segment(1, 0, bytes(range(9)))),
        inputs=(Tensor("x", 1, 64, (2, 3, 5), "int16", 16, fraction=8),),
        outputs=(Tensor("y", 1, 1024, (4,), "int8", 4, scale="s"),),
        metadata={"products": [{"name": "query", "m": 4}]},
    )


def sealed(contents: bytes, body: bytes, changes: dict[int, int]) -> bytes:
    """Return a file with `body` and the header of `contents`, fields changed, checksums right."""
    values = list(FILE_HEADER.unpack_from(contents))
    for field, value in {**changes, -4: len(body), -2: zlib.crc32(body)}.items():
        values[field] = value
    header = FILE_HEADER.pack(*values)[:-4]
    return header + struct.pack("<I", zlib.crc32(header)) + body


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "program.bin"
    program().save(path)
    assert Program.load(path, TINY) == program()
    assert [file.name for file in tmp_path.iterdir()] == ["program.bin"]


def test_image_is_the_header_of_the_layout() -> None:
    image = program().image()
    header = isa.ProgramHeader.from_bits(int.from_bytes(image[:20], "little"))
    assert header.magic == isa.MAGIC
    assert header.version == isa.VERSION
    assert header.parameter_hash == TINY.hash
    assert header.instructions == 2
    assert header.checksum == zlib.crc32(program().code)
    assert image[64:] == program().code


@pytest.mark.parametrize("seed", range(5))
def test_every_flipped_bit_is_found(seed: int) -> None:
    generator = random.Random(seed)
    contents = program().to_bytes()
    for _ in range(200):
        bit = generator.randrange(8 * len(contents))
        damaged = bytearray(contents)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProgramError):
            Program.from_bytes(bytes(damaged))


def test_every_truncation_is_found() -> None:
    contents = program().to_bytes()
    for size in range(len(contents)):
        with pytest.raises(ProgramError, match="truncated|no program"):
            Program.from_bytes(contents[:size])
    with pytest.raises(ProgramError, match="damaged: .* instead of"):
        Program.from_bytes(contents + b"\0")


@pytest.mark.parametrize(
    ("field", "message"),
    [(1, "file version is 9, not 1"), (2, f"instruction set version is 9, not {isa.VERSION}")],
)
def test_other_versions(field: int, message: str) -> None:
    contents = program().to_bytes()
    with pytest.raises(ProgramError, match=message):
        Program.from_bytes(sealed(contents, contents[FILE_HEADER.size :], {field: 9}))


WINDOWS_FIELD = 9
TABLE = 2 * INSTRUCTION_BYTES + 2 * SEGMENT_HEADER.size
"""Where the windows of `program` are, after the header."""


def test_windows_are_outside_the_description() -> None:
    body = program().to_bytes()[FILE_HEADER.size :]
    assert WINDOW_HEADER.unpack_from(body, TABLE) == (1, 1024)
    assert WINDOW_HEADER.unpack_from(body, TABLE + WINDOW_HEADER.size) == (3, 4096)


def test_a_file_without_a_table_of_windows_is_read() -> None:
    contents = program().to_bytes()
    body = contents[FILE_HEADER.size :]
    old = body[:TABLE] + body[TABLE + 2 * WINDOW_HEADER.size :]
    assert Program.from_bytes(sealed(contents, old, {WINDOWS_FIELD: 0})) == program()


def test_the_table_of_windows_must_be_that_of_the_description() -> None:
    contents = program().to_bytes()
    body = bytearray(contents[FILE_HEADER.size :])
    body[TABLE] = 3
    with pytest.raises(ProgramError, match="windows are not those of the table"):
        Program.from_bytes(sealed(contents, bytes(body), {}))


def test_parameters_of_another_machine(tmp_path: Path) -> None:
    path = tmp_path / "program.bin"
    program().save(path)
    other = override(TINY, {"controller.windows": 5})
    with pytest.raises(ProgramError, match=r"program is for parameters 0x\w+ \(tiny\), not 0x"):
        Program.load(path, other)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="cannot be read: No such file"):
        Program.load(tmp_path / "absent")
    with pytest.raises(ProgramError, match="cannot be written: No such file"):
        program().save(tmp_path / "absent" / "program.bin")
    text = tmp_path / "text"
    text.write_text("hello, I am no program at all")
    with pytest.raises(ProgramError, match="no program: it does not begin with AGEHAPRG"):
        Program.load(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": b""}, "instructions must be from 1 to 65535, not 0"),
        ({"code": b"abc"}, "code must be a multiple of 64 bytes, not 3"),
        ({"code_address": (0, 32)}, "code_address must be a multiple of 64, not 32"),
        ({"code_address": (0, 896)}, "the code ends at byte 1088 of window 0, which has 1024"),
        ({"segments": (Segment(2, 0, b"x"),)}, "segment 0 is in window 2, of 2"),
        ({"segments": (Segment(0, 1024, b"x"),)}, "segment 0 ends at byte 1025 of window 0"),
        ({"inputs": (Tensor("y", 1, 0, (4,), "int8", 4),)}, "tensor y is there twice"),
        ({"inputs": (Tensor("x", 0, 1020, (5,), "int8", 5),)}, "tensor x ends at byte 1025"),
        ({"windows": (Window("w", 9999),) * 5}, "windows must be at most 4, not 5"),
    ],
)
def test_contradictions(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        replace(program(), **changes)


@pytest.mark.parametrize("stride", [10, 16])
def test_tensor_round_trip(stride: int) -> None:
    tensor = Tensor("x", 0, 32, (2, 3, 5), "int16", stride, fraction=4)
    array = np.arange(-15, 15, dtype=np.int16).reshape(2, 3, 5)
    memory = bytearray(256)
    for offset, data in tensor.pack(array):
        memory[offset : offset + len(data)] = data
    np.testing.assert_array_equal(tensor.unpack(bytes(memory[32 : 32 + tensor.size])), array)
    np.testing.assert_array_equal(tensor.to_float(array), array / 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0,), "int8", 8), r"x: shape must be at least 1 each way, not \(0,\)"),
        (((), "int8", 8), r"x: shape must be at least 1 each way, not \(\)"),
        (((8,), "float", 8), "x: dtype must be one of int8, .*, not float"),
        (((8,), "int16", 8), "x: stride must be at least a row, 16 bytes, not 8"),
    ],
)
def test_wrong_tensors(arguments: tuple, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        Tensor("x", 0, 0, *arguments)


def test_wrong_arrays() -> None:
    tensor = Tensor("x", 0, 0, (4,), "int8", 4)
    with pytest.raises(TensorError, match=r"x must be int8 \[4\], not int8 \[5\]"):
        list(tensor.pack(np.zeros(5, dtype=np.int8)))
    with pytest.raises(TensorError, match=r"x must be int8 \[4\], not int16 \[4\]"):
        list(tensor.pack(np.zeros(4, dtype=np.int16)))
    with pytest.raises(TensorError, match="x has 4 bytes, not 5"):
        tensor.unpack(bytes(5))
