"""Layers with hand-written gradients, enough for a small FABNet and its dense twin.

A layer is called on float32 [batch, tokens, features] and keeps what `backward` needs; `backward`
takes the gradient of the result and returns that of the argument. A `Parameter` collects its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

EPSILON = 1e-5
"""Added to the variance in a layer norm."""


class Parameter:
    """A tensor that is trained, its gradient, and the two moments that Adam keeps."""

    def __init__(self, value: NDArray) -> None:
        self.value: Array = value.astype(np.float32)
        self.gradient: Array = np.zeros_like(self.value)
        self.moments = np.zeros_like(self.value), np.zeros_like(self.value)


class Layer(Protocol):
    """What all layers have."""

    def __call__(self, x: Array) -> Array: ...

    def backward(self, gradient: Array) -> Array: ...

    def parameters(self) -> Iterator[tuple[str, Parameter]]: ...


def nested(layers: dict[str, Layer]) -> Iterator[tuple[str, Parameter]]:
    """Yield the parameters of `layers` with the names of the layers before theirs."""
    for name, layer in layers.items():
        for inner, parameter in layer.parameters():
            yield f"{name}.{inner}", parameter


class Dense:
    """``y = x weightᵀ + bias``, with or without a bias."""

    def __init__(self, random: np.random.Generator, inputs: int, outputs: int, bias: bool) -> None:
        self.weight = Parameter(random.normal(0, 1 / math.sqrt(inputs), (outputs, inputs)))
        self.bias = Parameter(np.zeros(outputs)) if bias else None

    def __call__(self, x: Array) -> Array:
        self._x = x
        y = x @ self.weight.value.T
        return y if self.bias is None else y + self.bias.value

    def backward(self, gradient: Array) -> Array:
        flat = gradient.reshape(-1, gradient.shape[-1])
        self.weight.gradient = flat.T @ self._x.reshape(-1, self._x.shape[-1])
        if self.bias is not None:
            self.bias.gradient = flat.sum(axis=0)
        return gradient @ self.weight.value

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield "weight", self.weight
        if self.bias is not None:
            yield "bias", self.bias


class Butterfly:
    """A butterfly layer in the convention of `torch_butterfly`, strides increasing.

    The weights are small, so that the matrix is written out each step and the gradient of the
    matrix is sent back through the factors: n rows in the place of all tokens.
    """

    def __init__(self, random: np.random.Generator, inputs: int, outputs: int, bias: bool) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.size = 1 << (inputs - 1).bit_length()
        stacks, factors = -(-outputs // self.size), self.size.bit_length() - 1
        # Rotations by random angles: every factor, hence the product, keeps lengths.
        angles = random.uniform(0, 2 * np.pi, (stacks, 1, factors, self.size // 2))
        cosine, sine = np.cos(angles), np.sin(angles)
        rows = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
        self.twiddle = Parameter(rows)
        self.bias = Parameter(np.zeros(outputs)) if bias else None

    def __call__(self, x: Array) -> Array:
        self._x, self._matrix = x, self._forward()
        y = x @ self._matrix
        return y if self.bias is None else y + self.bias.value

    def _forward(self) -> Array:
        """Return the transposed weight [inputs, outputs], and keep what each factor read."""
        stacks, _, factors, half = self.twiddle.value.shape[:4]
        rows = np.broadcast_to(np.eye(self.size, dtype=np.float32), (stacks, self.size, self.size))
        self._read = []
        for factor in range(factors):
            stride = 1 << factor
            pairs = rows.reshape(stacks, self.size, half // stride, 2, stride)
            self._read.append(pairs)
            matrices = self.twiddle.value[:, 0, factor].reshape(stacks, -1, stride, 2, 2)
            rows = np.einsum("krbis,kbsoi->krbos", pairs, matrices).reshape(rows.shape)
        whole = rows.transpose(1, 0, 2).reshape(self.size, -1)
        return whole[: self.inputs, : self.outputs]

    def backward(self, gradient: Array) -> Array:
        flat = gradient.reshape(-1, self.outputs)
        if self.bias is not None:
            self.bias.gradient = flat.sum(axis=0)
        self._backward(self._x.reshape(-1, self.inputs).T @ flat)
        return gradient @ self._matrix.T

    def _backward(self, gradient: Array) -> None:
        """Send the gradient of the matrix [inputs, outputs] to the factors."""
        stacks = len(self.twiddle.value)
        whole = np.zeros((self.size, stacks * self.size), dtype=np.float32)
        whole[: self.inputs, : self.outputs] = gradient
        rows = whole.reshape(self.size, stacks, self.size).transpose(1, 0, 2)
        for factor in reversed(range(len(self._read))):
            read = self._read[factor]
            matrices = self.twiddle.value[:, 0, factor].reshape(stacks, -1, 1 << factor, 2, 2)
            pairs = rows.reshape(read.shape)
            found = np.einsum("krbos,krbis->kbsoi", pairs, read)
            self.twiddle.gradient[:, 0, factor] = found.reshape(stacks, -1, 2, 2)
            rows = np.einsum("krbos,kbsoi->krbis", pairs, matrices).reshape(rows.shape)

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield "twiddle", self.twiddle
        if self.bias is not None:
            yield "bias", self.bias


class Norm:
    """Layer normalisation with gain and bias."""

    def __init__(self, features: int) -> None:
        self.gain, self.bias = Parameter(np.ones(features)), Parameter(np.zeros(features))

    def __call__(self, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        self._ratio = 1 / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + EPSILON)
        self._z = centred * self._ratio
        return self._z * self.gain.value + self.bias.value

    def backward(self, gradient: Array) -> Array:
        self.gain.gradient = (gradient * self._z).sum(axis=(0, 1))
        self.bias.gradient = gradient.sum(axis=(0, 1))
        inner = gradient * self.gain.value
        along = np.mean(inner * self._z, axis=-1, keepdims=True)
        return self._ratio * (inner - inner.mean(axis=-1, keepdims=True) - self._z * along)

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield "gain", self.gain
        yield "bias", self.bias


def error_function(x: Array) -> Array:
    """Return erf(x) to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    terms = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    total = np.zeros_like(x)
    for term in terms:
        total = (total + term) * t
    return np.sign(x) * (1 - total * np.exp(-x * x))


