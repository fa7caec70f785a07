"""The golden models of the vector unit's operations against floating point."""

import math

import numpy as np
import pytest

from ageha.hw.isa import Activation, Norm
from ageha.verif.golden.activation import activation
from ageha.verif.golden.multiply import multiply
from ageha.verif.golden.normalise import normalise
from ageha.verif.golden.quantise import quantise
from ageha.verif.golden.softmax import softmax

EVERY = np.arange(-32768, 32768).astype(np.int16)
TWO_PLANE_ERROR = {64: 0.0013, 128: 0.0022, 256: 0.0038, 512: 0.0065}
ONE_PLANE_ERROR = {64: 0.09, 128: 0.15, 256: 0.25, 512: 0.3}
"""Relative L1 error of the worst row of 200 by columns, as seen, and a tenth."""


def exact_gelu(x):
    return np.array([value * math.erfc(-value / math.sqrt(2)) / 2 for value in x])


@pytest.mark.parametrize("x_fraction, limit", [(0, 0.51), (8, 0.52), (11, 0.7), (13, 1.4), (15, 4)])
def test_gelu_of_every_number(x_fraction, limit):
    found = activation(EVERY, Activation.GELU, x_fraction)
    exact = exact_gelu(np.ldexp(EVERY.astype(float), -x_fraction))
    assert np.abs(found - np.ldexp(exact, x_fraction)).max() <= limit
    assert found[32768] == 0


@pytest.mark.parametrize(
    "x_fraction, limit", [(0, 0.51), (4, 0.51), (8, 0.52), (11, 0.7), (13, 1.3), (15, 2.8)]
)
def test_silu_of_every_number(x_fraction, limit):
    found = activation(EVERY, Activation.SILU, x_fraction)
    x = np.ldexp(EVERY.astype(float), -x_fraction)
    exact = x * 0.5 * (1 + np.tanh(x / 2))
    assert np.abs(found - np.ldexp(exact, x_fraction)).max() <= limit
    assert found[32768] == 0


def test_simple_activations():
    assert np.array_equal(activation(EVERY, Activation.IDENTITY, -3), EVERY)
    assert np.array_equal(activation(EVERY, Activation.RELU, 40), np.maximum(EVERY, 0))


@pytest.mark.parametrize("kind", Activation)
@pytest.mark.parametrize("spread", [0.3, 30, 3000, 1e5])
def test_quantised_rows_are_off_by_half_a_step(kind, spread):
    random = np.random.default_rng(1)
    x = np.clip(random.normal(0, spread, (50, 77)), -32768, 32767).astype(np.int16)
    y, scales = quantise(x, kind, 11)
    exact = activation(x, kind, 11) / 2.0**11
    step = np.abs(exact).max(axis=1, keepdims=True) / 127
    assert np.all(np.abs(y * scales.to_float()[:, None] - exact) <= 0.504 * step)
    assert y.min() >= -127


def test_quantised_extremes():
    x = np.array([[0, 0], [-32768, 32767], [1, 0], [-32768, 0]], dtype=np.int16)
    y, scales = quantise(x, Activation.IDENTITY, 0)
    assert y.tolist() == [[0, 0], [-127, 127], [127, 0], [-127, 0]]
    assert scales.to_float() == pytest.approx([0, 32768 / 127, 1 / 127, 32768 / 127], rel=2**-15)
    assert scales.mantissa[0] == 0 and scales.exponent[0] == 0


