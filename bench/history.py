"""Resources and clocks of earlier versions, in a file that is kept with the source.

A change of a figure is a changed line of the file, and so is seen where changes are reviewed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..gen.files import write_text

PLACE = ("case", "target", "unit", "module")
"""What a row is about: the machine, the family of FPGAs, what was synthesised, and which part."""

FIGURES = ("lut", "lutram", "ff", "dsp", "bram", "fmax_mhz")
"""What a row says. `fmax_mhz` is None where nothing was placed, and for parts of a unit."""

PART_DEPTH = 1

Row = dict[str, Any]


class HistoryError(ValueError):
    """A file is no history."""


def rows(record: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a unit and of its parts.

    Parameters
    ----------
    record : mapping
        What `bench.generate.measure_resources` returns, with ``case`` and, if it was placed,
        ``fmax_mhz``. The unit itself is the part of depth 0.
    """
    found = []
    for part in record["parts"]:
        if part["depth"] > PART_DEPTH:
            continue
        fmax = record.get("fmax_mhz") if part["depth"] == 0 else None
        about = {**record, **part, "fmax_mhz": fmax}
        found.append({key: about[key] for key in (*PLACE, *FIGURES)})
    return found


def _place(row: Row) -> tuple[str, ...]:
    return tuple(row[key] for key in PLACE)


def read_history(path: Path) -> list[Row]:
    """Return the rows of a file; none if there is no such file.

    Raises
    ------
    HistoryError
        If it is no history.
    """
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HistoryError(f"{path}: cannot be read: {error}") from None
    if not isinstance(found, list):
        raise HistoryError(f"{path}: is no list of rows")
    for index, row in enumerate(found):
        if not isinstance(row, dict) or tuple(row) != (*PLACE, *FIGURES):
            raise HistoryError(f"{path}: row {index} must have {', '.join((*PLACE, *FIGURES))}")
    return found


def update_history(
    path: Path, records: Sequence[Mapping[str, Any]]
) -> list[tuple[Row | None, Row]]:
    """Put what was measured in the place of older rows of the same units, a row a line.

    Parameters
    ----------
    path : Path
    records : sequence of mapping
        As `rows` takes them.

    Returns
    -------
    list of tuple
        Each new row with the one before it, or None; only those that differ.

    Raises
    ------
    HistoryError
        If the file is no history; it stays as it is.
    """
    old = {_place(row): row for row in read_history(path)}
    new = {_place(row): row for record in records for row in rows(record)}
    measured = {place[:-1] for place in new}
    kept = {place: row for place, row in old.items() if place[:-1] not in measured}
    every = [row for _place, row in sorted((kept | new).items())]
    lines = ",\n".join(json.dumps(row) for row in every)
    write_text(path, f"[\n{lines}\n]\n")
    return [(old.get(place), row) for place, row in new.items() if old.get(place) != row]
