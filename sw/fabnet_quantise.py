"""Quantisation of a FABNet classifier: fractions from calibration, int8 weights where dense.

Butterfly coefficients have 16 bits and are rounded by `butterfly.fixed_point`; what is chosen here
is the number of fraction bits of every int16 result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .butterfly.linear import ButterflyLinear
from .butterfly.twiddle import Twiddle
from .fabnet_reference import classify, run_block
from .frontend.fabnet import EPSILON, Fabnet, FabnetBlock
from .quantise import QuantisedLinear, fraction_bits, quantise_linear

SPECTRUM_MARGIN = 2.0
"""Room above the largest part of a complex number: its magnitude may be √2 times as large."""

LARGEST_INT16 = (1 << 15) - 1


@dataclass(frozen=True)
class BlockFractions:
    """Fraction bits of each int16 result of a block; `spectrum` may be negative.

    `input` holds for the block's input and the sum after mixing, `hidden` for the norm after it and
    the sum after the feed-forward part. Those of a mixing that the block has not are 0.
    """

    input: int
    spectrum: int
    query: int
    key: int
    value: int
    scores: int
    context: int
    hidden: int
    expanded: int
    activated: int
    output: int


@dataclass(frozen=True)
class QuantisedFabnet:
    """What the machine needs besides the butterflies of `model`.

    Parameters
    ----------
    model : Fabnet
    pixel : QuantisedLinear
        int8 [features, 1].
    classifier : QuantisedLinear
        int8 [classes, features].
    embedded, token_logits, logits : int
        Fraction bits.
    blocks : tuple of BlockFractions
    """

    model: Fabnet
    pixel: QuantisedLinear
    classifier: QuantisedLinear
    embedded: int
    token_logits: int
    logits: int
    blocks: tuple[BlockFractions, ...]


def quantise_fabnet(model: Fabnet, numbers: NDArray[np.floating]) -> QuantisedFabnet:
    """Choose fractions such that what calibration sees fits with a margin.

    Parameters
    ----------
    model : Fabnet
    numbers : float [batch, tokens]
        Inputs to calibrate with.

    Raises
    ------
    CompileError
        If a parameter does not fit its format.
    """
    largest = {name: float(np.abs(value).max()) for name, value in classify(model, numbers).items()}
    embedded = fraction_bits(largest["embedded"])
    logits = fraction_bits(max(largest["token_logits"], largest["logits"]))
    zeros = np.zeros(model.features, dtype=np.float32)
    pixel = replace(model.classifier, weight=model.pixel[:, None], bias=zeros)
    blocks = []
    for number in range(len(model.blocks)):
        found = {
            name.partition(".")[2]: value
            for name, value in largest.items()
            if name.startswith(f"{number}.")
        }
        before = f"{number - 1}.output" if number else "embedding"
        blocks.append(_block(found | {"input": largest[before]}))
    return QuantisedFabnet(
        model,
        quantise_linear(pixel, embedded, "pixel"),
        quantise_linear(model.classifier, logits, "classifier"),
        embedded,
        logits,
        logits,
        tuple(_joined(blocks)),
    )


def quantise_blocks(
    blocks: Sequence[FabnetBlock], x: NDArray[np.floating], epsilon: float = EPSILON
) -> list[tuple[FabnetBlock, BlockFractions]]:
    """Choose fractions of blocks that run one after the other on `x` [batch, tokens, features].

    Raises
    ------
    CompileError
        If a parameter does not fit its format.
    """
    found: list[BlockFractions] = []
    for block in blocks:
        values = run_block(block, x, epsilon)
        largest = {name: float(np.abs(value).max()) for name, value in values.items()}
        found.append(_block(largest | {"input": float(np.abs(x).max())}))
        x = values["output"]
    return list(zip(blocks, _joined(found), strict=True))


def _joined(fractions: list[BlockFractions]) -> list[BlockFractions]:
    """Return `fractions` such that the output of a block is the input of the next one."""
    following = [*(item.input for item in fractions[1:]), fractions[-1].output]
    return [replace(item, output=after) for item, after in zip(fractions, following, strict=True)]


def _block(largest: Mapping[str, float]) -> BlockFractions:
    def bits(*names: str) -> int:
        return fraction_bits(max(largest.get(name, 0.0) for name in names))

    spectrum = largest.get("spectrum", 1.0) * SPECTRUM_MARGIN
    return BlockFractions(
        input=bits("input", "mixing_sum", "mixed"),
        spectrum=math.floor(math.log2(LARGEST_INT16 / spectrum)),
        query=bits("query"),
        key=bits("key"),
        value=bits("value"),
        scores=bits("scores"),
        context=bits("context"),
        hidden=bits("hidden", "output_sum", "contracted"),
        expanded=fraction_bits(max(largest["expanded"], 4.0)),
        activated=bits("activated"),
        output=bits("output"),
    )


def scaled(layer: ButterflyLinear, factor: float) -> ButterflyLinear:
    """Return a layer whose outputs are `factor` times as large."""
    coefficients = layer.twiddle.coefficients.copy()
    coefficients[:, -1, -1] *= factor
    twiddle = Twiddle(coefficients, layer.twiddle.increasing_stride)
    bias = None if layer.bias is None else layer.bias * factor
    return ButterflyLinear(twiddle, layer.in_features, layer.out_features, bias)
