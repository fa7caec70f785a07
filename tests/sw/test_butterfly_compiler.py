"""Butterfly operators, compiled and executed by the golden model, against floats."""

import numpy as np
import pytest

from ageha.bench.execute import run_golden
from ageha.hw.config import override, preset
from ageha.hw.isa import Opcode
from ageha.sw.butterfly.bounds import factor_fractions
from ageha.sw.butterfly.compress import compress_sequence
from ageha.sw.butterfly.errors import ButterflyError
from ageha.sw.butterfly.fixed_point import fix_factors
from ageha.sw.butterfly.hierarchical import HierarchicalLinear
from ageha.sw.butterfly.linear import ButterflyLinear, twiddle_shape
from ageha.sw.butterfly.twiddle import Twiddle, apply_factor
from ageha.sw.butterfly_compiler import compile_butterfly
from ageha.sw.butterfly_operators import Compression, Fourier, Mixing
from ageha.sw.errors import CompileError
from ageha.sw.instruction import decode_all
from ageha.sw.mixing_tilings import MixingTiling
from ageha.sw.passes.butterfly_stream import Tiling

SEED = 20240607
PRESETS = ("ecp5", "base")
SMALLEST = override(preset("tiny"), {"scratchpad.bytes": 4096})
"""A machine for which a layer of 256 points is too large."""


def rotations(random, shape):
    """Random coefficients [..., 2, 2] that keep lengths."""
    angles = random.uniform(0, 2 * np.pi, shape[:-2])
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def random_layer(random, inputs, outputs, blocks=1, increasing=True, bias=False):
    twiddle = Twiddle(rotations(random, twiddle_shape(inputs, outputs, blocks)), increasing)
    return ButterflyLinear(twiddle, inputs, outputs, random.normal(size=outputs) if bias else None)


def run(operator, config, x, fractions, planes=1):
    """Return what the golden machine makes of float `x`."""
    program = compile_butterfly(operator, config, len(x) // planes, fractions)
    (source,), (target,) = program.inputs, program.outputs
    outputs = run_golden(program, {"input": source.from_float(x)}).outputs
    return target.to_float(outputs["output"])


def signal_to_noise(found, expected):
    noise = np.sum((found - expected) ** 2)
    return 10 * np.log10(np.sum(expected**2) / noise)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(
    ("tokens", "inputs", "outputs", "blocks", "increasing", "bias"),
    [
        (1, 4, 4, 1, True, False),
        (5, 2, 2, 1, True, False),
        (6, 1, 2, 2, True, True),
        (7, 8, 8, 1, False, True),
        (17, 32, 64, 1, True, True),
        (33, 64, 32, 1, True, False),
        (5, 24, 100, 1, True, True),
        (20, 100, 24, 1, False, False),
        (19, 32, 32, 2, True, False),
        (3, 16, 48, 3, False, True),
        (16, 256, 128, 1, True, False),
    ],
)
def test_linear_layers(name, tokens, inputs, outputs, blocks, increasing, bias):
    random = np.random.default_rng(SEED + tokens)
    layer = random_layer(random, inputs, outputs, blocks, increasing, bias)
    x = random.uniform(-1, 1, (tokens, inputs))
    found = run(layer, preset(name), x, (14, 12))
    assert signal_to_noise(found, layer(x)) > 55


def instructions(program, opcode):
    return [item for item in decode_all(program.code) if item.opcode is opcode]


@pytest.mark.parametrize(
    ("tokens", "features", "together"), [(48, 64, 2), (36, 16, 4), (35, 32, 1), (20, 128, 1)]
)
def test_short_rows_lie_side_by_side(tokens, features, together):
    """Bursts are whole though rows are short: an instruction transforms several at once."""
    random = np.random.default_rng(SEED + tokens)
    config = preset("base")
    layer = random_layer(random, features, features)
    x = random.uniform(-1, 1, (tokens, features))
    assert signal_to_noise(run(layer, config, x, (14, 12)), layer(x)) > 55
    for operator in (layer, Fourier(features)):
        program = compile_butterfly(operator, config, tokens, (14, 8))
        for item in instructions(program, Opcode.BUTTERFLY):
            assert item["blocks"] == together
        assert all(tensor.shape[1] == features for tensor in program.inputs + program.outputs)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("tokens", "features"), [(7, 8), (64, 32), (33, 24), (100, 128)])
