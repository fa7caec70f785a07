"""What the passes do to make a program fast, so that a study can leave some of it out."""

from __future__ import annotations

from dataclasses import dataclass

from ...hw.config import AcceleratorConfig
from ..gir import Graph
from .unfuse import unfuse


@dataclass(frozen=True)
class Optimisations:
    """Which of them are done.

    Parameters
    ----------
    fuse : bool
        Whether what one operator leaves in the scratchpad is read there by the next; see `unfuse`.
    overlap : bool
        Whether units work at the same time; if not, an operation begins when the one before ends.
    """

    fuse: bool = True
    overlap: bool = True

    def apply(self, graph: Graph, config: AcceleratorConfig) -> Graph:
        """Return a graph without parallel nodes as it is, or with its operators apart."""
        return graph if self.fuse else unfuse(graph, config)


ALL = Optimisations()
