"""Tables that several commands print."""

from collections.abc import Mapping

from rich.table import Column, Table
from rich.text import Text

from ..bench.measure import UNIT_NAMES
from ..bench.record import Case


def counter_table(counters: Mapping[str, int]) -> Table:
    """Return the hardware's counters as a table."""
    table = Table("counter", "value")
    table.columns[1].justify = "right"
    for name, value in counters.items():
        table.add_row(name, f"{value:,}")
    return table


def case_table(cases: list[Case]) -> Table:
    """Return the figures of runs as a table with a column for each."""
    names = (Text(_short(case.name)) for case in cases)
    table = Table("", *(Column(name, justify="right") for name in names))
    table.add_row("tokens", *(str(len(case.tokens)) for case in cases))
    table.add_row("instructions", *(f"{len(case.listing):,}" for case in cases))
    if any(case.cycles for case in cases):
        _add_cycles(table, cases)
    if all(case.mismatches is not None for case in cases):
        table.add_row("RTL equals golden", *(_equality(case) for case in cases))
    if all(case.cosine for case in cases):
        table.add_row("cosine to float, mean", *(f"{case.mean_cosine:.5f}" for case in cases))
        table.add_row("cosine to float, least", *(f"{min(case.cosine):.5f}" for case in cases))
    return table


def _add_cycles(table: Table, cases: list[Case]) -> None:
    table.add_row("cycles", *(f"{case.cycles:,}" for case in cases))
    if any(case.predicted_cycles for case in cases):
        table.add_row("cycles, predicted", *(f"{case.predicted_cycles:,}" for case in cases))
    for unit in UNIT_NAMES:
        shares = (_share(case.busy[unit], case.cycles) for case in cases)
        table.add_row(f"{unit} busy", *shares)
    table.add_row("array utilisation", *(f"{case.utilization:.1%}" for case in cases))
    table.add_row("DRAM bytes read", *(f"{case.bytes_read:,}" for case in cases))
    table.add_row("DRAM bytes written", *(f"{case.bytes_written:,}" for case in cases))


def _short(text: str, length: int = 34) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / max(1, whole):.0%})"


def _equality(case: Case) -> str:
    if case.mismatches:
        return f"[red]no: {case.mismatches:,} of {case.elements:,} differ[/red]"
    return f"[green]yes, all {case.elements:,}[/green]"
