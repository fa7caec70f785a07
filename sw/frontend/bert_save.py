"""Write an encoder of the BERT family as a checkpoint that `bert.load` reads."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from .bert import ACTIVATIONS_KEY, BertModel, EncoderLayer, LayerNorm, Linear

LINEAR_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "projection": "attention.output.dense",
    "expand": "intermediate.dense",
    "contract": "output.dense",
}
"""The name in a checkpoint of each linear layer of an `EncoderLayer`."""

NORM_NAMES = {
    "attention_norm": "attention.output.LayerNorm",
    "output_norm": "output.LayerNorm",
}
"""The same of each layer norm."""


def named_tensors(model: BertModel) -> dict[str, NDArray[np.float32]]:
    """Return all tensors of `model` by their name in a checkpoint."""
    tables = model.embeddings
    tensors = {
        "embeddings.word_embeddings.weight": tables.words,
        "embeddings.position_embeddings.weight": tables.positions,
        "embeddings.token_type_embeddings.weight": tables.types,
        **_norm("embeddings.LayerNorm", tables.norm),
    }
    for index, layer in enumerate(model.layers):
        tensors |= dict(_layer(f"encoder.layer.{index}", layer))
    return {name: np.ascontiguousarray(item, np.float32) for name, item in tensors.items()}


def save(model: BertModel, path: Path, metadata: Mapping[str, str]) -> None:
    """Write `model` as safetensors with `metadata`, and with what it says of activations.

    Equal arguments give equal files.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    activations = (
        {ACTIVATIONS_KEY: json.dumps(dict(model.activations))} if model.activations else {}
    )
    save_file(named_tensors(model), path, {**metadata, **activations})
    _sort_header(path)


def _sort_header(path: Path) -> None:
    """Write the header again with metadata in order, which safetensors writes in a random one."""
    with path.open("r+b") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        file.seek(8)
        file.write(text.ljust(size))


def _layer(prefix: str, layer: EncoderLayer) -> Iterator[tuple[str, NDArray]]:
    for field, name in LINEAR_NAMES.items():
        linear: Linear = getattr(layer, field)
        yield f"{prefix}.{name}.weight", linear.weight
        yield f"{prefix}.{name}.bias", linear.bias
    for field, name in NORM_NAMES.items():
        yield from _norm(f"{prefix}.{name}", getattr(layer, field)).items()


def _norm(name: str, norm: LayerNorm) -> dict[str, NDArray]:
    return {f"{name}.weight": norm.gain, f"{name}.bias": norm.bias}
