"""Programs for benches of the controller: random ones that cannot deadlock, and their images."""

from __future__ import annotations

import random
import struct
import zlib

from ...hw.config import INSTRUCTION_BYTES, AcceleratorConfig
from ...hw.isa import MAGIC, UNIT_OF, UNITS, VERSION, Opcode, Unit

OPCODES = {unit: [code for code in Opcode if UNIT_OF[code] == unit] for unit in UNITS}

HEADER = struct.Struct("<5I")


def word(opcode: int, wait: int = 0, signal: int = 0, body: int = 0) -> bytes:
    """Return an instruction word; `body` is what follows its header."""
    value = opcode | wait << 32 | signal << 64 | body << 96
    return value.to_bytes(INSTRUCTION_BYTES, "little")


END = word(Opcode.END.value)


def image(config: AcceleratorConfig, words: list[bytes], **fields: int) -> bytes:
    """Return the program header and `words`; `fields` replaces fields of the header."""
    values = {
        "magic": MAGIC,
        "version": VERSION,
        "parameter_hash": config.hash,
        "instructions": len(words),
        "checksum": zlib.crc32(b"".join(words)),
    }
    header = HEADER.pack(*(values | fields).values())
    return header.ljust(INSTRUCTION_BYTES, b"\0") + b"".join(words)


class RandomProgram:
    """Instructions in an order in which they can run one after the other.

    Each semaphore is given by one unit and waited for by one unit, so that no instruction takes
    what another one needs, and the order of the program is one of those that run to the end.

    Parameters
    ----------
    random : random.Random
    config : AcceleratorConfig
    length : int
        Instructions, END included, at least 1.

    Attributes
    ----------
    words : list of bytes
    units : list of Unit
        Of each instruction; CONTROLLER of END.
    waits, signals : list of list of int
        Semaphores of each instruction.
    """

    def __init__(self, random: random.Random, config: AcceleratorConfig, length: int) -> None:
        self.words: list[bytes] = []
        self.units: list[Unit] = []
        self.waits: list[list[int]] = []
        self.signals: list[list[int]] = []
        pairs = [(giver, taker) for giver in UNITS for taker in (*UNITS, Unit.CONTROLLER)]
        random.shuffle(pairs)
        owners = dict(enumerate(pairs[: config.controller.semaphores]))
        counts = dict.fromkeys(owners, 0)
        for _ in range(length - 1):
            unit = random.choice(UNITS)
            self._append(random, random.choice(OPCODES[unit]), unit, owners, counts)
        self._append(random, Opcode.END, Unit.CONTROLLER, owners, counts)

    def _append(
        self,
        random: random.Random,
        opcode: Opcode,
        unit: Unit,
        owners: dict[int, tuple[Unit, Unit]],
        counts: dict[int, int],
    ) -> None:
        takes = [
            place
            for place, (_, taker) in owners.items()
            if taker == unit and counts[place] and random.random() < 0.7
        ]
        for place in takes:
            counts[place] -= 1
        gives = [
            place
            for place, (giver, _) in owners.items()
            if giver == unit and counts[place] < 200 and random.random() < 0.3
        ]
        for place in gives:
            counts[place] += 1
        mask = lambda places: sum(1 << place for place in places)  # noqa: E731
        body = random.getrandbits(8 * INSTRUCTION_BYTES - 96)
        self.words.append(word(opcode.value, mask(takes), mask(gives), body))
        self.units.append(unit)
        self.waits.append(takes)
        self.signals.append(gives)
