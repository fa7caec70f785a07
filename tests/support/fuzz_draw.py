"""Random choices of a case, and the programs that it is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ageha.hw.config import AcceleratorConfig, override, preset
from ageha.sw.program import Program

Outputs = Mapping[str, NDArray]


@dataclass(frozen=True)
class Run:
    """A program, its inputs, and a check of its outputs that raises AssertionError.

    `again` gives the next program of the same case, such as a decoder's next token.
    """

    program: Program
    inputs: Mapping[str, NDArray]
    check: Callable[[Outputs], None]
    again: Callable[[], "Run | None"] = field(default=lambda: None)


@dataclass
class Draw:
    """The random numbers of a case, and what they chose, for messages."""

    generator: np.random.Generator
    folder: Path
    chosen: list[str] = field(default_factory=list)

    def choose(self, name, *options):
        """Return one of `options`, and keep it in mind."""
        value = options[self.generator.integers(len(options))]
        self.chosen.append(f"{name}={getattr(value, 'name', value)}")
        return value

    def number(self, name, low, high):
        """Return an integer from `low` to `high`, small ones more often."""
        value = int(low + (high - low + 1) * self.generator.random() ** 2)
        self.chosen.append(f"{name}={value}")
        return value

    def chance(self, name, probability):
        """Return whether something with `probability` happens."""
        happens = bool(self.generator.random() < probability)
        if happens:
            self.chosen.append(name)
        return happens

    def seed(self):
        return int(self.generator.integers(1 << 31))


def machine(draw) -> AcceleratorConfig:
    """Return a small machine; `tiny` itself most of the time."""
    name = draw.choose("preset", "tiny", "tiny", "tiny", "ecp5")
    config = preset(name)
    if draw.chance("other", 0.25):
        settings = {
            "tiny": (("scratchpad.bytes", 8 << 10), ("scratchpad.bytes", 32 << 10)),
            "ecp5": (("array.rows", 4), ("array.columns", 4)),
        }
        common = ("controller.queue_depth", 2)
        config = override(config, dict([draw.choose("setting", *settings[name], common)]))
    if draw.chance("wide rows", 0.2):
        config = override(config, {"scratchpad.banks": 16, "array.wide_rows": True})
    return config


def float_close(found: NDArray, expected: NDArray, least: float) -> None:
    """Check that the cosine of all numbers is at least `least`."""
    norm = np.linalg.norm(found) * np.linalg.norm(expected)
    cosine = float(np.sum(found * expected) / norm) if norm else float(not np.any(found))
    assert cosine >= least, f"cosine {cosine:.5f} to floats, of at least {least}"
