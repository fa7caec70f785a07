"""The bytes of the weights, scale words and norm parameters that a graph reads from DRAM."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..decoder_quantise import QuantisedDecoderLayer
from ..gir import WORD, Buffer
from ..quantise import NormParameters, QuantisedLayer
from ..scale import ScaleVector


def layer_constants(number: int, layer: QuantisedLayer) -> dict[str, NDArray]:
    """Return the constants of layer `number` by the name of their DRAM buffer.

    Returns
    -------
    dict
        int8 weights [out, in], int16 norm parameters [2, n], uint64 scale words [vectors, n]. The
        last vector of `attention.scales` and of `contract.scales` is the one before without bias.
    """
    attention = (layer.query, layer.key, layer.value, layer.projection)
    values: dict[str, NDArray] = {
        "query": layer.query.weight,
        "key": layer.key.weight,
        "value": layer.value.weight,
        "projection": layer.projection.weight,
        "expand": layer.expand.weight,
        "contract": layer.contract.weight,
        "attention.scales": _vectors(
            *(item.scales for item in attention), _without_bias(layer.projection.scales)
        ),
        "expand.scales": _vectors(layer.expand.scales),
        "contract.scales": _vectors(layer.contract.scales, _without_bias(layer.contract.scales)),
        "attention_norm": _norm(layer.attention_norm),
        "output_norm": _norm(layer.output_norm),
    }
    return {f"{number}.{name}": value for name, value in values.items()}


def decoder_constants(
    number: int, layer: QuantisedDecoderLayer, head_width: int
) -> dict[str, NDArray]:
    """Return the constants of decoder layer `number` by the name of their DRAM buffer.

    Returns
    -------
    dict
        int8 weights [out, in], those of `projection` and `down` [in, out]; int16 norm parameters
        [2, n]; uint64 scale words [1, out].
    """
    linears = ("query", "key", "value", "projection", "gate", "up", "down")
    values: dict[str, NDArray] = {
        "attention_norm": _norm(layer.attention_norm),
        "feed_forward_norm": _norm(layer.feed_forward_norm),
    }
    for name in linears:
        linear = getattr(layer, name)
        values[name] = linear.weight
        values[f"{name}.scales"] = _vectors(linear.scales)
    for name in ("projection", "down"):
        values[name] = values[name].T
    values["value.scale"] = np.repeat(_vectors(layer.value_scale), head_width, axis=1)
    return {f"{number}.{name}": value for name, value in values.items()}


def pack(values: NDArray, buffer: Buffer) -> bytes:
    """Return the bytes of matrix `values` in DRAM buffer `buffer`, rows padded with zeros."""
    rows = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
    padded = np.zeros((len(rows), (buffer.pitch or buffer.row_words) * WORD), dtype=np.uint8)
    padded[:, : rows.shape[1]] = rows
    return padded.tobytes()


def _vectors(*vectors: ScaleVector) -> NDArray[np.uint64]:
    longest = max(map(len, vectors))
    return np.stack([np.pad(vector.pack(), (0, longest - len(vector))) for vector in vectors])


def _without_bias(vector: ScaleVector) -> ScaleVector:
    return ScaleVector(vector.mantissa, vector.exponent, np.zeros_like(vector.bias))


def _norm(parameters: NormParameters) -> NDArray[np.int16]:
    return np.stack([parameters.gain, parameters.bias])
