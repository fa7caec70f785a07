"""The folder that a run leaves: record and report."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..bench.record import Case, RunRecord
from ..hw.config import AcceleratorConfig
from ..verif.devices.library import MemorySettings
from .console import output
from .jobs import DeviceChoice
from .output import staged_folder
from .page.page import render_page
from .tables import case_table


def make_record(
    title: str,
    device: DeviceChoice,
    config: AcceleratorConfig,
    settings: MemorySettings,
    cases: Sequence[Case],
) -> RunRecord:
    """Return the record of a run; the memory counts only where the Verilog has run."""
    return RunRecord(
        title=title,
        device=device.value,
        preset=config.name,
        parameters=config.to_dict(),
        memory=asdict(settings) if device.rtl else {},
        cases=list(cases),
    )


def write_run(
    record: RunRecord, target: Path, write_more: Callable[[Path], None] = lambda folder: None
) -> None:
    """Write run.json and report.html to the folder `target` and print the figures.

    Parameters
    ----------
    record : RunRecord
    target : Path
        Of the option --output; appears whole or not at all.
    write_more : callable, optional
        Gets the folder before it appears.
    """
    with staged_folder("--output", target) as folder:
        write_more(folder)
        (folder / "run.json").write_text(record.to_json(), encoding="utf-8")
        (folder / "report.html").write_text(render_page(record), encoding="utf-8")
    output.print(case_table(list(record.cases)))
    output.print(f"report: {target / 'report.html'}", markup=False)
