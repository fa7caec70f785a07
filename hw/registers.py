"""The register map: the one source of the register file, the driver, the C header and the docs.

Addresses 0x00 to 0x0C follow the control registers of AMD's HLS kernels, so that stock drivers can
start a program. 64-bit values are a `_low` and a `_high` register, low first.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from .config import AcceleratorConfig
from .isa import MAGIC, VERSION

ADDRESS_BITS = 12
"""Bits of a register byte address."""

DATA_BITS = 32
"""Bits of a register."""

WINDOW_OFFSET = 0x100
"""Byte address of the first window."""

WINDOW_STRIDE = 0x20
"""Bytes between the registers of two windows."""

COUNTER_OFFSET = 0x200
"""Byte address of the first counter."""

DRAM_BITS = 48
"""Bits of a window base, a window size and an offset in a window."""


class Access(enum.Enum):
    """What the host can do with a field."""

    CONSTANT = "fixed when the accelerator is generated"
    READ_ONLY = "the hardware writes, the host reads"
    READ_WRITE = "the host writes, the hardware reads"
    READ_CLEAR = "the hardware sets, a read clears"
    COUNTED = "the hardware counts, a read waits for the total"
    WRITE_SET = "writing one sets, the hardware clears"
    WRITE_TOGGLE = "the hardware sets, writing one toggles"


@dataclass(frozen=True)
class Field:
    """Bits of a register.

    Parameters
    ----------
    name : str
        Lower case, unique in its register.
    low : int
        Place of the lowest bit.
    width : int
        Number of bits.
    access : Access
    description : str
        One sentence.
    reset : int
        Value after reset, or of a constant.
    """

    name: str
    low: int
    width: int
    access: Access
    description: str
    reset: int = 0

    @property
    def mask(self) -> int:
        """The field's bits, in place."""
        return ((1 << self.width) - 1) << self.low