def test_fourier_transforms_of_rows(name, tokens, features):
    random = np.random.default_rng(SEED + features)
    x = random.uniform(-1, 1, (tokens, features))
    points = 1 << (features - 1).bit_length()
    expected = np.fft.fft(x, n=points)[:, :features]
    found = run(Fourier(features), preset(name), x, (14, 15 - points.bit_length()))
    assert signal_to_noise(found, np.concatenate([expected.real, expected.imag])) > 60


def test_first_and_last_tile_are_short_where_that_wins():
    layer = random_layer(np.random.default_rng(SEED), 512, 512)
    program = compile_butterfly(layer, preset("base"), 256, (14, 12))
    vectors = [item["vectors"] for item in instructions(program, Opcode.BUTTERFLY)]
    assert sum(vectors) == 256
    assert vectors[0] == vectors[-1] == 16 < max(vectors)


@pytest.mark.parametrize("tile", [16, 32, 64])
@pytest.mark.parametrize(("inputs", "outputs"), [(64, 64), (128, 64), (40, 136), (64, 16)])
def test_hierarchical_layers(tile, inputs, outputs):
    random = np.random.default_rng(SEED + tile)
    down, across = -(-outputs // tile), -(-inputs // tile)
    shape = (down, across, tile.bit_length() - 1, tile // 2, 2, 2)
    layer = HierarchicalLinear(
        rotations(random, shape), inputs, outputs, bias=random.normal(size=outputs)
    )
    x = random.uniform(-1, 1, (9, inputs))
    for config in map(preset, PRESETS):
        assert signal_to_noise(run(layer, config, x, (14, 11)), layer(x)) > 52


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("tokens", "features"), [(8, 8), (64, 32), (16, 128), (2, 4), (8, 24)])
def test_mixing(name, tokens, features):
    random = np.random.default_rng(SEED + features)
    scale = (tokens * features).bit_length() // 2
    x = random.normal(size=(tokens, features))
    points = 1 << (features - 1).bit_length()
    spectrum = 14 - int(np.ceil(np.log2(np.abs(np.fft.fft(x, n=points)).max())))
    found = run(Mixing(features, scale, spectrum), preset(name), x, (11, 11))
    expected = x + mixed(x, points) * 2.0**-scale
    assert signal_to_noise(found, expected) > 60


@pytest.mark.parametrize(("tokens", "features"), [(64, 16), (128, 24)])
def test_columns_that_do_not_fit_take_two_trips(tokens, features):
    random = np.random.default_rng(SEED + tokens)
    scale = (tokens * features).bit_length() // 2
    x = random.normal(size=(tokens, features))
    points = 1 << (features - 1).bit_length()
    spectrum = 14 - int(np.ceil(np.log2(np.abs(np.fft.fft(x, n=points)).max())))
    found = run(Mixing(features, scale, spectrum), SMALLEST, x, (11, 11))
    assert signal_to_noise(found, x + mixed(x, points) * 2.0**-scale) > 58


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (Tiling(8, 2, log_first=3), Tiling(2, 1, log_first=3)),
        (Tiling(8, 1, log_first=3, resident=True), Tiling(1, 2, log_first=3, resident=True)),
        (Tiling(16, 2, log_first=2, resident=True), Tiling(12, 1, log_first=2, resident=True)),
        (Tiling(1, 1, log_first=1, resident=True), Tiling(6, 1, log_first=1, resident=True)),
    ],
    ids=["through memory", "resident", "several transforms a tile", "pairs first"],
)
def test_two_trips_are_one_transform(rows, columns, monkeypatch):
    """However tiles are cut: one transform or several below each other, part of the columns."""
    tokens, features = 64, 20
    tiling = MixingTiling(rows, columns)
    monkeypatch.setattr("ageha.sw.butterfly_compiler.rank_mixing", lambda *_: [tiling])
    x = np.random.default_rng(SEED).normal(size=(tokens, features))
    spectrum = 14 - int(np.ceil(np.log2(np.abs(np.fft.fft(x, n=32)).max())))
    config = override(preset("tiny"), {"scratchpad.bytes": 8192})
    found = run(Mixing(features, 5, spectrum), config, x, (11, 11))
    assert signal_to_noise(found, x + mixed(x, 32) * 2.0**-5) > 58


