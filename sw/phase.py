"""A part of an instruction's work, and what it asks of the scratchpad."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A part of an instruction's work.

    Parameters
    ----------
    cycles : int
        If no access to the scratchpad is refused.
    reads, writes : int
        Lines that it reads and writes.
    """

    cycles: int
    reads: int
    writes: int

    @property
    def rates(self) -> tuple[float, float]:
        """Lines that it reads and writes in a cycle of work."""
        return self.reads / self.cycles, self.writes / self.cycles
