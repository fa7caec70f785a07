"""Tables that several commands print."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Column, Table
from rich.text import Text

from ..bench.history import FIGURES, PLACE, Row
from ..bench.measure import UNIT_NAMES
from ..bench.operators import by_name
from ..bench.record import Case
from ..hw.config import AcceleratorConfig
from ..sw.energy import EnergyTable, measure_energy


def counter_table(counters: Mapping[str, int]) -> Table:
    """Return the hardware's counters as a table."""
    table = Table("counter", "value")
    table.columns[1].justify = "right"
    for name, value in counters.items():
        table.add_row(name, f"{value:,}")
    return table


def change_lines(changes: Sequence[tuple[Row | None, Row]]) -> Iterator[str]:
    """Give a line for each part of what `bench.history.update_history` found."""
    for old, new in changes:
        figures = (
            f"{name} {_figure(new[name]) if old is None else _change(old[name], new[name])}"
            for name in FIGURES
            if old is None or old[name] != new[name]
        )
        place = ", ".join(new[name] for name in PLACE)
        yield f"{place}: {', '.join(figures)}"


def _change(old: float | None, new: float | None) -> str:
    return f"{_figure(old)} > {_figure(new)}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def record_table(records: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """Return `records` as a table with a row for each; what a record lacks is left empty."""
    table = Table(*columns)
    for record in records:
        table.add_row(*(figure_text(record.get(name, "")) for name in columns))
    return table


def figure_text(value: object) -> str:
    """Return a figure as text, a whole number with separators."""
    return f"{value:,}" if isinstance(value, int) else str(value)


COLUMNS = 4
"""Runs that stand beside each other; of more, each has a row."""

PAIRS = 7
"""Sentences of which every pair is shown."""


def case_table(cases: list[Case]) -> Table:
    """Return the figures of runs as a table with a column for each, or a row if they are many."""
    if len(cases) > COLUMNS:
        return _case_rows(cases)
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


def _case_rows(cases: list[Case]) -> Table:
    columns = ("tokens", "cycles", "predicted", "utilisation", "DRAM bytes", "RTL equals golden")
    table = Table("", *(Column(name, justify="right") for name in columns))
    for case in cases:
        table.add_row(
            Text(_short(case.name)),
            str(len(case.tokens)),
            f"{case.cycles:,}",
            f"{case.predicted_cycles:,}",
            f"{case.utilization:.1%}" if case.cycles else "",
            f"{case.bytes_read + case.bytes_written:,}",
            "" if case.mismatches is None else _equality(case),
        )
    return table


def embedding_table(cases: Iterable[Case]) -> Table:
    """Return how near the embedding of each sentence is to that of the float model."""
    table = Table("embedding of", *(Column(name, justify="right") for name in ("tokens", "cosine")))
    found = [item for case in cases for item in case.embeddings]
    for item in found:
        table.add_row(Text(_short(item.text, 60)), str(item.tokens), f"{item.cosine:.5f}")
    if len(found) > 1:
        table.add_section()
        mean = sum(item.cosine for item in found) / len(found)
        table.add_row("mean", str(sum(item.tokens for item in found)), f"{mean:.5f}")
    return table


def similarity_table(
    texts: Sequence[str], machine: NDArray[np.floating], reference: NDArray[np.floating]
) -> Table:
    """Return the cosine of each pair of sentences, as the machine has it and as floats have it.

    Of many sentences, only the most similar one of each is shown.

    Parameters
    ----------
    texts : sequence of str
    machine, reference : float [sentences, sentences]
    """
    if len(texts) > PAIRS:
        return _neighbour_table(texts, machine, reference)
    numbers = (Column(str(number), justify="right") for number in range(1, len(texts) + 1))
    table = Table("", "sentence", *numbers, show_lines=True)
    length = 34 if len(texts) <= COLUMNS else 18
    for row, text in enumerate(texts):
        cells = (
            f"{found:.3f}\n[dim]{expected:.3f}[/dim]"
            for found, expected in zip(machine[row], reference[row], strict=True)
        )
        table.add_row(str(row + 1), Text(_short(text, length)), *cells)
    return table


def _neighbour_table(
    texts: Sequence[str], machine: NDArray[np.floating], reference: NDArray[np.floating]
) -> Table:
    table = Table("", "sentence", "most like it", "cosine", "by floats", "cosine")
    nearest = [_nearest(values) for values in (machine, reference)]
    for row, text in enumerate(texts):
        cells: list[str | Text] = [str(row + 1), Text(_short(text))]
        for values, other in zip((machine, reference), nearest, strict=True):
            column = int(other[row])
            cells += [
                Text(f"{column + 1} {_short(texts[column], 24)}"),
                f"{values[row, column]:.3f}",
            ]
        table.add_row(*cells)
    return table


def _nearest(values: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.argmax(values - 3 * np.eye(len(values)), axis=1)


def operator_table(case: Case) -> Table:
    """Return predicted and measured cycles and the traffic of each operator, over all layers."""
    heads = ("unit", "instructions", "predicted", "measured", "error", "DRAM bytes", "compulsory")
    table = Table("operator", *(Column(name, justify="right") for name in heads))
    for item in by_name(case.operators):
        error = f"{item.measured / item.predicted - 1:+.1%}" if item.measured else ""
        table.add_row(
            item.label,
            item.unit,
            f"{item.instructions:,}",
            f"{item.predicted:,}",
            f"{item.measured:,}" if item.measured else "",
            error,
            f"{item.moved:,}" if item.moved else "",
            f"{item.compulsory:,}" if item.moved else "",
        )
    return table


def energy_table(
    counters: Mapping[str, int], config: AcceleratorConfig, energies: EnergyTable
) -> Table:
    """Return where the energy of a run went, in all, and times delay."""
    energy = measure_energy(counters, config, energies)
    table = Table("energy", Column("pJ", justify="right"), Column("", justify="right"))
    for name, value in energy.parts.items():
        table.add_row(name, f"{value:,.0f}", f"{value / max(energy.total, 1e-30):.1%}")
    table.add_section()
    table.add_row("total", f"{energy.total:,.0f}", "")
    table.add_row("times cycles (EDP)", f"{energy.delay_product:.4g}", "pJ·cycles")
    table.caption = energies.title
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
