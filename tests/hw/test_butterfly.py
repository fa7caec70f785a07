"""The butterfly unit; its golden model against floating point, and the rules of scaling."""

import numpy as np
import pytest

from ageha.bench.half_precision import half_butterfly, half_fourier
from ageha.hw.butterfly import Butterfly
from ageha.hw.butterfly_format import (
    COEFFICIENT_FRACTION,
    HIGHEST_SCALE,
    LOWEST_SCALE,
    Mode,
    given_scales,
    stage_scales,
)
from ageha.hw.butterfly_order import pack_growths, pass_lengths
from ageha.hw.butterfly_twiddles import QUARTER, quarter_wave
from ageha.hw.config import ConfigError, override, preset
from ageha.verif.golden.butterfly import (
    Block,
    Factor,
    fourier_factors,
    fourier_transform,
    growths,
    real_factor,
    transform,
)
from ageha.verif.simulator import run_bench

CONFIGS = {
    "tiny": override(preset("tiny"), {"scratchpad.bytes": 131072}),
    "two stages": override(
        preset("tiny"),
        {
            "butterfly.stages": 2,
            "butterfly.block_memory": False,
            "butterfly.pipelined": False,
            "scratchpad.bytes": 131072,
            "scratchpad.pipelined": False,
        },
    ),
    "two stages, pipelined": override(
        preset("tiny"), {"butterfly.stages": 2, "scratchpad.bytes": 131072}
    ),
    "fewer lanes": override(preset("ecp5"), {"butterfly.lanes": 4, "scratchpad.bytes": 131072}),
}
RANDOM = ("random_operations", "dependent_operations", "refuses", "halts")

SIZES = [8 << k for k in range(11)]
MARGIN = 6.0
"""Decibels that the engine is better than half precision."""


def signal_to_noise(exact, found):
    noise = np.sum(np.abs(exact - found) ** 2)
    return np.inf if noise == 0 else 10 * np.log10(np.sum(np.abs(exact) ** 2) / noise)


def last_places(found, exact):
    """Return the largest error of a part of a number, in units of its last place."""
    error = (found.to_complex() - exact) / 2.0**found.exponent
    return max(np.abs(error.real).max(), np.abs(error.imag).max())


