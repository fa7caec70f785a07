"""The history of resources: how it is updated, and that the one kept here is one."""

import json
from pathlib import Path

import pytest

from ageha.bench.history import (
    FIGURES,
    PLACE,
    HistoryError,
    read_history,
    rows,
    update_history,
)
from ageha.bench.resources import Unit
from ageha.gen.synthesis import TARGETS
from ageha.hw.config import PRESETS

KEPT = Path(__file__).resolve().parents[2] / "bench" / "history.json"
RESOURCES = {"lut": 80, "lutram": 4, "ff": 90, "dsp": 16, "bram": 2}


def record(**changes):
    """Return a record of a unit with one part, which has one itself."""
    parts = [
        {"depth": depth, "module": name, "instances": 1, **RESOURCES}
        for depth, name in enumerate(("array", "grid", "element"))
    ]
    return {"case": "tiny", "target": "ecp5", "unit": "array", "parts": parts} | changes


def test_a_unit_and_its_parts_are_rows():
    unit, part = rows(record(fmax_mhz=101.5))
    place = {"case": "tiny", "target": "ecp5", "unit": "array"}
    assert unit == place | {"module": "array"} | RESOURCES | {"fmax_mhz": 101.5}
    assert part == place | {"module": "grid"} | RESOURCES | {"fmax_mhz": None}


def test_new_figures_replace_those_of_the_same_unit(tmp_path):
    path = tmp_path / "new" / "history.json"
    first = update_history(path, [record(), record(case="base")])
    assert [(old, new["case"]) for old, new in first] == [
        (None, case) for case in ("tiny", "tiny", "base", "base")
    ]
    assert update_history(path, [record()]) == []
    fewer = record()
    fewer["parts"] = [fewer["parts"][0] | {"lut": 79}]
    ((old, new),) = update_history(path, [fewer])
    assert (old["lut"], new["lut"], new["module"]) == (80, 79, "array")
    cases = [(row["case"], row["module"]) for row in read_history(path)]
    assert cases == [("base", "array"), ("base", "grid"), ("tiny", "array")]
    assert len(path.read_text().splitlines()) == 3 + 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("{}", "is no list of rows"),
        ("[3]", "row 0 must have case, target"),
        ('[{"case": "tiny"}]', "row 0 must have case, target"),
    ],
)
def test_what_is_no_history_stays_as_it_is(text, message, tmp_path):
    path = tmp_path / "history.json"
    path.write_text(text)
    with pytest.raises(HistoryError, match=message):
        update_history(path, [record()])
    assert path.read_text() == text


def test_the_history_of_this_version():
    """Rows are sorted, none is there twice, and each is of something that can be measured."""
    found = read_history(KEPT)
    places = [tuple(row[key] for key in PLACE) for row in found]
    assert places == sorted(set(places))
    units = {place[:-1] for place in places}
    for case, target, unit in units:
        assert case.split()[0] in PRESETS
        assert target in TARGETS
        assert unit in {each.value for each in Unit}
        assert (case, target, unit, unit) in places
    for row in found:
        assert all(isinstance(row[key], int) and row[key] >= 0 for key in FIGURES[:-1])
        assert row["fmax_mhz"] is None or row["fmax_mhz"] > 0
    assert KEPT.read_text() == "[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n"