@pytest.mark.parametrize(
    ("tokens", "features", "chunk", "kept"),
    [(32, 16, 8, 4), (64, 12, 64, 16), (16, 32, 4, 4), (8, 8, 4, 2)],
)
def test_compression(tokens, features, chunk, kept):
    random = np.random.default_rng(SEED + kept)
    x = random.normal(size=(tokens, features))
    for config in map(preset, PRESETS):
        found = run(Compression(features, chunk, kept, 9), config, x, (12, 12))
        assert signal_to_noise(found, compress_sequence(x, chunk, kept)) > 50


@pytest.mark.parametrize(
    ("operator", "tokens", "expected"),
    [
        (Mixing(48, 6, 9), 32, lambda x: x + mixed(x, 64) * 2.0**-6),
        (Compression(40, 32, 8, 9), 64, lambda x: compress_sequence(x, 32, 8)),
        (random_layer(np.random.default_rng(SEED), 100, 256, bias=True), 77, None),
    ],
    ids=["mixing", "compression", "linear"],
)
def test_what_does_not_fit_goes_in_tiles(operator, tokens, expected):
    config = preset("tiny")
    features = getattr(operator, "features", 0) or operator.in_features
    x = np.random.default_rng(SEED).uniform(-1, 1, (tokens, features))
    wanted = (expected or operator)(x)
    assert signal_to_noise(run(operator, config, x, (12, 12)), wanted) > 50


@pytest.mark.parametrize(
    ("tokens", "inputs", "outputs", "blocks", "bias", "increasing"),
    [
        (5, 256, 256, 1, False, True),
        (3, 167, 181, 1, True, False),
        (3, 65, 200, 2, False, True),
        (1, 200, 7, 1, True, False),
    ],
)
def test_layers_that_do_not_fit_take_trips(tokens, inputs, outputs, blocks, bias, increasing):
    random = np.random.default_rng(SEED + inputs)
    layer = random_layer(random, inputs, outputs, blocks, increasing, bias)
    x = random.uniform(-1, 1, (tokens, inputs))
    assert signal_to_noise(run(layer, SMALLEST, x, (15, 12)), layer(x)) > 58


def test_calibration_wins_bits_between_trips():
    random = np.random.default_rng(SEED)
    layer = random_layer(random, 128, 128)
    x = random.uniform(-1, 1, (16, 128))
    (bound,), (calibrated,) = factor_fractions(layer, 15), factor_fractions(layer, 15, x)
    values = x
    for factor, wide, narrow in zip(range(7), bound, calibrated, strict=True):
        values = apply_factor(layer.twiddle.coefficients[0, 0, factor], values, factor)
        assert wide <= narrow
        assert np.abs(values).max() * 2.0**narrow < 1 << 15
    assert bound[-1] < calibrated[-1]


@pytest.mark.parametrize(
    ("tokens", "inputs", "outputs", "blocks", "bias"),
    [(6, 16, 16, 1, False), (7, 30, 41, 1, True), (3, 16, 8, 2, True), (1, 3, 4, 1, False)],
)
def test_complex_layers(tokens, inputs, outputs, blocks, bias):
    """Real parts of all tokens lie above the imaginary ones, in input and output."""
    random = np.random.default_rng(SEED + inputs)
    real = random_layer(random, inputs, outputs, blocks, bias=bias)
    phases = np.exp(2j * np.pi * random.uniform(size=(*real.twiddle.coefficients.shape[:-1], 1)))
    offset = real.bias * (1 - 0.5j) if bias else None
    twiddle = Twiddle(real.twiddle.coefficients * phases)
    layer = ButterflyLinear(twiddle, inputs, outputs, offset)
    x = random.uniform(-1, 1, (2 * tokens, inputs))
    expected = layer(x[:tokens] + 1j * x[tokens:])
    for config in (preset("tiny"), preset("base")):
        found = run(layer, config, x, (15, 12), planes=2)
        assert signal_to_noise(found[:tokens] + 1j * found[tokens:], expected) > 55