def samples(kind, points):
    random = np.random.default_rng(points)
    if kind == "uniform":
        return random.uniform(-1, 1, (4, points)) + 1j * random.uniform(-1, 1, (4, points))
    if kind == "normal":
        return random.normal(0, 1, (4, points)).astype(complex)
    frequency = random.integers(1, points // 2, (4, 1))
    return np.cos(2 * np.pi * frequency * np.arange(points) / points + 1).astype(complex)


@pytest.mark.parametrize("chained", [1, 2])
@pytest.mark.parametrize("kind", ["uniform", "normal", "sinusoid"])
def test_fourier_transforms_beat_half_precision(kind, chained):
    for points in SIZES:
        x = samples(kind, points)
        exact = np.fft.fft(x)
        found = fourier_transform(Block.from_float(x), chained)
        assert not found.saturated
        half = signal_to_noise(exact, half_fourier(x))
        assert signal_to_noise(exact, found.to_complex()) >= half + MARGIN, (points, half)


@pytest.mark.parametrize("points, distance", [(256, 8), (1024, 3), (4096, 3), (8192, 3)])
def test_cosines_between_frequencies_are_near_the_bound(points, distance):
    """No transform can be better than the exact one in 16 bits with one exponent."""
    for seed in range(2):
        random = np.random.default_rng(points + seed)
        frequency = random.integers(1, points // 2, (2, 1)) + 0.5
        angle = 2 * np.pi * frequency * np.arange(points) / points + random.uniform(0, 6)
        x = np.cos(angle).astype(complex)
        exact = np.fft.fft(x)
        bound = signal_to_noise(exact, Block.from_float(exact).to_complex())
        found = signal_to_noise(exact, fourier_transform(Block.from_float(x), 2).to_complex())
        print(points, found, bound, signal_to_noise(exact, half_fourier(x)))
        assert found >= bound - distance


def random_matrices(kind, points):
    random = np.random.default_rng(points)
    matrices = random.uniform(-1, 1, (points.bit_length() - 1, points // 2, 2, 2))
    if kind == "free":
        return matrices
    angle = np.pi * matrices[..., 0, 0]
    rows = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def real_transform(x, matrices, chained):
    factors = [real_factor(matrix, index) for index, matrix in enumerate(matrices)]
    found = transform(Block.from_float(x), factors, pass_lengths(len(factors), chained))
    assert not found.saturated and not found.points[..., 1].any()
    return found.to_complex().real


@pytest.mark.parametrize("chained", [1, 2])
def test_rotations_beat_half_precision(chained):
    for points in SIZES:
        x = np.random.default_rng(points).normal(0, 1, (1, points))
        matrices = random_matrices("rotations", points)
        exact = half_butterfly(x, matrices, np.float64)
        half = signal_to_noise(exact, half_butterfly(x, matrices, np.float16))
        found = real_transform(x, matrices, chained)
        assert signal_to_noise(exact, found) >= half + MARGIN, points


@pytest.mark.parametrize("chained", [1, 2])
def test_free_matrices(chained):
    """Many free stages spread the numbers of a row wide, which one exponent pays for."""
    for points in SIZES[:7]:
        x = np.random.default_rng(points).normal(0, 1, (1, points))
        matrices = random_matrices("free", points)
        found = real_transform(x, matrices, chained)
        assert signal_to_noise(half_butterfly(x, matrices, np.float64), found) >= 57, points


@pytest.mark.parametrize("points", SIZES)
def test_an_impulse_is_within_one_last_place(points):
    for value in (32767, -32768, 12345j, 20000 - 20000j):
        x = np.zeros((1, points), dtype=complex)
        x[0, 0] = value
        found = fourier_transform(Block.from_float(x), 2)
        assert last_places(found, value) <= 1


@pytest.mark.parametrize("points", [8, 128, 1024, 8192])
def test_an_impulse_anywhere_is_within_three_last_places(points):
    for place in (1, points // 3, points // 2, points - 1):
        x = np.zeros((1, points), dtype=complex)
        x[0, place] = 1
        found = fourier_transform(Block.from_float(x), 2)
        assert last_places(found, np.fft.fft(x)) <= 3


@pytest.mark.parametrize("points", [2, 8, 64, 1024])
def test_the_inverse_undoes_the_transform(points):
    x = samples("uniform", points)
    there = fourier_transform(Block.from_float(x), 2)
    back = fourier_transform(there, 2, inverse=True)
    assert signal_to_noise(x, back.to_complex()) > 68


def test_the_real_part_alone():
    block = Block.from_float(samples("uniform", 64))
    whole, real = fourier_transform(block, 2), fourier_transform(block, 2, real_part=True)
    assert np.array_equal(real.points[..., 0], whole.points[..., 0])
    assert not real.points[..., 1].any() and real.exponent == whole.exponent


@pytest.mark.parametrize("mode, parts", [(Mode.REAL, [1, 0]), (Mode.COMPLEX, [1, 1])])
@pytest.mark.parametrize("points", [2, 8, 128, 8192])
def test_full_scale_never_saturates(points, mode, parts):
    """Every number as large as it can be and every coefficient its worst."""
    coefficients = np.full((points // 2, 4), -16384)
    stages = points.bit_length() - 1
    real = [Factor(index, coefficients, Mode.REAL) for index in range(stages)]
    factors = real if mode == Mode.REAL else fourier_factors(points)
    for value in (-32768, 32767):
        block = Block(np.full((1, points, 2), value) * parts)
        found = transform(block, factors, pass_lengths(stages, 2))
        assert not found.saturated
        assert found.headroom(mode) <= 2


def test_scales_for_a_given_exponent():
    assert given_scales((-1, 3), 4) == (-1, 7)
    assert given_scales((0,), -100) == (-COEFFICIENT_FRACTION,)
    assert given_scales((2, 1, 1), 100) == (2, 1, 31 - COEFFICIENT_FRACTION)


def test_zero_stays_zero():
    found = fourier_transform(Block.from_float(np.zeros((2, 8))), 2)
    assert not found.points.any()


def test_growth_of_factors():
    one = 1 << COEFFICIENT_FRACTION
    cases = [([one, 0, 0, one], (0, 0)), ([one, 1, 0, 0], (1, 1)), ([-one, one, one, one], (1, 2))]
    cases += [([-one, -one // 2, 0, one // 4], (1, 2)), ([0, 0, 0, 0], (-14, -14))]
    for row, expected in cases:
        factors = [Factor(index, np.array([row, row]), Mode.REAL) for index in range(2)]
        assert growths(factors) == expected, row
    assert growths(fourier_factors(8)) == (1, 2, 3)


@pytest.mark.parametrize(
    "stages, chained, lengths",
    [(6, 2, (2, 2, 2)), (7, 2, (2, 2, 3)), (1, 2, (1,)), (3, 2, (3,)), (3, 1, (1, 1, 1))],
)
def test_pass_lengths(stages, chained, lengths):
    assert pass_lengths(stages, chained) == lengths


def test_scales_of_stages():
    assert stage_scales((1, 2), 0) == (-1, 3)
    assert stage_scales((1, 2, 3), 1) == (-2, 1, 3)
    assert stage_scales((1,), -1) == (2,)
    assert stage_scales((1, 2), 15) == (LOWEST_SCALE, LOWEST_SCALE)
    assert stage_scales((1, 2, 3, 4), -1) == (0, 1, 1, HIGHEST_SCALE)


@pytest.mark.parametrize(
    "bits, headroom, message",
    [
        ((), 0, "at least 1 stage, not 0"),
        ((1, 3), 0, "growth of stage 1 must be at most 2, not 3"),
        ((1,), -2, "headroom must be -1 to 15, not -2"),
        ((1,), 16, "headroom must be -1 to 15, not 16"),
    ],
)
def test_scales_out_of_range(bits, headroom, message):
    with pytest.raises(ConfigError, match=message):
        stage_scales(bits, headroom)


@pytest.mark.parametrize("points", [1, 12, 16384])
def test_wrong_numbers_of_points(points):
    with pytest.raises(ValueError, match=f"2 to 8192, not {points}"):
        fourier_transform(Block(np.zeros((1, points, 2), dtype=np.int64)), 2)


def test_wrong_stages_and_strides():
    block = Block(np.zeros((1, 8, 2), dtype=np.int64))
    with pytest.raises(ValueError, match="3 stages in all, not 2"):
        transform(block, fourier_factors(8), (2,))
    with pytest.raises(ValueError, match="a stride below 8, not 8 and 8"):
        transform(block, fourier_factors(16)[3:], (1,))


def test_growths_in_an_instruction():
    assert pack_growths((1, 2, -8)) == 0x821
    for wrong in ((1,) * 14, (8,), (0, -9)):
        with pytest.raises(ConfigError):
            pack_growths(wrong)


def test_the_table_of_twiddles_is_that_of_the_model():
    table = np.array([*quarter_wave(), 0])
    parts = fourier_factors(4 * QUARTER)[-1].coefficients
    angle = np.arange(2 * QUARTER)
    cosine = np.where(angle <= QUARTER, table[np.minimum(angle, QUARTER)], 0)
    cosine = np.where(angle > QUARTER, -table[2 * QUARTER - np.maximum(angle, QUARTER)], cosine)
    assert np.array_equal(parts[:, 0], cosine)
    assert np.array_equal(parts[:, 1], -table[np.abs(QUARTER - angle)])


def run_unit(config, testcase, **values):
    values = {"config": config.to_dict(), "refusals": 0.0, "rounds": 4, **values}
    run_bench(Butterfly(config), "butterfly", parameters=values, testcase=testcase)


@pytest.mark.parametrize("refusals", [0.0, 0.4])
@pytest.mark.parametrize("name", CONFIGS)
def test_random_operations(name, refusals):
    run_unit(CONFIGS[name], RANDOM, refusals=refusals)


@pytest.mark.parametrize("slow", ["coefficients", "addends"])
def test_one_port_is_starved(slow):
    """What waits for one port alone waits for it."""
    run_unit(CONFIGS["tiny"], "random_operations", slow=slow, rounds=2)


@pytest.mark.parametrize("name", ["tiny", "two stages"])
def test_every_size(name):
    run_unit(CONFIGS[name], "every_size", most_log_points=8)


# Mode, axis, log2 n, vectors, instructions one after the other, cycles: beats and what is besides.
TRANSFORMS = [
    ("FOURIER", "HIDDEN", 6, 16, 1, 384 + 66),
    ("REAL", "HIDDEN", 6, 16, 1, 384 + 58),
    ("FOURIER", "HIDDEN", 7, 16, 1, 896 + 89),
    ("FOURIER", "HIDDEN", 6, 16, 4, 1536 + 66),
    ("REAL", "HIDDEN", 7, 16, 3, 2688 + 113),
    ("FOURIER", "HIDDEN", 6, 4, 1, 96 + 172),
    ("FOURIER", "TOKENS", 6, 16, 1, 384 + 172),
]


@pytest.mark.parametrize(
    "name, block_memory, more",
    [
        ("two stages", False, 0),
        ("two stages, pipelined", False, 9),
        ("two stages, pipelined", True, 11),
    ],
)
def test_cycles(name, block_memory, more):
    """Pipelined: three for all, and six for each pass that waits for another; one more of each with
    block RAM."""
    config = override(CONFIGS[name], {"butterfly.block_memory": block_memory})
    transforms = [(*case, limit + more) for *case, limit in TRANSFORMS]
    run_unit(config, "cycles", transforms=transforms)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ecp5", "base"])
def test_random_operations_of_presets(name):
    config = override(preset(name), {"scratchpad.bytes": 131072})
    run_unit(config, ("random_operations", "halts"), refusals=0.2)


def test_block_memory_is_read_a_cycle_later():
    with pytest.raises(ConfigError, match="butterfly.block_memory must be false where"):
        override(preset("tiny"), {"butterfly.pipelined": False})


def test_too_many_lanes():
    config = override(preset("tiny"), {"butterfly.lanes": 8})
    with pytest.raises(ConfigError, match="at most scratchpad.banks = 4, not 8"):
        Butterfly(config)
