"""Front end for classifiers of the FABNet family (Fan et al., MICRO 2022).

A block mixes the tokens, by attention (ABfly) or by a 2-D Fourier transform (FBfly), and applies a
feed-forward part to each; a layer norm follows either sum with the residual. All linear layers are
butterflies, or all are dense. A token is a number times a vector plus the vector of its place; the
mean over tokens is classified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ..butterfly.cost import Cost, cost, dense_cost, fourier_cost
from ..butterfly.errors import ButterflyError
from ..butterfly.linear import ButterflyLinear
from ..butterfly.twiddle import Twiddle
from ..errors import FrontendError
from .bert import LayerNorm, Linear
from .checkpoint import read_tensors

EPSILON = 1e-5
FOURIER, ATTENTION = "fourier", "attention"
PROJECTIONS = ("query", "key", "value", "projection")
FOLDER = Path(__file__).with_name("models")

AnyLinear = ButterflyLinear | Linear


@dataclass(frozen=True)
class SelfAttention:
    """The four projections of an attention with `heads` heads."""

    heads: int
    query: AnyLinear
    key: AnyLinear
    value: AnyLinear
    projection: AnyLinear


@dataclass(frozen=True)
class FabnetBlock:
    """One block.

    Parameters
    ----------
    attention : SelfAttention, optional
        Without it a Fourier transform mixes.
    mixing_norm : LayerNorm
    expand, contract : ButterflyLinear or Linear
    output_norm : LayerNorm
    """

    attention: SelfAttention | None
    mixing_norm: LayerNorm
    expand: AnyLinear
    contract: AnyLinear
    output_norm: LayerNorm

    def linears(self) -> dict[str, AnyLinear]:
        """Return the linear layers by name."""
        layers = {"expand": self.expand, "contract": self.contract}
        if self.attention is None:
            return layers
        return {name: getattr(self.attention, name) for name in PROJECTIONS} | layers


@dataclass(frozen=True)
class Fabnet:
    """A float model.

    Parameters
    ----------
    pixel : float32 [features]
        What a token's number is multiplied by.
    positions : float32 [tokens, features]
    embedding_norm : LayerNorm
    blocks : tuple of FabnetBlock
    classifier : Linear
    epsilon : float
        Added to the variance in a layer norm.
    """

    pixel: NDArray[np.float32]
    positions: NDArray[np.float32]
    embedding_norm: LayerNorm
    blocks: tuple[FabnetBlock, ...]
    classifier: Linear
    epsilon: float = EPSILON

    @property
    def tokens(self) -> int:
        """Tokens of an input."""
        return self.positions.shape[0]

    @property
    def features(self) -> int:
        """Channels of the residual stream."""
        return self.positions.shape[1]

    @property
    def classes(self) -> int:
        """What the classifier tells apart."""
        return self.classifier.weight.shape[0]

    @cached_property
    def cost(self) -> Cost:
        """All parameters, and the multiply-adds of one input."""
        tokens, features = self.tokens, self.features
        parameters = self.pixel.size + self.positions.size + 2 * features
        total = [Cost(parameters, self.positions.size)]
        for block in self.blocks:
            total.append(Cost(4 * features, 0))
            if block.attention is None:
                along, across = fourier_cost(features), fourier_cost(tokens)
                products = tokens * along.multiply_adds + features * across.multiply_adds
                total.append(Cost(0, products))
            else:
                total.append(Cost(0, 2 * tokens * tokens * features))
            for layer in block.linears().values():
                single = linear_cost(layer)
                total.append(Cost(single.parameters, tokens * single.multiply_adds))
        total.append(linear_cost(self.classifier))
        return Cost(
            sum(item.parameters for item in total), sum(item.multiply_adds for item in total)
        )


def linear_cost(layer: AnyLinear) -> Cost:
    """Return parameters, and multiply-adds a token, of one linear layer."""
    if isinstance(layer, ButterflyLinear):
        return cost(layer)
    outputs, inputs = layer.weight.shape
    return dense_cost(inputs, outputs, bias=bool(np.any(layer.bias)))


def load_fabnet(path: Path) -> Fabnet:
    """Read a model.

    Parameters
    ----------
    path : Path
        A safetensors file with the tensors that `examples/digits/train.py` writes, and in its
        metadata ``heads`` and ``mixing``: `fourier` or `attention` for each block.

    Raises
    ------
    FrontendError
        If the file or one of its tensors is missing or damaged.
    """
    try:
        with safe_open(path, framework="np") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise FrontendError(f"{path}: {' '.join(str(error).split())}") from None
    for name in ("heads", "mixing"):
        if name not in metadata:
            raise FrontendError(f"{path}: its metadata must say {name}")
    try:
        return _Reader(path, shapes, metadata).model()
    except KeyError as error:
        raise FrontendError(f"{path}: tensor {error.args[0]} is missing") from None
    except ButterflyError as error:
        raise FrontendError(f"{path}: {error}") from None


def digits_model(kind: str = "fabnet") -> Fabnet:
    """Return the trained classifier of the `digits` images: `fabnet`, or `dense`, its twin."""
    return load_fabnet(FOLDER / f"digits_{kind}.safetensors")


class _Reader:
    def __init__(
        self, path: Path, shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str]
    ) -> None:
        self.tensors = read_tensors(path, shapes)
        self.path, self.metadata = path, metadata
        self.features = self.tensors["embedding.positions"].shape[-1]

    def model(self) -> Fabnet:
        mixing = self.metadata["mixing"].split()
        expanded = [
            len(self.tensors[f"{block}.feed_forward.expand.bias"]) for block in range(len(mixing))
        ]
        return Fabnet(
            self.tensors["embedding.pixel"],
            self.tensors["embedding.positions"],
            self._norm("embedding"),
            tuple(
                self._block(number, kind, expanded[number]) for number, kind in enumerate(mixing)
            ),
            self._classifier(),
        )

    def _block(self, number: int, mixing: str, expanded: int) -> FabnetBlock:
        if mixing not in (FOURIER, ATTENTION):
            raise FrontendError(
                f"{self.path}: mixing must be {FOURIER} or {ATTENTION}, not {mixing!r}"
            )
        features, attention = self.features, None
        if mixing == ATTENTION:
            layers = {
                name: self._linear(f"{number}.mixing.{name}", features, features)
                for name in PROJECTIONS
            }
            attention = SelfAttention(self._heads(), **layers)
        return FabnetBlock(
            attention,
            self._norm(f"{number}.mixing"),
            self._linear(f"{number}.feed_forward.expand", features, expanded),
            self._linear(f"{number}.feed_forward.contract", expanded, features),
            self._norm(f"{number}.feed_forward"),
        )

    def _heads(self) -> int:
        text = self.metadata["heads"]
        if not text.isdigit() or not int(text) or self.features % int(text):
            raise FrontendError(
                f"{self.path}: heads must divide {self.features} features, not {text!r}"
            )
        return int(text)

    def _classifier(self) -> Linear:
        layer = self._linear("classifier", self.features, len(self.tensors["classifier.bias"]))
        if not isinstance(layer, Linear):
            raise FrontendError(f"{self.path}: the classifier must be dense")
        return layer

    def _norm(self, name: str) -> LayerNorm:
        return LayerNorm(self.tensors[f"{name}.norm.gain"], self.tensors[f"{name}.norm.bias"])

    def _linear(self, name: str, inputs: int, outputs: int) -> AnyLinear:
        bias = self.tensors.get(f"{name}.bias")
        if f"{name}.twiddle" in self.tensors:
            twiddle = Twiddle(self.tensors[f"{name}.twiddle"])
            return ButterflyLinear(twiddle, inputs, outputs, bias)
        weight = self.tensors[f"{name}.weight"]
        if weight.shape != (outputs, inputs):
            raise FrontendError(
                f"{self.path}: tensor {name}.weight must have shape {(outputs, inputs)}, "
                f"not {weight.shape}"
            )
        return Linear(weight, np.zeros(outputs, np.float32) if bias is None else bias)