class Gelu:
    """``x · Φ(x)``."""

    def __call__(self, x: Array) -> Array:
        self._x = x
        self._share = 0.5 * (1 + error_function(x / math.sqrt(2)))
        return x * self._share

    def backward(self, gradient: Array) -> Array:
        density = np.exp(-0.5 * self._x**2) / math.sqrt(2 * math.pi)
        return gradient * (self._share + self._x * density)

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield from ()


class FourierMixing:
    """The real part of the 2-D Fourier transform over tokens and features, times `scale`.

    The matrix of the real part is symmetric, so that the gradient goes the same way back.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(self, x: Array) -> Array:
        return (np.fft.fft2(x, axes=(1, 2)).real * self.scale).astype(np.float32)

    def backward(self, gradient: Array) -> Array:
        return self(gradient)

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield from ()


class Attention:
    """Multi-head self-attention; `linear` makes its four projections."""

    def __init__(self, linear: type, random: np.random.Generator, features: int, heads: int):
        names = ("query", "key", "value", "projection")
        self.layers = {name: linear(random, features, features, False) for name in names}
        self.heads, self.scale = heads, 1 / math.sqrt(features / heads)

    def __call__(self, x: Array) -> Array:
        q, k, v = (self._split(self.layers[name](x)) for name in ("query", "key", "value"))
        scores = q @ k.swapaxes(-1, -2) * self.scale
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        self._kept = q, k, v, weights
        return self.layers["projection"](self._join(weights @ v))

    def backward(self, gradient: Array) -> Array:
        q, k, v, weights = self._kept
        context = self._split(self.layers["projection"].backward(gradient))
        inner = context @ v.swapaxes(-1, -2)
        scores = weights * (inner - (inner * weights).sum(axis=-1, keepdims=True)) * self.scale
        return (
            self.layers["query"].backward(self._join(scores @ k))
            + self.layers["key"].backward(self._join(scores.swapaxes(-1, -2) @ q))
            + self.layers["value"].backward(self._join(weights.swapaxes(-1, -2) @ context))
        )

    def _split(self, x: Array) -> Array:
        return x.reshape(*x.shape[:2], self.heads, -1).swapaxes(1, 2)

    def _join(self, x: Array) -> Array:
        return x.swapaxes(1, 2).reshape(len(x), x.shape[2], -1)

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield from nested(self.layers)


class Chain:
    """Layers one after the other, by name."""

    def __init__(self, layers: dict[str, Layer]) -> None:
        self.layers = layers

    def __call__(self, x: Array) -> Array:
        for layer in self.layers.values():
            x = layer(x)
        return x

    def backward(self, gradient: Array) -> Array:
        for layer in reversed(self.layers.values()):
            gradient = layer.backward(gradient)
        return gradient

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield from nested(self.layers)


class Residual:
    """``norm(x + inner(x))``."""

    def __init__(self, features: int, inner: Layer) -> None:
        self.inner, self.norm = inner, Norm(features)

    def __call__(self, x: Array) -> Array:
        return self.norm(x + self.inner(x))

    def backward(self, gradient: Array) -> Array:
        gradient = self.norm.backward(gradient)
        return gradient + self.inner.backward(gradient)

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield from self.inner.parameters()
        for name, parameter in self.norm.parameters():
            yield f"norm.{name}", parameter


class Embedding:
    """A token is its pixel times a vector plus the vector of its place, normalised."""

    def __init__(self, random: np.random.Generator, tokens: int, features: int) -> None:
        self.pixel = Parameter(random.normal(0, 1, features))
        self.positions = Parameter(random.normal(0, 1, (tokens, features)))
        self.norm = Norm(features)

    def __call__(self, x: Array) -> Array:
        self._x = x
        return self.norm(x[..., None] * self.pixel.value + self.positions.value)

    def backward(self, gradient: Array) -> Array:
        gradient = self.norm.backward(gradient)
        self.positions.gradient = gradient.sum(axis=0)
        self.pixel.gradient = np.einsum("btf,bt->f", gradient, self._x)
        return gradient @ self.pixel.value

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield "pixel", self.pixel
        yield "positions", self.positions
        for name, parameter in self.norm.parameters():
            yield f"norm.{name}", parameter


class MeanPool:
    """The mean over tokens, [batch, 1, features]."""

    def __call__(self, x: Array) -> Array:
        self._tokens = x.shape[1]
        return x.mean(axis=1, keepdims=True)

    def backward(self, gradient: Array) -> Array:
        return np.repeat(gradient / self._tokens, self._tokens, axis=1)

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield from ()


def feed_forward(linear: type, random: np.random.Generator, features: int, hidden: int) -> Chain:
    """Return two linear layers with GELU between them."""
    return Chain(
        {
            "expand": linear(random, features, hidden, True),
            "activation": Gelu(),
            "contract": linear(random, hidden, features, False),
        }
    )


def adam(parameters: Sequence[Parameter], rate: float, step: int, decay: float) -> None:
    """Change `parameters` by one step of AdamW; `step` counts from 1."""
    for parameter in parameters:
        first, second = parameter.moments
        first += 0.1 * (parameter.gradient - first)
        second += 0.001 * (parameter.gradient**2 - second)
        change = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        matrix = parameter.value.ndim > 1
        parameter.value -= rate * (change + decay * parameter.value * matrix)
