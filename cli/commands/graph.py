"""`ageha graph`: check, draw and compare graphs that `ageha compile --dump-to` left."""

from pathlib import Path
from typing import Annotated

import typer

from ...sw.gir import Graph
from ...sw.gir_svg import to_svg
from ...sw.gir_text import GirError, difference, from_text
from ...sw.gir_verify import verify
from ...sw.passes.expand import expand
from ..console import output
from ..errors import InputError, input_errors
from ..options import ConfigFile, Preset, Settings, machine
from ..output import require_writable, write_file
from .report import read_text


def graph_command(
    source: Annotated[Path, typer.Argument(help="The text of a graph.", metavar="GRAPH")],
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A picture of the graph, as SVG.", metavar="FILE"),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Print what differs from this graph, line by line.", metavar="GRAPH"),
    ] = None,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Check the rules of a graph for a machine; draw it, or compare it with another one."""
    parameters = machine(preset, config, settings)
    require_writable("--output", target)
    graph = _read("GRAPH", source)
    with input_errors(GirError, prefix=f"GRAPH {source}: "):
        straight = expand(graph)
        verify(straight, parameters)
    nodes, buffers = len(straight.operations()), len(straight.buffers)
    output.print(f"{graph.name}: {nodes:,} operations, {buffers:,} buffers, no rule broken")
    if target is not None:
        write_file("--output", target, to_svg(graph))
    if against is not None:
        for line in difference(_read("--against", against), graph):
            output.print(line, markup=False, soft_wrap=True)


def _read(option: str, path: Path) -> Graph:
    """Return the graph in a file that the user named.

    Raises
    ------
    InputError
        If there is none.
    """
    text = read_text(option, path)
    try:
        return from_text(text)
    except (GirError, ValueError, KeyError) as error:
        raise InputError(f"{option} {path}: {' '.join(str(error).split())}") from None
