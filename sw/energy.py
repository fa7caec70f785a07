"""Energy of a program: events that the hardware counted, times a table of energies an event.

The table that is used unless another is given is that of M. Horowitz, "Computing's energy problem
(and what we can do about it)", ISSCC 2014. `docs/energy.md` has the equations.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ..hw.config import WORD_BYTES, AcceleratorConfig

WORD_BITS = 8 * WORD_BYTES
WEIGHT_BITS = 8
"""Operands of the array."""

WORD_RESULTS = 4
"""int16 of a word that the array writes."""

RATIO_BITS = 16
"""The product of two scales, which an accumulator is multiplied by."""

LANE_BITS = 18
"""Operands of the two multipliers of a lane of the vector unit, and data of the butterfly unit."""

COEFFICIENT_BITS = 16

ENERGY_PARTS = ("array", "vector", "butterfly", "scratchpad", "dram", "base")
"""Parts of the energy, in the order of tables."""

LARGEST = 1e9
"""No event costs more picojoules than this."""


class EnergyError(ValueError):
    """A table of energies is wrong; the message says where and what is allowed."""


@dataclass(frozen=True)
class EnergyTable:
    """Energies of events in picojoules.

    Parameters
    ----------
    title : str
        Process and source.
    multiply_8 : float
        A product of 8 by 8 bits; others in proportion to the product of their widths.
    add_32 : float
        A sum of 32 bits; others in proportion to their width.
    memory_64 : float
        Reading or writing 64 bits of a memory of `memory_bytes`.
    memory_bytes : float
    memory_exponent : float
        A memory of c bytes takes ``memory_64 · (c / memory_bytes) ^ memory_exponent``.
    register_32 : float
        Reading or writing 32 bits of a register.
    dram_64 : float
        Moving 64 bits to or from DRAM.
    cycle : float
        A cycle of the machine, whatever it does.
    """

    title: str
    multiply_8: float
    add_32: float
    memory_64: float
    memory_bytes: float
    memory_exponent: float
    register_32: float
    dram_64: float
    cycle: float

    def multiply(self, first_bits: int, second_bits: int) -> float:
        """Return the energy of a product of numbers of so many bits."""
        return self.multiply_8 * first_bits * second_bits / 64

    def add(self, bits: int) -> float:
        """Return the energy of a sum of so many bits."""
        return self.add_32 * bits / 32

    def register(self, bits: int) -> float:
        """Return the energy of reading or writing so many bits of registers."""
        return self.register_32 * bits / 32

    def memory_word(self, capacity: float) -> float:
        """Return the energy of reading or writing eight bytes of a memory of `capacity` bytes."""
        return self.memory_64 * math.pow(capacity / self.memory_bytes, self.memory_exponent)


@dataclass(frozen=True)
class Energy:
    """Where the energy of a program went, in picojoules.

    Parameters
    ----------
    array, vector, butterfly : float
        Arithmetic and registers of the units.
    scratchpad, dram : float
        Data that moved.
    base : float
        Of the cycles themselves.
    cycles : int
        How long it took.
    """

    array: float
    vector: float
    butterfly: float
    scratchpad: float
    dram: float
    base: float
    cycles: int

    @property
    def parts(self) -> dict[str, float]:
        """The energies by name."""
        return {name: getattr(self, name) for name in ENERGY_PARTS}

    @property
    def total(self) -> float:
        """The sum of all parts, in picojoules."""
        return sum(self.parts.values())

    @property
    def delay_product(self) -> float:
        """Energy times delay, in picojoules times cycles."""
        return self.total * self.cycles


def measure_energy(
    counters: Mapping[str, int], config: AcceleratorConfig, table: EnergyTable
) -> Energy:
    """Return the energy of a program.

    Parameters
    ----------
    counters : mapping of str to int
        Those of `hw.registers.COUNTERS`; they must come from hardware or its simulation, as the
        golden model counts no lines that are read and no cycles.
    config : AcceleratorConfig
        The machine that counted.
    table : EnergyTable
    """
    accumulator = config.array.accumulator_width
    multiply_add = (
        table.multiply(WEIGHT_BITS, WEIGHT_BITS)
        + table.add(accumulator)
        + 2 * table.register(WEIGHT_BITS)
        + 2 * table.register(accumulator)
    )
    requantise = (
        table.multiply(accumulator, RATIO_BITS)
        + table.register(accumulator)
        + table.register(RATIO_BITS)
    )
    results = WORD_RESULTS * counters["array_written_words"]
    element = 2 * (table.multiply(LANE_BITS, LANE_BITS) + 2 * table.register(LANE_BITS))
    factor = (
        table.multiply(LANE_BITS, COEFFICIENT_BITS)
        + table.add(LANE_BITS + COEFFICIENT_BITS)
        + 2 * table.register(LANE_BITS + COEFFICIENT_BITS)
    )
    dram_bytes = counters["dram_read_bytes"] + counters["dram_written_bytes"]
    return Energy(
        array=counters["array_multiplies"] * multiply_add + results * requantise,
        vector=counters["vector_beats"] * config.vector_lanes * element,
        butterfly=counters["butterfly_multiplies"] * factor,
        scratchpad=scratchpad_words(counters, config)
        * table.memory_word(config.scratchpad.bytes / config.scratchpad.banks),
        dram=dram_bytes / WORD_BYTES * table.dram_64,
        base=counters["cycles"] * table.cycle,
        cycles=counters["cycles"],
    )


def scratchpad_words(counters: Mapping[str, int], config: AcceleratorConfig) -> int:
    """Return the words that banks of the scratchpad read and wrote; a line reads all of them."""
    lines = sum(value for name, value in counters.items() if name.endswith("_read_lines"))
    written = sum(value for name, value in counters.items() if name.endswith("_written_words"))
    return lines * config.lanes + written


@cache
def default_table() -> EnergyTable:
    """Return the table of Horowitz, ISSCC 2014: 45 nm, 0.9 V."""
    text = resources.files(__package__).joinpath("energy.toml").read_text(encoding="utf-8")
    return parse_table(text, "energy.toml")


def read_table(path: Path | None) -> EnergyTable:
    """Return the table in a file, or the default one without a file.

    Raises
    ------
    EnergyError
        If the file cannot be read, is no TOML, lacks an entry, has one too many, or has a value
        out of range.
    """
    if path is None:
        return default_table()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise EnergyError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise EnergyError(f"{path}: is no text file") from None
    return parse_table(text, str(path))


def parse_table(text: str, name: str) -> EnergyTable:
    """Return the table in a TOML text; `name` is that of the file, for messages.

    Raises
    ------
    EnergyError
        As `read_table`.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EnergyError(f"{name}: is no TOML: {error}") from None
    known = [field.name for field in fields(EnergyTable)]
    for entry in values:
        if entry not in known:
            raise EnergyError(f"{name}: {entry} is no entry; choose from {', '.join(known)}")
    for entry in known:
        if entry not in values:
            raise EnergyError(f"{name}: {entry} is missing")
    if not isinstance(values["title"], str):
        raise EnergyError(f"{name}: title must be a text, not {values['title']!r}")
    numbers = {entry: _number(values[entry], entry, name) for entry in known if entry != "title"}
    return EnergyTable(title=values["title"], **numbers)


def _number(value: Any, entry: str, name: str) -> float:
    lowest = 1 if entry == "memory_bytes" else 0
    highest = 2 if entry == "memory_exponent" else LARGEST
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not lowest <= value <= highest:
        unit = {"memory_bytes": " bytes", "memory_exponent": ""}.get(entry, " pJ")
        raise EnergyError(
            f"{name}: {entry} must be a number from {lowest} to {highest:g}{unit}, not {value!r}"
        )
    return float(value)
