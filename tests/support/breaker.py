"""Random choices of what is wrong with an input."""

import string
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

MACHINE = ("--preset", "tiny")


@dataclass
class Breaker:
    """Random numbers, the folder for files, and what was chosen, for messages."""

    generator: np.random.Generator
    folder: Path
    chosen: list[str] = field(default_factory=list)

    def choose(self, options):
        """Return one of `options`, and keep it in mind."""
        options = list(options)
        value = options[self.generator.integers(len(options))]
        self.chosen.append(str(getattr(value, "__name__", value))[:60])
        return value

    def place(self, limit):
        """Return a number below `limit`."""
        value = int(self.generator.integers(limit))
        self.chosen.append(str(value))
        return value

    def text(self):
        """Return some characters, not all of them letters."""
        size = int(self.generator.integers(1, 12))
        characters = string.ascii_letters + string.digits + "[]{}=.,:;-_ %é🦋\\\"'"
        return "".join(self.generator.choice(list(characters), size))
