"""Run passes one after the other, with the rules of the graph checked after each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...hw.config import AcceleratorConfig
from ..gir import Graph
from ..gir_verify import verify
from .expand import expand

OnPass = Callable[[str, Graph], None]

Pass = Callable[[Graph], Graph]


def ignore(name: str, graph: Graph) -> None:
    """Do nothing with the result of a pass."""


def run_pipeline(
    graph: Graph, passes: Mapping[str, Pass], config: AcceleratorConfig, on_pass: OnPass = ignore
) -> Graph:
    """Return what `passes` make of a lowered graph.

    Parameters
    ----------
    graph : Graph
        As `lower` leaves it, which is the name of its own pass.
    passes : mapping of str to callable
        By name, in order; the first one takes the graph without parallel nodes.
    config : AcceleratorConfig
    on_pass : callable
        Sees name and result of each pass.

    Raises
    ------
    GirError
        If a graph breaks a rule: a pass is wrong.
    CompileError
        What the passes raise.
    """
    on_pass("lower", graph)
    graph = expand(graph)
    verify(graph, config)
    for name, run in passes.items():
        graph = run(graph)
        on_pass(name, graph)
        verify(graph, config)
    return graph
