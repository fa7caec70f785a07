"""Programs that go wrong, one for each way, and what the machine must report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..hw.config import AcceleratorConfig
from ..hw.isa import ErrorCode, Opcode
from ..sw.instruction import Dram, encode
from ..sw.program import Program, Window

CODE, CONSTANT, DATA, RESULT = range(4)
"""The windows: read-only, read-only, both, write-only."""

WINDOW_BYTES = 4096
STRIDE = 64
ROWS = 3
WATCHDOG = 3000


@dataclass(frozen=True)
class BusError:
    """A beat that the memory answers with an error.

    Parameters
    ----------
    window, offset : int
        Where.
    decode : bool
        DECERR instead of SLVERR.
    """

    window: int
    offset: int
    decode: bool


@dataclass(frozen=True)
class Failure:
    """A program that must stop.

    Parameters
    ----------
    name : str
    program : Program
    code : ErrorCode
    index : int
        The instruction that fails.
    address : int or Dram
        What the error registers hold; a place in a window for a physical address.
    bus_error : BusError, optional
    """

    name: str
    program: Program
    code: ErrorCode
    index: int
    address: int | Dram
    bus_error: BusError | None = None

    def reported(self, bases: Sequence[int]) -> int:
        """Return the contents of the error address with windows at `bases`."""
        if isinstance(self.address, Dram):
            return bases[self.address.window] + self.address.offset
        return self.address


def program(config: AcceleratorConfig, *words: bytes) -> Program:
    """Return a program of `words`, with the windows of this module."""
    return Program(
        config=config,
        code=b"".join(words),
        code_address=Dram(CODE, 0),
        windows=(
            Window("code", WINDOW_BYTES),
            Window("constant", WINDOW_BYTES),
            Window("data", WINDOW_BYTES, writable=True),
            Window("result", WINDOW_BYTES, readable=False, writable=True),
        ),
    )


def transfer(opcode: Opcode, window: int, offset: int = 0, **fields: int) -> bytes:
    """Return a LOAD or STORE of `ROWS` rows of 4 words."""
    values = {"rows": ROWS, "row_words": 4, "dram_stride": STRIDE, "pitch": 4} | fields
    return encode(opcode, dram_address=Dram(window, offset), **values)


END = encode(Opcode.END)
LOAD = transfer(Opcode.LOAD, CONSTANT)
LAST = (ROWS - 1) * STRIDE + 32 - 1


def copy_program(config: AcceleratorConfig) -> Program:
    """Return a program that copies the rows of CONSTANT to RESULT."""
    return program(
        config,
        transfer(Opcode.LOAD, CONSTANT, signal=1),
        transfer(Opcode.STORE, RESULT, wait=1, signal=2),
        encode(Opcode.END, wait=2),
    )


def _words(config: AcceleratorConfig) -> Iterator[tuple[str, bytes, ErrorCode, int]]:
    """Yield a name, one bad instruction, and the error that it gives."""
    size = config.scratchpad_words
    operand, outside = ErrorCode.ILLEGAL_OPERAND, ErrorCode.SCRATCHPAD_RANGE
    matmul = {"m": 4, "n": 4, "k": 4, "a_pitch": 1, "b_pitch": 1}
    vector = {"rows": 1, "columns": 1}
    yield "opcode zero", bytes(64), ErrorCode.ILLEGAL_OPCODE, 0
    yield "opcode", b"\x77" + bytes(63), ErrorCode.ILLEGAL_OPCODE, 0x77
    for opcode in (Opcode.LOAD, Opcode.STORE):
        name = opcode.name.lower()
        last = transfer(opcode, DATA, address=size - 11)
        far = transfer(opcode, DATA, WINDOW_BYTES - LAST + 31)
        yield f"{name} range", last, outside, size
        yield f"{name} operand", transfer(opcode, DATA, 4), operand, 4
        yield f"{name} end of window", far, ErrorCode.WINDOW, WINDOW_BYTES + 31
        yield f"{name} no window", transfer(opcode, 200), ErrorCode.WINDOW, LAST
    yield "load permission", transfer(Opcode.LOAD, RESULT), ErrorCode.WINDOW, LAST
    yield "store permission", transfer(Opcode.STORE, CONSTANT), ErrorCode.WINDOW, LAST
    yield "matmul operand", encode(Opcode.MATMUL, m=1, n=1), operand, 0
    yield "matmul range", encode(Opcode.MATMUL, **matmul, y_address=size), outside, size
    yield "quantise operand", encode(Opcode.QUANTISE, rows=1), operand, 0
    yield "quantise range", encode(Opcode.QUANTISE, **vector, x_address=size + 7), outside, size + 7
    yield "softmax range", encode(Opcode.SOFTMAX, **vector, y_address=size + 1), outside, size + 1
    normalise = encode(Opcode.NORMALISE, **vector, parameter_pitch=size + 9)
    yield "normalise range", normalise, outside, size + 9
    yield "multiply operand", encode(Opcode.MULTIPLY, **vector, y_fraction=1), operand, 0
    yield "multiply range", encode(Opcode.MULTIPLY, **vector, w_address=size + 3), outside, size + 3


def instruction_failures(config: AcceleratorConfig) -> Iterator[Failure]:
    """Yield programs in which one instruction is wrong."""
    for name, word, code, address in _words(config):
        yield Failure(name, program(config, LOAD, word, END), code, 1, address)


def bus_failures(config: AcceleratorConfig) -> Iterator[Failure]:
    """Yield programs to which the memory answers with an error."""
    for decode in (False, True):
        kind = "decode" if decode else "slave"
        read = ErrorCode.READ_DECODE_ERROR if decode else ErrorCode.READ_SLAVE_ERROR
        write = ErrorCode.WRITE_DECODE_ERROR if decode else ErrorCode.WRITE_SLAVE_ERROR
        words = (LOAD, transfer(Opcode.STORE, RESULT), END)
        made = program(config, *words)
        for window, code, index in ((CONSTANT, read, 0), (RESULT, write, 1)):
            place = Dram(window, STRIDE)
            error = BusError(window, STRIDE + 32 - config.axi_bytes, decode)
            yield Failure(f"{kind} error in {code.name}", made, code, index, place, error)
        for word in (0, 1, 3):
            place, index = Dram(CODE, 64 * word), max(0, word - 1)
            error = BusError(CODE, 64 * word, decode)
            yield Failure(f"{kind} error in word {word}", made, read, index, place, error)


def controller_failures(config: AcceleratorConfig) -> Iterator[Failure]:
    """Yield programs that the controller itself stops."""
    signals = [transfer(Opcode.LOAD, CONSTANT, signal=2, rows=1)] * 256
    long = Program(
        config=config,
        code=b"".join([*signals, END]),
        code_address=Dram(CODE, 0),
        windows=(Window("code", 5 * WINDOW_BYTES), Window("constant", WINDOW_BYTES)),
    )
    yield Failure("overflow", long, ErrorCode.SEMAPHORE_OVERFLOW, 255, 1)
    endless = program(config, LOAD, transfer(Opcode.STORE, RESULT, wait=1), END)
    yield Failure("watchdog", endless, ErrorCode.WATCHDOG, 1, 0b1000)
    yield Failure("no end", program(config, LOAD), ErrorCode.PROGRAM_HEADER, 1, 12)
