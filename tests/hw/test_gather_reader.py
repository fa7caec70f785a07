"""The gathering of places of K for packed stationary weights."""

import numpy as np
import pytest

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.gather_reader import GatherReader
from ageha.verif.golden.gather_reader import gather, lines_read
from ageha.verif.simulator import run_bench

CONFIGS = {
    "tiny": {},
    "wide": {"array.columns": 8, "scratchpad.banks": 8},
    "square": {"array.rows": 8, "array.columns": 8, "scratchpad.banks": 8, "array.block": 8},
    "long": {"array.rows": 8, "scratchpad.banks": 16},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_gather_reader(name):
    config = override(preset("tiny"), CONFIGS[name])
    run_bench(
        GatherReader(config),
        "gather_reader",
        parameters={"config": config.to_dict(), "products": 30},
        testcase=["gathers"] if name == "wide" else None,
    )


def test_golden_chunks():
    a = np.arange(30, dtype=np.int8).reshape(10, 3)
    chunks = gather(a, [2, 0], 8)
    assert [chunk.shape for chunk in chunks] == [(2, 8), (2, 2)]
    assert chunks[1].tolist() == [[26, 29], [24, 27]]


def test_successive_places_in_the_same_words_share_a_line():
    assert lines_read([0, 7, 8, 9, 31], rows=9, lanes=4) == 3 * 3
    assert lines_read([5], rows=1, lanes=16) == 1


@pytest.mark.parametrize("name, value", [("array.block", 1), ("array.partial_rows", 0)])
def test_it_is_refused_where_flows_are_left_out(name, value):
    config = override(preset("tiny"), {name: value})
    with pytest.raises(
        ConfigError, match="at least 4 and array.partial_rows at least 16 to gather"
    ):
        GatherReader(config)
