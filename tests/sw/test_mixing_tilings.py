"""How Fourier mixing is cut: what fits, and when it takes two trips along the tokens."""

import pytest

from ageha.hw.config import preset
from ageha.sw.butterfly_compiler import compile_butterfly
from ageha.sw.butterfly_operators import Mixing
from ageha.sw.mixing_tilings import rank_mixing


@pytest.mark.parametrize(
    ("name", "tokens", "features", "trips"),
    [
        ("base", 128, 64, 1),
        ("tiny", 16, 16, 1),
        ("tiny", 512, 8, 2),
        ("ecp5", 1024, 40, 2),
    ],
)
def test_two_trips_where_they_win(name, tokens, features, trips):
    best = rank_mixing(tokens, features, preset(name))[0]
    assert (best.columns.log_first > 0) == (trips == 2)
    assert best.rows.log_first == best.columns.log_first
    assert best.rows.resident == best.columns.resident


def test_what_never_fits_has_no_tiling():
    # A row of 4096 points has 24 KB in its real and complex form.
    assert rank_mixing(16, 4096, preset("tiny")) == []


def test_the_better_plan_is_taken():
    """Rows that stay in the scratchpad until they have crossed half of the tokens."""
    program = compile_butterfly(Mixing(64, 8, 5), preset("base"), 1024, (12, 12))
    assert program.metadata["predicted_cycles"] < 50_000
