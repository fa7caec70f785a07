"""The program file: microcode, the data it needs, and what its inputs and outputs mean.

All numbers are little endian. A file is

- a fixed header of 64 bytes (`FILE_HEADER`),
- the instructions, 64 bytes each,
- the segments, 24 bytes each (`SEGMENT_HEADER`: window, zero, offset, length),
- the windows, 16 bytes each (`WINDOW_HEADER`: flags, zero, size),
- the data of the segments, one after the other,
- JSON: the parameters of the machine, windows, tensors, and free metadata.

Everything that a device needs is outside the JSON, so that firmware reads no JSON. A file that
was written before there was a table of windows has none, and is read all the same.

The header's last word is the CRC-32 of the header before it, the word before that is the CRC-32 of
everything after the header, so that a flipped bit anywhere is found.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..hw import isa
from ..hw.config import INSTRUCTION_BYTES, AcceleratorConfig, ConfigError, from_dict
from ..hw.ports import INDEX_BITS
from .instruction import Dram
from .tensor import Tensor, TensorError

FILE_MAGIC = b"AGEHAPRG"
FILE_VERSION = 1

FILE_HEADER = struct.Struct("<8s6IQQI4xII")
"""Magic, file version, ISA version, parameter hash, instructions, segments, code window, code
offset, bytes after the header, windows, checksum of these, checksum of the header."""

SEGMENT_HEADER = struct.Struct("<IIQQ")
"""Window, zero, offset in the window, length in bytes."""

WINDOW_HEADER = struct.Struct("<I4xQ")
"""Flags (bit 0 readable, bit 1 writable), size in bytes."""

MAXIMUM_INSTRUCTIONS = (1 << INDEX_BITS) - 1


class ProgramError(ValueError):
    """A program is damaged, contradicts itself, or is for another machine."""


@dataclass(frozen=True)
class Window:
    """A stretch of DRAM that the host opens for the program.

    Parameters
    ----------
    name : str
    size : int
        Bytes.
    readable, writable : bool
        What the machine may do there.
    """

    name: str
    size: int
    readable: bool = True
    writable: bool = False

    @property
    def flags(self) -> int:
        """Bit 0: readable, bit 1: writable."""
        return int(self.readable) | int(self.writable) << 1


@dataclass(frozen=True)
class Segment:
    """Bytes that the host writes before the first run, such as weights.

    Parameters
    ----------
    window : int
        Index of the window.
    offset : int
        Bytes from its start.
    data : bytes
    """

    window: int
    offset: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes of data."""
        return len(self.data)


