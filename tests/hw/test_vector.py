"""The vector unit."""

import pytest
from amaranth import signed

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.delay import DelayLine
from ageha.hw.reduction import RowReduction
from ageha.hw.rounding import RoundingShifter
from ageha.hw.vector import Vector
from ageha.verif.simulator import run_bench

CONFIGS = {
    "tiny": preset("tiny"),
    "eight": override(preset("ecp5"), {"scratchpad.bytes": 32768, "vector.lanes": 8}),
    "four of eight": override(preset("ecp5"), {"scratchpad.bytes": 32768, "vector.lanes": 4}),
    "sixteen": override(preset("base"), {"scratchpad.bytes": 131072}),
    "four of sixteen": override(preset("base"), {"scratchpad.bytes": 131072, "vector.lanes": 4}),
}
QUICK = ("tiny", "eight", "four of eight", "sixteen")
RANDOM = (
    "random_operations",
    "odd_shapes",
    "every_norm",
    "causal_rows",
    "every_activation",
    "extreme_products",
    "long_rows",
    "refuses",
    "refuses_unknown_activations",
    "halts",
)


@pytest.mark.parametrize("refusals", [0.0, 0.5])
@pytest.mark.parametrize(
    "name", [pytest.param(it, marks=() if it in QUICK else pytest.mark.slow) for it in CONFIGS]
)
def test_random_operations(name, refusals):
    config = CONFIGS[name]
    values = {"config": config.to_dict(), "refusals": refusals, "rounds": 6}
    run_bench(Vector(config), "vector", parameters=values, testcase=RANDOM)


def test_cycles_of_a_block():
    """Two passes (MULTIPLY one) and about 60 cycles; SOFTMAX has 8 beats a row, which hide less."""
    config = CONFIGS["sixteen"]
    blocks = [
        ("QUANTISE", 32, 384, 1536 + 60),
        ("NORMALISE", 32, 384, 1536 + 60),
        ("SOFTMAX", 64, 128, 1024 + 100),
        ("MULTIPLY", 32, 384, 768 + 60),
        ("MULTIPLY", 200, 16, 200 * 3 + 60),
        ("MULTIPLY", 1, 16, 60),
        ("QUANTISE", 1, 16, 100),
        ("SOFTMAX", 1, 16, 90),
        ("NORMALISE", 1, 16, 155),
        # What is kept of the last tile is written when all of it is there.
        ("QUANTISE", 64, 384, 3072 + 200, 8, 4),
        ("QUANTISE", 64, 384, 3072 + 260, 16, 4),
        ("SOFTMAX", 64, 128, 1024 + 150, 2, 3),
    ]
    values = {"config": config.to_dict(), "blocks": blocks}
    run_bench(Vector(config), "vector", parameters=values, testcase="cycles")


@pytest.mark.parametrize("pipelined", [False, True])
def test_fewer_lanes_than_words(pipelined):
    """As above, with beats of four elements beside lines of eight words; and a cycle, no more, for
    the queue that `vector.pipelined` puts before the scratchpad."""
    config = override(CONFIGS["four of eight"], {"vector.pipelined": pipelined})
    blocks = [
        ("QUANTISE", 32, 96, 1536 + 60),
        ("NORMALISE", 32, 96, 1536 + 60),
        ("SOFTMAX", 64, 32, 1024 + 100),
        ("MULTIPLY", 32, 96, 768 + 60),
        ("MULTIPLY", 200, 4, 200 * 3 + 60),
        ("QUANTISE", 64, 96, 3072 + 200, 2, 2),
    ]
    limits = [(*block[:3], block[3] + pipelined, *block[4:]) for block in blocks]
    values = {"config": config.to_dict(), "blocks": limits}
    run_bench(Vector(config), "vector", parameters=values, testcase="cycles")


def test_lanes_are_checked():
    with pytest.raises(ConfigError, match=r"vector.lanes must be a power of two from 4 to 64"):
        override(preset("tiny"), {"vector.lanes": 2})
    with pytest.raises(ConfigError, match=r"vector.lanes must be at most scratchpad.banks = 4,"):
        override(preset("tiny"), {"vector.lanes": 8})


def test_pipelined_is_checked():
    with pytest.raises(ConfigError, match="vector.pipelined must be true or false, not 1"):
        override(preset("tiny"), {"vector.pipelined": 1})


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: DelayLine(8, 1), "cycles must be 2 to 16, not 1"),
        (lambda: DelayLine(8, 17), "cycles must be 2 to 16, not 17"),
        (lambda: RoundingShifter(16, 16), "result_width must be 2 to 15, not 16"),
        (lambda: RoundingShifter(16, 8, 2), "shift_width must be 3 to 6, not 2"),
        (lambda: RowReduction(3, signed(16), 20, "sum"), "lanes must be a power of two from 2"),
        (lambda: RowReduction(4, signed(16), 15, "sum"), "width must be at least 16, not 15"),
        (lambda: RowReduction(4, signed(16), 20, "mean"), "kind must be 'sum' or 'maximum'"),
    ],
)
def test_wrong_parameters(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