def softmax_errors(columns, spread, two_planes):
    """Return the worst relative L1 error and the worst error of a row sum, of 200 rows."""
    random = np.random.default_rng(columns + spread)
    logits = np.clip(np.rint(random.normal(0, spread, (200, columns)) * 8), -128, 127) / 8
    exact = 2.0 ** (logits - logits.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    high, low, scales = softmax(np.rint(logits * 256).astype(np.int16), 8, two_planes)
    assert (low is not None) == two_planes
    p = high.astype(float) if low is None else 128.0 * high + low
    p *= scales.to_float()[:, None]
    return np.abs(p - exact).sum(axis=1).max(), np.abs(p.sum(axis=1) - 1).max()


@pytest.mark.parametrize("spread", [2, 4])
@pytest.mark.parametrize("columns", [64, 128, 256, 512])
def test_softmax_of_int8_logits(columns, spread):
    error, sums = softmax_errors(columns, spread, two_planes=True)
    assert error <= TWO_PLANE_ERROR[columns] <= 0.02 and sums <= 1e-4
    error, sums = softmax_errors(columns, spread, two_planes=False)
    assert error <= ONE_PLANE_ERROR[columns] and sums <= 1e-4


def test_softmax_of_extremes():
    x = np.array([[-32768] * 3, [32767] * 3, [-32768, 32767, 32767]], dtype=np.int16)
    high, low, scales = softmax(x, 0, True)
    p = (128.0 * high + low) * scales.to_float()[:, None]
    assert p == pytest.approx(np.array([[1 / 3] * 3, [1 / 3] * 3, [0, 0.5, 0.5]]), abs=1e-4)


@pytest.mark.parametrize("two_planes", [False, True])
@pytest.mark.parametrize("first", [1, 5, 13, 65535])
def test_causal_rows_are_those_of_shorter_matrices(first, two_planes):
    x = np.random.default_rng(first).integers(-2000, 2000, (7, 13)).astype(np.int16)
    x[:, -1] = 32767
    high, low, scales = softmax(x, 8, two_planes, first)
    for row in range(len(x)):
        length = min(x.shape[1], first + row)
        short = softmax(x[row : row + 1, :length], 8, two_planes)
        assert np.array_equal(high[row, :length], short[0][0]) and not high[row, length:].any()
        assert scales.mantissa[row] == short[2].mantissa[0]
        assert scales.exponent[row] == short[2].exponent[0]
        if low is not None:
            assert np.array_equal(low[row, :length], short[1][0]) and not low[row, length:].any()


def test_products_are_off_by_half_a_step():
    random = np.random.default_rng(3)
    x = random.integers(-32768, 32768, (5, 14)).astype(np.int16)
    w = random.integers(-32768, 32768, (5, 14)).astype(np.int16)
    for fractions in ((11, 14, 11), (11, 14, 12), (0, 29, 0), (-64, 100, 10), (3, 2, 5)):
        scale = 2.0 ** (fractions[2] - fractions[0] - fractions[1])
        for kind in (Activation.IDENTITY, Activation.RELU):
            f = activation(x, kind, fractions[0]).astype(float)
            exact = np.clip(f * w * scale, -32768, 32767)
            assert np.abs(multiply(x, w, kind, fractions) - exact).max() <= 0.5
        numbers = [m[:, ::2].astype(float) + 1j * m[:, 1::2] for m in (x, w)]
        exact = np.multiply(*numbers) * scale
        y = multiply(x, w, Activation.IDENTITY, fractions, is_complex=True)
        assert np.abs(y[:, ::2] - np.clip(exact.real, -32768, 32767)).max() <= 0.5
        assert np.abs(y[:, 1::2] - np.clip(exact.imag, -32768, 32767)).max() <= 0.5


def test_one_row_multiplies_all_rows_by_a_gated_activation():
    x = np.arange(-3000, 3000, dtype=np.int16).reshape(20, 300)
    w = np.arange(300, dtype=np.int16)[np.newaxis]
    y = multiply(x, w, Activation.SILU, (11, 8, 11))
    assert np.array_equal(y, multiply(x, np.repeat(w, 20, 0), Activation.SILU, (11, 8, 11)))
    exact = x / 2048 / (1 + np.exp(-x / 2048)) * w / 256
    assert np.abs(y / 2048 - exact).max() <= 0.7 / 2048 * 300 / 256 + 0.5 / 2048


def test_products_at_the_ends():
    ends = np.array([[-32768, -32768, 32767, -32768]], dtype=np.int16)
    identity = Activation.IDENTITY
    assert multiply(ends, ends, identity, (0, 29, 0)).tolist() == [[2, 2, 2, 2]]
    assert multiply(ends, ends, identity, (0, 0, 0)).tolist() == [[32767] * 4]
    turned = multiply(ends, ends, identity, (0, 29, 0), is_complex=True)
    assert turned.tolist() == [[0, 4, 0, -4]]


def exact_norm(x, gain, bias, norm, y_fraction, epsilon):
    x = x.astype(float)
    centred = x - x.mean(axis=1, keepdims=True) if norm == Norm.LAYER else x
    variance = (centred**2).mean(axis=1, keepdims=True) + epsilon
    z = centred / np.sqrt(np.maximum(variance, 1e-30))
    y = z * gain / 4096 + bias / 2.0**y_fraction
    limit = 2.0 ** (15 - y_fraction)
    return np.clip(y, -limit, limit - 2.0**-y_fraction)


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("columns", [1, 2, 3, 64, 384, 768, 1000, 8192])
def test_normalised_rows(columns, norm):
    random = np.random.default_rng(columns)
    gain = np.clip(random.normal(4096, 1000, columns), -32768, 32767).astype(np.int16)
    bias = random.integers(-3000, 3000, columns).astype(np.int16)
    for spread, mean in ((30, 0), (3000, 0), (3000, 20000), (1e6, 0), (0, 32767), (100, -30000)):
        for epsilon in (0, 1, 2**32 - 1):
            x = np.clip(random.normal(mean, spread, (8, columns)), -32768, 32767)
            x = x.astype(np.int16)
            y = normalise(x, gain, bias, norm, 11, epsilon) / 2.0**11
            exact = exact_norm(x, gain, bias, norm, 11, epsilon)
            # Half a last place of y, one of z (12 bits of 384 columns, 10 of 8192) times the gain,
            # and the 16 bits of the ratio.
            z_step = 2.0 ** -(17 - (columns.bit_length() + 1) // 2)
            limit = 2.0**-12 + 1.5 * z_step + 2.0**-15 * np.abs(exact)
            assert np.all(np.abs(y - exact) <= limit)


@pytest.mark.parametrize("columns", [1, 7, 384, 8192])
@pytest.mark.parametrize("value", [-32768, -1, 0, 12345, 32767])
def test_constant_rows_become_the_bias(columns, value):
    x = np.full((1, columns), value, dtype=np.int16)
    gain = np.full(columns, 32767, dtype=np.int16)
    bias = (np.arange(columns) % 1000).astype(np.int16)
    for epsilon in (0, 1, 2**32 - 1):
        assert np.array_equal(normalise(x, gain, bias, Norm.LAYER, 8, epsilon)[0], bias)


def test_one_that_differs_reaches_the_largest_value():
    x = np.zeros((1, 8192), dtype=np.int16)
    x[0, 5] = 1
    gain, bias = np.full(8192, 4096, dtype=np.int16), np.zeros(8192, dtype=np.int16)
    y = normalise(x, gain, bias, Norm.LAYER, 8, 0)
    assert y[0, 5] / 256 == pytest.approx(math.sqrt(8191), rel=1e-3)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: quantise(x, Activation.IDENTITY, 65),
        lambda x: quantise(x, Activation.GELU, 16),
        lambda x: quantise(x, Activation.SILU, -1),
        lambda x: softmax(x, -1, True),
        lambda x: softmax(x, 8, True, 0),
        lambda x: multiply(x, x, Activation.IDENTITY, (0, 0, 1)),
        lambda x: multiply(x, x, Activation.IDENTITY, (15, 15, 0)),
        lambda x: multiply(x, x, Activation.GELU, (-1, 15, 0)),
        lambda x: multiply(x, x, Activation.IDENTITY, (8, 8, 8), is_complex=True),
        lambda x: multiply(x[:, :2], x[:, :2], Activation.RELU, (8, 8, 8), is_complex=True),
        lambda x: normalise(x, x[0], x[0], Norm.LAYER, 16, 0),
        lambda x: normalise(np.zeros((1, 8193), np.int16), x[0], x[0], Norm.LAYER, 8, 0),
    ],
)
def test_fractions_out_of_range(call):
    with pytest.raises(ValueError, match="must (be|have)"):
        call(np.zeros((2, 3), dtype=np.int16))