@dataclass(frozen=True)
class Program:
    """Everything a device needs to run.

    Parameters
    ----------
    config : AcceleratorConfig
        The machine that the program is for.
    code : bytes
        Instruction words.
    code_address : Dram
        Where the host puts the program header and, 64 bytes on, the instructions.
    windows : tuple of Window
        In the order of their indices.
    segments : tuple of Segment
        Constant data.
    inputs, outputs : tuple of Tensor
        What the host writes before and reads after a run.
    metadata : mapping
        Anything JSON can hold, such as the list of products for reports.

    Raises
    ------
    ProgramError
        If something lies outside its window, or a name or a window is missing or doubled.
    """

    config: AcceleratorConfig
    code: bytes
    code_address: Dram
    windows: tuple[Window, ...]
    segments: tuple[Segment, ...] = ()
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "code_address", Dram(*self.code_address))
        for name in ("windows", "segments", "inputs", "outputs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        limit = self.config.controller.windows
        if len(self.windows) > limit:
            raise ProgramError(f"windows must be at most {limit}, not {len(self.windows)}")
        if len(self.code) % INSTRUCTION_BYTES:
            raise ProgramError(f"code must be a multiple of 64 bytes, not {len(self.code)}")
        if not 1 <= self.instructions <= MAXIMUM_INSTRUCTIONS:
            raise ProgramError(
                f"instructions must be from 1 to {MAXIMUM_INSTRUCTIONS}, not {self.instructions}"
            )
        if self.code_address.offset % INSTRUCTION_BYTES:
            raise ProgramError(
                f"code_address must be a multiple of 64, not {self.code_address.offset}"
            )
        self._check_range("the code", *self.code_address, len(self.image()))
        for number, segment in enumerate(self.segments):
            self._check_range(f"segment {number}", segment.window, segment.offset, segment.size)
        names = [tensor.name for tensor in (*self.inputs, *self.outputs)]
        for tensor in (*self.inputs, *self.outputs):
            self._check_range(f"tensor {tensor.name}", tensor.window, tensor.offset, tensor.size)
            if names.count(tensor.name) > 1:
                raise ProgramError(f"tensor {tensor.name} is there twice")

    def _check_range(self, what: str, window: int, offset: int, size: int) -> None:
        if not 0 <= window < len(self.windows):
            raise ProgramError(f"{what} is in window {window}, of {len(self.windows)}")
        limit = self.windows[window].size
        if offset < 0 or offset + size > limit:
            raise ProgramError(
                f"{what} ends at byte {offset + size} of window {window}, which has {limit} bytes"
            )

    @property
    def instructions(self) -> int:
        """Number of instructions."""
        return len(self.code) // INSTRUCTION_BYTES

    def image(self) -> bytes:
        """Return what lies at `code_address`: the program header and the instructions."""
        header = (
            isa.MAGIC,
            isa.VERSION,
            self.config.hash,
            self.instructions,
            zlib.crc32(self.code),
        )
        return struct.pack("<5I", *header).ljust(INSTRUCTION_BYTES, b"\0") + self.code

    def check(self, config: AcceleratorConfig) -> None:
        """Check that the program is for `config`.

        Raises
        ------
        ProgramError
            If its parameters are others.
        """
        if config.hash != self.config.hash:
            raise ProgramError(
                f"program is for parameters {self.config.hash:#010x} ({self.config.name}), "
                f"not {config.hash:#010x} ({config.name})"
            )

    def to_bytes(self) -> bytes:
        """Return the contents of the program's file."""
        text = json.dumps(
            {
                "parameters": self.config.to_dict(),
                "windows": [asdict(window) for window in self.windows],
                "inputs": [asdict(tensor) for tensor in self.inputs],
                "outputs": [asdict(tensor) for tensor in self.outputs],
                "metadata": dict(self.metadata),
            },
            sort_keys=True,
        ).encode()
        body = self.code
        for segment in self.segments:
            body += SEGMENT_HEADER.pack(segment.window, 0, segment.offset, segment.size)
        for window in self.windows:
            body += WINDOW_HEADER.pack(window.flags, window.size)
        body += b"".join(segment.data for segment in self.segments) + text
        header = FILE_HEADER.pack(
            FILE_MAGIC,
            FILE_VERSION,
            isa.VERSION,
            self.config.hash,
            self.instructions,
            len(self.segments),
            self.code_address.window,
            self.code_address.offset,
            len(body),
            len(self.windows),
            zlib.crc32(body),
            0,
        )[:-4]
        return header + struct.pack("<I", zlib.crc32(header)) + body

    def save(self, path: Path | str) -> None:
        """Write the program to `path`, whole or not at all.

        Raises
        ------
        ProgramError
            If the file cannot be written.
        """
        path = Path(path)
        temporary = None
        try:
            with tempfile.NamedTemporaryFile(
                dir=path.parent, prefix=f".{path.name}.", delete=False
            ) as file:
                temporary = Path(file.name)
                file.write(self.to_bytes())
            temporary.chmod(0o644)
            os.replace(temporary, path)
        except OSError as error:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise ProgramError(f"{path}: cannot be written: {error.strerror}") from None

    @classmethod
    def load(cls, path: Path | str, config: AcceleratorConfig | None = None) -> Program:
        """Read a program, and check that it is for `config` if that is given.

        Raises
        ------
        ProgramError
            If the file cannot be read, is no program, is of another version, is damaged, or is
            for other parameters.
        """
        try:
            contents = Path(path).read_bytes()
        except OSError as error:
            raise ProgramError(f"{path}: cannot be read: {error.strerror}") from None
        try:
            program = cls.from_bytes(contents)
            if config is not None:
                program.check(config)
        except ProgramError as error:
            raise ProgramError(f"{path}: {error}") from None
        return program

    @classmethod
    def from_bytes(cls, contents: bytes) -> Program:
        """Return the program in the `contents` of a file.

        Raises
        ------
        ProgramError
            As `load`.
        """
        header = _read_header(contents)
        body = contents[FILE_HEADER.size :]
        code_size = header.instructions * INSTRUCTION_BYTES
        code, rest = body[:code_size], body[code_size:]
        segments, text = _read_segments(rest, header)
        table = _read_windows(rest, header)
        try:
            description = json.loads(text)
            config = from_dict(description["parameters"])
            program = cls(
                config=config,
                code=code,
                code_address=Dram(header.code_window, header.code_offset),
                windows=tuple(Window(**window) for window in description["windows"]),
                segments=segments,
                inputs=tuple(Tensor(**tensor) for tensor in description["inputs"]),
                outputs=tuple(Tensor(**tensor) for tensor in description["outputs"]),
                metadata=description["metadata"],
            )
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise ProgramError(f"description is damaged: {error}") from None
        except (ConfigError, TensorError) as error:
            raise ProgramError(str(error)) from None
        if table and table != [(window.flags, window.size) for window in program.windows]:
            raise ProgramError("description is damaged: windows are not those of the table")
        if config.hash != header.parameter_hash:
            raise ProgramError(
                f"parameters hash to {config.hash:#010x}, not to {header.parameter_hash:#010x}"
            )
        return program


class _Header(NamedTuple):
    """The fields of `FILE_HEADER`."""

    magic: bytes
    file_version: int
    isa_version: int
    parameter_hash: int
    instructions: int
    segments: int
    code_window: int
    code_offset: int
    body_bytes: int
    windows: int
    body_checksum: int
    header_checksum: int


def _read_header(contents: bytes) -> _Header:
    if contents[: len(FILE_MAGIC)] != FILE_MAGIC:
        raise ProgramError(f"no program: it does not begin with {FILE_MAGIC.decode()}")
    if len(contents) < FILE_HEADER.size:
        raise ProgramError(f"truncated: {len(contents)} bytes, of a header of {FILE_HEADER.size}")
    header = _Header(*FILE_HEADER.unpack_from(contents))
    if zlib.crc32(contents[: FILE_HEADER.size - 4]) != header.header_checksum:
        raise ProgramError("damaged: the checksum of the header is wrong")
    if header.file_version != FILE_VERSION:
        raise ProgramError(f"file version is {header.file_version}, not {FILE_VERSION}")
    if header.isa_version != isa.VERSION:
        raise ProgramError(f"instruction set version is {header.isa_version}, not {isa.VERSION}")
    expected = FILE_HEADER.size + header.body_bytes
    if len(contents) < expected:
        raise ProgramError(f"truncated: {len(contents)} bytes, of {expected}")
    if len(contents) > expected:
        raise ProgramError(f"damaged: {len(contents)} bytes, instead of {expected}")
    if zlib.crc32(contents[FILE_HEADER.size :]) != header.body_checksum:
        raise ProgramError("damaged: the checksum is wrong")
    return header


def _read_segments(rest: bytes, header: _Header) -> tuple[tuple[Segment, ...], bytes]:
    """Return the segments at the start of `rest`, and what follows their data."""
    table = header.segments * SEGMENT_HEADER.size
    position = table + header.windows * WINDOW_HEADER.size
    segments = []
    for window, _, offset, size in SEGMENT_HEADER.iter_unpack(rest[:table]):
        segments.append(Segment(window, offset, rest[position : position + size]))
        position += size
    return tuple(segments), rest[position:]


def _read_windows(rest: bytes, header: _Header) -> list[tuple[int, int]]:
    """Return flags and size of each window, after the segments at the start of `rest`."""
    start = header.segments * SEGMENT_HEADER.size
    return list(
        WINDOW_HEADER.iter_unpack(rest[start : start + header.windows * WINDOW_HEADER.size])
    )