@dataclass(frozen=True)
class Register:
    """A 32-bit register.

    Parameters
    ----------
    name : str
        Lower case, unique in the map.
    offset : int
        Byte address.
    fields : tuple of Field
        Bits that belong to no field read as zero and ignore writes.
    description : str
        One sentence.
    """

    name: str
    offset: int
    fields: tuple[Field, ...]
    description: str

    @property
    def reset(self) -> int:
        """Value after reset."""
        return sum(field.reset << field.low for field in self.fields)

    def field(self, name: str) -> Field:
        """Return the field called `name`.

        Raises
        ------
        KeyError
            If there is none.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.name} has no field {name}")


@dataclass(frozen=True)
class Counter:
    """A 64-bit counter, cleared when a program starts and still when the machine is idle.

    The high half is that of the last reading of the low half, so that a counter is one number also
    while it counts. See `hw.counters.CounterReadSignature`.
    """

    name: str
    description: str


COUNTERS = (
    Counter("cycles", "Cycles from the start of the program to its end."),
    Counter("instructions", "Instructions finished, END included."),
    Counter("load_busy", "Cycles in which the load unit was busy."),
    Counter("load_wait", "Cycles in which the next instruction of the load unit waited."),
    Counter("array_busy", "Cycles in which the array was busy."),
    Counter("array_wait", "Cycles in which the next instruction of the array waited."),
    Counter("vector_busy", "Cycles in which the vector unit was busy."),
    Counter("vector_wait", "Cycles in which the next instruction of the vector unit waited."),
    Counter("store_busy", "Cycles in which the store unit was busy."),
    Counter("store_wait", "Cycles in which the next instruction of the store unit waited."),
    Counter("butterfly_busy", "Cycles in which the butterfly unit was busy."),
    Counter("butterfly_wait", "Cycles in which its next instruction waited."),
    Counter("array_multiplies", "Multiplications of matrix elements; padding does not count."),
    Counter("array_active", "Cycles in which the array multiplied."),
    Counter("array_skipped", "Steps of the dense flow that a sparse one did without."),
    Counter("array_operand_stall", "Cycles in which the array waited for operands."),
    Counter("array_drain_stall", "Cycles in which the array waited for the drain."),
    Counter(
        "butterfly_multiplies", "Multiplications of butterfly factors; padding does not count."
    ),
    Counter("butterfly_beats", "Cycles in which a pair a lane entered the butterfly stages."),
    Counter("butterfly_saturated", "Cycles in which a result of a butterfly stage was limited."),
    Counter(
        "vector_beats", "Cycles in which an element a lane entered the vector unit's pipeline."
    ),
    Counter("load_written_words", "Words that the load unit wrote to the scratchpad."),
    Counter("array_read_lines", "Lines that the array read from the scratchpad."),
    Counter("array_written_words", "Words that the array wrote to the scratchpad."),
    Counter("vector_read_lines", "Lines that the vector unit read from the scratchpad."),
    Counter("vector_written_words", "Words that the vector unit wrote to the scratchpad."),
    Counter("store_read_lines", "Lines that the store unit read from the scratchpad."),
    Counter("butterfly_read_lines", "Lines that the butterfly unit read from the scratchpad."),
    Counter("butterfly_written_words", "Words that the butterfly unit wrote to the scratchpad."),
    Counter("dram_read_bytes", "Bytes read from DRAM, the program included."),
    Counter("dram_written_bytes", "Bytes written to DRAM."),
)
"""The counters, in the order of their addresses."""


def _control() -> Iterator[Register]:
    yield Register(
        "control",
        0x00,
        (
            Field("start", 0, 1, Access.WRITE_SET, "Start; clears when the program has ended."),
            Field("done", 1, 1, Access.READ_CLEAR, "A program has ended since the last read."),
            Field("idle", 2, 1, Access.READ_ONLY, "No program is running.", reset=1),
            Field("ready", 3, 1, Access.READ_CLEAR, "Start has cleared since the last read."),
        ),
        "Start and state of the machine.",
    )
    yield Register(
        "global_interrupt_enable",
        0x04,
        (Field("enable", 0, 1, Access.READ_WRITE, "Connects the interrupt output."),),
        "Enables the interrupt.",
    )
    sources = (
        ("done", "A program has ended, with or without an error."),
        ("ready", "Start has cleared."),
        ("error", "A program was stopped by an error."),
    )
    yield Register(
        "interrupt_enable",
        0x08,
        tuple(
            Field(name, bit, 1, Access.READ_WRITE, f"Notes this event: {text.lower()}")
            for bit, (name, text) in enumerate(sources)
        ),
        "Chooses the events that the interrupt status notes.",
    )
    yield Register(
        "interrupt_status",
        0x0C,
        tuple(
            Field(name, bit, 1, Access.WRITE_TOGGLE, text)
            for bit, (name, text) in enumerate(sources)
        ),
        "Events that were noted; the interrupt is high while any is.",
    )


def _identity(config: AcceleratorConfig) -> Iterator[Register]:
    constants = (
        ("identity", MAGIC, "The letters AGEH, as in the header of a program."),
        ("version", VERSION, "Version of the instruction set."),
        ("parameter_hash", config.hash, "Hash of the parameters; a program must carry the same."),
    )
    for place, (name, value, text) in enumerate(constants):
        field = Field("value", 0, DATA_BITS, Access.CONSTANT, text, reset=value)
        yield Register(name, 0x10 + 4 * place, (field,), text)


def _program() -> Iterator[Register]:
    yield Register(
        "soft_reset",
        0x1C,
        (
            Field(
                "request",
                0,
                1,
                Access.WRITE_SET,
                "Abandon the program and forget errors and events; clears when that is done.",
            ),
        ),
        "Stops the machine; windows and interrupt enables stay.",
    )
    yield Register(
        "program_address_low",
        0x20,
        (Field("offset", 0, 32, Access.READ_WRITE, "Low bits of the offset in its window."),),
        "Where the program's header lies, low half; the physical address is a multiple of 64.",
    )
    yield Register(
        "program_address_high",
        0x24,
        (
            Field("offset", 0, 16, Access.READ_WRITE, "High bits of the offset in its window."),
            Field("window", 24, 8, Access.READ_WRITE, "The window of the program, readable."),
        ),
        "Where the program's header lies, high half.",
    )
    yield Register(
        "program_length",
        0x28,
        (Field("instructions", 0, 16, Access.READ_WRITE, "As in the header of the program."),),
        "Number of instructions, without the header.",
    )
    yield Register(
        "watchdog",
        0x2C,
        (Field("cycles", 0, 32, Access.READ_WRITE, "Limit; zero turns the watchdog off."),),
        "Cycles without progress after which the machine stops.",
    )


def _error() -> Iterator[Register]:
    yield Register(
        "error_code",
        0x30,
        (Field("code", 0, 8, Access.READ_ONLY, "An ErrorCode; zero if there was no error."),),
        "Why the last program was stopped; the first error counts.",
    )
    yield Register(
        "error_index",
        0x34,
        (Field("index", 0, 16, Access.READ_ONLY, "Counts from zero, without the header."),),
        "The instruction that failed.",
    )
    for half, low in (("low", 0), ("high", 32)):
        text = f"Bits {low + 31} to {low} of the address, operand or opcode that failed."
        yield Register(
            f"error_address_{half}",
            0x38 + low // 8,
            (Field("address", 0, DATA_BITS, Access.READ_ONLY, text),),
            text,
        )


def _window(index: int) -> Iterator[Register]:
    offset = WINDOW_OFFSET + WINDOW_STRIDE * index
    for place, (name, text) in enumerate(
        (("base", "Physical byte address of window"), ("size", "Bytes in window"))
    ):
        for half, width, low in (("low", 32, 0), ("high", DRAM_BITS - 32, 32)):
            about = f"{text} {index}, bits {low + width - 1} to {low}."
            yield Register(
                f"window{index}_{name}_{half}",
                offset + 8 * place + low // 8,
                (Field(name, 0, width, Access.READ_WRITE, about),),
                about,
            )
    yield Register(
        f"window{index}_flags",
        offset + 16,
        (
            Field("readable", 0, 1, Access.READ_WRITE, "Programs, loads and fetches may read."),
            Field("writable", 1, 1, Access.READ_WRITE, "Stores may write."),
        ),
        f"What window {index} is open for.",
    )


def _counters() -> Iterator[Register]:
    for place, counter in enumerate(COUNTERS):
        for half, low in (("low", 0), ("high", 32)):
            text = f"{counter.description} Bits {low + 31} to {low}."
            yield Register(
                f"{counter.name}_{half}",
                COUNTER_OFFSET + 8 * place + low // 8,
                (Field("count", 0, DATA_BITS, Access.COUNTED, text),),
                text,
            )


def register_map(config: AcceleratorConfig) -> tuple[Register, ...]:
    """Return the registers of `config`, in the order of their addresses."""
    registers = [*_control(), *_identity(config), *_program(), *_error()]
    for index in range(config.controller.windows):
        registers += _window(index)
    registers += _counters()
    return tuple(registers)


def offsets(config: AcceleratorConfig) -> dict[str, int]:
    """Return the byte address of each register of `config` by name."""
    return {register.name: register.offset for register in register_map(config)}
