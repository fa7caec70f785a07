"""The performance counters."""

import pytest

from ageha.hw.config import ConfigError
from ageha.hw.counters import PLACES, Counters
from ageha.verif.golden.counters import RecentCounts
from ageha.verif.simulator import run_bench


@pytest.mark.parametrize("widths", [[1] * 24 + [2, 3, 7, 9, 13, 17, 32], [32], [5] * PLACES])
def test_bench(widths):
    assert run_bench(Counters(widths), "counters", parameters={"widths": widths}) == 3


def test_widths_are_checked():
    with pytest.raises(ConfigError, match="widths must be 1 to 32 integers, not 33"):
        Counters([1] * 33)
    with pytest.raises(ConfigError, match=r"widths must be integers from 1 to 32, not \[0\]"):
        Counters([0])


def test_golden_remembers():
    counts = RecentCounts(2)
    counts.step([3, 1 << 20])
    counts.step([1, 0], enable=False)
    assert [counts.count(0, 0), counts.count(0, 1), counts.count(0, 2)] == [3, 3, 0]
    counts.step([4, 4], clear=True)
    assert counts.count(1, 0) == 0
    assert counts.count(1, 1) == 1 << 20
    assert counts.count(2, 0) == 0