def mixed(x, points):
    """The real part of the transform of padded rows, as many frequencies as there are features."""
    return np.fft.fft(np.fft.fft(x, n=points)[:, : x.shape[1]], axis=0).real


@pytest.mark.parametrize(("tokens", "chunk", "kept"), [(96, 16, 8), (60, 4, 2)])
def test_chunks_that_do_not_fit_go_in_parts(tokens, chunk, kept):
    x = np.random.default_rng(SEED).normal(size=(tokens, 24))
    found = run(Compression(24, chunk, kept, 10), SMALLEST, x, (12, 12))
    assert signal_to_noise(found, compress_sequence(x, chunk, kept)) > 50


@pytest.mark.parametrize(
    ("inputs", "outputs", "tile", "tokens", "bias"),
    [(72, 60, 16, 5, True), (64, 128, 64, 3, False), (130, 40, 64, 7, True)],
)
def test_tiles_whose_coefficients_do_not_fit_go_in_groups(inputs, outputs, tile, tokens, bias):
    """Groups of the same rows add up in DRAM; the last ones may be cut, the first have the bias."""
    random = np.random.default_rng(SEED + inputs)
    down, across = -(-outputs // tile), -(-inputs // tile)
    shape = (down, across, tile.bit_length() - 1, tile // 2, 2, 2)
    offset = random.normal(size=outputs) if bias else None
    layer = HierarchicalLinear(rotations(random, shape), inputs, outputs, bias=offset)
    x = random.uniform(-1, 1, (tokens, inputs))
    assert signal_to_noise(run(layer, SMALLEST, x, (14, 11)), layer(x)) > 50


def test_refusals_say_what_helps():
    tiny = preset("tiny")
    for operator, tokens, message in (
        (Fourier(4096), 8, "limit is 16384: it takes a row of 4096 features .* fewer features"),
        (Compression(8, 1024, 8, 8), 1024, "limit is 16384: .* a chunk of 1024 tokens .* shorter"),
        (Mixing(4096, 5, 3), 16, "limit is 16384: .* a row of 4096 features .* larger scratchpad"),
    ):
        with pytest.raises(CompileError, match=message):
            compile_butterfly(operator, tiny, tokens, (12, 12))


def test_coefficients_take_all_their_bits_and_no_more():
    random = np.random.default_rng(SEED)
    matrices = random.normal(size=(5, 16, 2, 2)) * 10.0 ** random.integers(-6, 6, (5, 1, 1, 1))
    fixed = fix_factors(matrices, range(5), 5)
    sums = np.abs(fixed.coefficients.reshape(5, 16, 2, 2)).sum(axis=-1).max(axis=(1, 2))
    assert np.all((sums > 1 << 14) & (sums <= 1 << 15))
    assert fixed.growths(2) >> 20 == 0


def test_refusals_name_operator_and_figure():
    random = np.random.default_rng(SEED)
    config = preset("ecp5")
    for operator, tokens, message in (
        (random_layer(random, 8, 8), 0, "tokens must be at least 1, not 0"),
        (Mixing(8, 3, 8), 12, "mixing: tokens must be a power of two, not 12"),
        (Compression(8, 8, 3, 8), 16, "cannot make 3 tokens of each 8 of 16"),
    ):
        with pytest.raises(CompileError, match=message):
            compile_butterfly(operator, config, tokens, (12, 12))
    complex_pair = ButterflyLinear(Twiddle(np.ones((1, 1, 1, 1, 2, 2)) * 1j), 2, 2)
    with pytest.raises(CompileError, match="1 complex .* at least 4 points, not 2"):
        compile_butterfly(complex_pair, config, 4, (12, 12))
    stacks = ButterflyLinear(Twiddle(np.ones((2, 1, 2, 2, 2, 2)) * 1j), 4, 8)
    with pytest.raises(CompileError, match="2 complex .* at least 8 points, not 4"):
        compile_butterfly(stacks, preset("base"), 4, (12, 12))
    with pytest.raises(ButterflyError, match="must be real"):
        fix_factors(np.ones((1, 2, 2, 2)) * 1j, [0], 2)
