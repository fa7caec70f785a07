"""Front end for decoders of the LLaMA family: RMSNorm first, rotary positions, grouped queries,
gated feed-forward part, no biases.

A checkpoint rotates channel i of a head together with channel i + width/2. The machine multiplies
neighbours as complex numbers, so the rows of the query and key weights are reordered here such that
the two are adjacent; scores are sums over channels and stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FrontendError
from .bert import model_folder
from .checkpoint import read_json, read_tensors, size_field

Matrix = NDArray[np.floating]

MODEL_TYPE = "llama"
ACTIVATION = "silu"
SIZE_LIMITS = {
    "hidden_size": 1 << 13,
    "num_attention_heads": 1 << 8,
    "num_key_value_heads": 1 << 8,
    "head_dim": 1 << 10,
    "intermediate_size": 1 << 15,
    "num_hidden_layers": 1 << 8,
    "vocab_size": 1 << 20,
    "max_position_embeddings": 1 << 20,
}
DEFAULT_BASE = 10000.0
DEFAULT_EPSILON = 1e-6


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes of a decoder.

    Parameters
    ----------
    hidden, heads, key_heads, head_width, intermediate, layers : int
        Channels of the residual stream, query heads, key and value heads (a divisor of the query
        heads), channels of a head, channels of the feed-forward part, layers.
    vocabulary, maximum_tokens : int
        Rows of the embedding table, longest sequence.
    rotary_base : float
        Pair i of a head turns by ``position · base^(-2i / head_width)``.
    epsilon : float
        Added to the mean square in a norm.
    """

    hidden: int
    heads: int
    key_heads: int
    head_width: int
    intermediate: int
    layers: int
    vocabulary: int
    maximum_tokens: int
    rotary_base: float = DEFAULT_BASE
    epsilon: float = DEFAULT_EPSILON

    @property
    def group(self) -> int:
        """Query heads that share a key head."""
        return self.heads // self.key_heads

    @property
    def query_width(self) -> int:
        """Channels of all query heads."""
        return self.heads * self.head_width

    @property
    def key_width(self) -> int:
        """Channels of all key heads, and of all values."""
        return self.key_heads * self.head_width


@dataclass(frozen=True)
class DecoderLayer:
    """The weights of one layer, float32 [out, in], and the gains of its norms, float32 [hidden].

    Rows of `query` and `key` are in the order of the machine: rotated pairs are adjacent.
    """

    attention_norm: Matrix
    query: Matrix
    key: Matrix
    value: Matrix
    projection: Matrix
    feed_forward_norm: Matrix
    gate: Matrix
    up: Matrix
    down: Matrix


@dataclass(frozen=True)
class LlamaModel:
    """A float model.

    Parameters
    ----------
    config : LlamaConfig
    words : float32 [vocabulary, hidden]
        The embedding table.
    layers : tuple of DecoderLayer
    output_norm : float32 [hidden]
        Gain of the norm after the last layer.
    head : float32 [vocabulary, hidden]
        From there to the logits.
    """

    config: LlamaConfig
    words: Matrix
    layers: tuple[DecoderLayer, ...]
    output_norm: Matrix
    head: Matrix


