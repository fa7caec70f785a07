"""A decoder's cache as programs see it: which tensors they read and append, and a host's copy.

Of each layer there are ``keys`` and ``values``, int8 [tokens, key heads · head width], and
``scales``, a scale word a key, uint64 [key heads, tokens]. In DRAM a token of keys or values is a
row that begins at a beat of the bus; the scale words of a head follow each other, as the array
takes the scales of columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .decoder_quantise import QuantisedDecoderLayer
from .decoder_reference import LayerCache
from .frontend.llama import LlamaConfig
from .gir import WORD, Buffer, Graph
from .passes.decoder_tiling import DecoderShape
from .quantise import WEIGHT_LIMIT
from .scale import ScaleVector
from .tensor import Tensor

PARTS = {"keys": "int8", "values": "int8", "scales": "uint64"}
"""The tensors of a layer's cache and their types."""

SCALES = "scales"
"""The one whose tokens are columns."""

NEW = ".new"
"""End of the names of the tensors that a program appends."""


def cache_tensors(
    graph: Graph, shape: DecoderShape, layers: Sequence[int]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the parts of the caches that a program reads and those that it writes."""
    buffers = graph.by_name()
    inputs, outputs = [], []
    for number in layers:
        for name in PARTS:
            buffer = buffers[f"{number}.cache.{name}"]
            if shape.past:
                inputs.append(_tensor(f"{number}.{name}", buffer, 0, shape.past))
            outputs.append(_tensor(f"{number}.{name}{NEW}", buffer, shape.past, shape.tokens))
    return inputs, outputs


def _tensor(title: str, buffer: Buffer, first: int, count: int) -> Tensor:
    """Return `count` tokens from `first` on of a cache."""
    assert buffer.address is not None
    name = buffer.name.rpartition(".")[2]
    stride = buffer.pitch * WORD
    shape = (buffer.rows, count) if name == SCALES else (count, buffer.columns)
    offset = buffer.address * WORD + first * (WORD if name == SCALES else stride)
    return Tensor(title, buffer.window, offset, shape, PARTS[name], stride)


@dataclass(frozen=True)
class HostCache:
    """The caches of some layers between programs, for a host that keeps no window open.

    Parameters
    ----------
    tensors : mapping of str to array
        By the name of the input that takes them; empty before the first token.
    """

    tensors: Mapping[str, NDArray] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Tokens so far."""
        keys = [values for name, values in self.tensors.items() if name.endswith(".keys")]
        return len(keys[0]) if keys else 0

    @classmethod
    def from_float(
        cls,
        config: LlamaConfig,
        layers: Sequence[tuple[int, QuantisedDecoderLayer]],
        caches: Sequence[LayerCache],
    ) -> HostCache:
        """Return what the machine would keep of `caches`, those of equalised layers.

        See `sw.decoder_quantise.equalise`.
        """
        tensors: dict[str, NDArray] = {}
        for (number, layer), cache in zip(layers, caches, strict=True):
            keys, scales = _quantise_keys(config, cache.keys)
            unit = layer.value_scale.to_float()[0]
            values = np.clip(np.rint(cache.values / unit), -WEIGHT_LIMIT, WEIGHT_LIMIT)
            tensors |= {
                f"{number}.keys": keys,
                f"{number}.values": values.astype(np.int8),
                f"{number}.scales": scales,
            }
        return cls(tensors)

    def append(self, outputs: Mapping[str, NDArray]) -> HostCache:
        """Return the caches after a program gave `outputs`."""
        grown = {}
        for name in outputs:
            if not name.endswith(NEW):
                continue
            title = name.removesuffix(NEW)
            axis = 1 if title.endswith(SCALES) else 0
            before = [self.tensors[title]] if title in self.tensors else []
            grown[title] = np.concatenate([*before, outputs[name]], axis=axis)
        return HostCache(grown)


def _quantise_keys(
    config: LlamaConfig, keys: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.uint64]]:
    """Return int8 keys and their scale words, [key heads, tokens]."""
    heads = keys.reshape(len(keys), config.key_heads, config.head_width)
    scale = np.maximum(np.abs(heads).max(axis=2), 1e-9) / WEIGHT_LIMIT
    rounded = np.rint(heads / scale[..., None]).astype(np.int8)
    words = ScaleVector.from_float(scale.T.reshape(-1)).pack()
    return rounded.reshape(keys.shape), words.reshape(config.key_heads, len(keys))
