"""`ageha report`: pages, plots and traces of a stored run."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ...bench.chrome_trace import chrome_trace
from ...bench.record import RecordError, RunRecord
from ...hw.config import from_dict
from ..console import output
from ..errors import InputError, input_errors
from ..options import EnergyFile, energies
from ..output import require_writable, write_file
from ..page.occupancy import occupancy_chart
from ..page.page import render_page
from ..page.roofline import roofline_chart
from ..tables import energy_table, operator_table


def read_text(option: str, path: Path) -> str:
    """Return the text of a file that the user named.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{option} {path}: is no text file") from None


def report(
    record: Annotated[Path, typer.Argument(help="A stored run.json.", metavar="RECORD")],
    target: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="The HTML page.")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A trace file for ui.perfetto.dev or chrome://tracing."),
    ] = None,
    occupancy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The scratchpad over time, as SVG.")
    ] = None,
    roofline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The roofline plot, as SVG.")
    ] = None,
    case: Annotated[
        int, typer.Option(metavar="NUMBER", help="Which run of the record, from 0 on.")
    ] = 0,
    energy: EnergyFile = None,
) -> None:
    """Draw a stored run again: its page, a trace file, plots, tables of operators and energy."""
    files = {"--output": target, "--trace": trace, "--occupancy": occupancy, "--roofline": roofline}
    for option, path in files.items():
        require_writable(option, path)
    energies_used = energies(energy)
    text = read_text("RECORD", record)
    with input_errors(RecordError, prefix=f"RECORD {record}: "):
        parsed = RunRecord.from_json(text)
    if not 0 <= case < len(parsed.cases):
        raise InputError(f"--case must be from 0 to {len(parsed.cases) - 1}, not {case}")
    chosen = parsed.cases[case]
    has_energy = bool(chosen.cycles and chosen.counters)
    if energy is not None and not has_energy:
        raise InputError(f"--energy: run {case} of the record has no counters of the hardware")
    pictures: dict[str, Callable[[], str]] = {
        "--output": lambda: render_page(parsed, energies_used),
        "--trace": lambda: chrome_trace(parsed),
        "--occupancy": lambda: occupancy_chart(
            chosen, parsed.parameters["scratchpad"]["bytes"]
        ).file(),
        "--roofline": lambda: roofline_chart(chosen, parsed.parameters).file(),
    }
    for option, path in files.items():
        if path is not None:
            write_file(option, path, pictures[option]())
    if chosen.operators:
        output.print(operator_table(chosen))
    if has_energy:
        machine = from_dict(parsed.parameters)
        output.print(energy_table(chosen.counters, machine, energies_used))