LAYER_TENSORS = {
    "attention_norm": "input_layernorm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "projection": "self_attn.o_proj",
    "feed_forward_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
"""The name in a checkpoint of each field of a `DecoderLayer`."""

WORDS, OUTPUT_NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"


def tensor_name(index: int, field: str) -> str:
    """Return the name in a checkpoint of a field of layer `index`."""
    return f"model.layers.{index}.{LAYER_TENSORS[field]}.weight"


def layer_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each field of a `DecoderLayer`."""
    hidden, wide = config.hidden, config.intermediate
    return {
        "attention_norm": (hidden,),
        "query": (config.query_width, hidden),
        "key": (config.key_width, hidden),
        "value": (config.key_width, hidden),
        "projection": (hidden, config.query_width),
        "feed_forward_norm": (hidden,),
        "gate": (wide, hidden),
        "up": (wide, hidden),
        "down": (hidden, wide),
    }


def adjacent_pairs(heads: int, width: int) -> NDArray[np.int64]:
    """Return for each row of query or key weights in the machine's order its row in a checkpoint.

    Row 2i of a head is its channel i, row 2i + 1 its channel i + width/2.
    """
    channels = np.arange(width).reshape(2, width // 2).T.reshape(-1)
    return (np.arange(heads)[:, None] * width + channels).reshape(-1)


def load(folder: Path | str) -> LlamaModel:
    """Read a decoder from ``config.json`` and ``model.safetensors`` in `folder`.

    Raises
    ------
    FrontendError
        If a file is missing or damaged, a configuration is not supported, or a tensor is missing,
        of a wrong shape, or not finite.
    """
    folder = Path(folder)
    path = folder / "config.json"
    values = read_json(path)
    config = read_config(path, values)
    tied = bool(values.get("tie_word_embeddings", False))
    table = config.vocabulary, config.hidden
    shapes: dict[str, tuple[int, ...]] = {WORDS: table, OUTPUT_NORM: (config.hidden,)}
    if not tied:
        shapes[HEAD] = table
    for index in range(config.layers):
        shapes |= {
            tensor_name(index, field): shape for field, shape in layer_shapes(config).items()
        }
    tensors = read_tensors(folder / "model.safetensors", shapes)
    layers = tuple(_layer(tensors, index, config) for index in range(config.layers))
    return LlamaModel(
        config, tensors[WORDS], layers, tensors[OUTPUT_NORM], tensors[WORDS if tied else HEAD]
    )


def is_llama(folder: Path | str) -> bool:
    """Return whether ``config.json`` in `folder` says that it holds a model of this family.

    Raises
    ------
    FrontendError
        If there is no such folder, or the file is missing or no JSON object.
    """
    return read_json(model_folder(folder) / "config.json").get("model_type") == MODEL_TYPE


def read_config(path: Path, values: dict[str, Any]) -> LlamaConfig:
    """Check the `values` of the configuration at `path`.

    Raises
    ------
    FrontendError
        If a field is missing, out of range or not supported.
    """
    _require(values, "model_type", MODEL_TYPE, path)
    _require(values, "hidden_act", ACTIVATION, path)
    _require(values, "attention_bias", False, path)
    _require(values, "mlp_bias", False, path)
    if values.get("rope_scaling") is not None:
        raise FrontendError(f"{path}: rope_scaling must be null, not {values['rope_scaling']!r}")
    values = _defaults(values)
    sizes = {name: size_field(values, name, limit, path) for name, limit in SIZE_LIMITS.items()}
    heads, key_heads = sizes["num_attention_heads"], sizes["num_key_value_heads"]
    if heads % key_heads:
        raise FrontendError(
            f"{path}: num_attention_heads {heads} must be a multiple of num_key_value_heads "
            f"{key_heads}"
        )
    if sizes["head_dim"] % 2:
        raise FrontendError(f"{path}: head_dim must be even, not {sizes['head_dim']}")
    return LlamaConfig(
        hidden=sizes["hidden_size"],
        heads=heads,
        key_heads=key_heads,
        head_width=sizes["head_dim"],
        intermediate=sizes["intermediate_size"],
        layers=sizes["num_hidden_layers"],
        vocabulary=sizes["vocab_size"],
        maximum_tokens=sizes["max_position_embeddings"],
        rotary_base=_number(values, "rope_theta", DEFAULT_BASE, (1.0, 1e9), path),
        epsilon=_number(values, "rms_norm_eps", DEFAULT_EPSILON, (0.0, 1.0), path),
    )


def _defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with what may be left out: as many key heads as heads, and their width."""
    heads, hidden = values.get("num_attention_heads"), values.get("hidden_size")
    width = hidden // heads if isinstance(hidden, int) and isinstance(heads, int) and heads else 0
    given = {name: value for name, value in values.items() if value is not None}
    return {"num_key_value_heads": heads, "head_dim": width} | given


def _require(values: dict[str, Any], name: str, wanted: str | bool, path: Path) -> None:
    value = values.get(name, wanted)
    if value != wanted:
        raise FrontendError(f"{path}: {name} must be {wanted}, not {value!r}")


def _number(
    values: dict[str, Any], name: str, default: float, limits: tuple[float, float], path: Path
) -> float:
    value = values.get(name, default)
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or not limits[0] <= value <= limits[1]:
        raise FrontendError(
            f"{path}: {name} must be from {limits[0]:g} to {limits[1]:g}, not {value!r}"
        )
    return float(value)


def _layer(
    tensors: dict[str, NDArray[np.float32]], index: int, config: LlamaConfig
) -> DecoderLayer:
    fields = {field: tensors[tensor_name(index, field)] for field in LAYER_TENSORS}
    for field, heads in (("query", config.heads), ("key", config.key_heads)):
        fields[field] = fields[field][adjacent_pairs(heads, config.head_width)]
    return DecoderLayer(**fields)
