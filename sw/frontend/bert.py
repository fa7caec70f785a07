"""Front end for encoders of the BERT family: post-norm, learned positions, GELU or ReLU."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import FrontendError
from .checkpoint import minilm_folder, read_json, read_metadata, read_tensors, size_field

Matrix = NDArray[np.floating]

MODEL_TYPE = "bert"

ACTIVATIONS = ("gelu", "relu")

DEFAULT_EPSILON = 1e-12

ACTIVATIONS_KEY = "ageha.activations"
"""Metadata of a checkpoint: `BertModel.activations` as JSON."""

SIZE_LIMITS = {
    "hidden_size": 1 << 13,
    "num_attention_heads": 1 << 8,
    "intermediate_size": 1 << 15,
    "num_hidden_layers": 1 << 8,
    "vocab_size": 1 << 20,
    "max_position_embeddings": 1 << 14,
    "type_vocab_size": 1 << 8,
}


@dataclass(frozen=True)
class BertConfig:
    """Sizes of an encoder.

    Parameters
    ----------
    hidden, heads, intermediate, layers : int
        Channels of the residual stream, heads, channels of the feed-forward part, layers.
    vocabulary, positions, types : int
        Rows of the three embedding tables.
    maximum_tokens : int
        Longest sequence, at most `positions`.
    activation : str
        ``gelu`` or ``relu``.
    epsilon : float
        Added to the variance in a layer norm.
    norm_first : bool
        Whether norms come before attention and the feed-forward part, as in a ViT, instead of
        after the sums.
    head_channels : int
        Channels of a head; as many as the heads share of the hidden ones if left out.
    """

    hidden: int
    heads: int
    intermediate: int
    layers: int
    vocabulary: int
    positions: int
    types: int
    maximum_tokens: int
    activation: str = "gelu"
    epsilon: float = 1e-12
    norm_first: bool = False
    head_channels: int = 0

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.head_channels or self.hidden // self.heads


@dataclass(frozen=True)
class Linear:
    """A linear layer: ``y = x weightᵀ + bias``, weight float32 [out, in], bias float32 [out]."""

    weight: Matrix
    bias: Matrix


@dataclass(frozen=True)
class LayerNorm:
    """A layer norm: gain and bias, float32 [hidden]."""

    gain: Matrix
    bias: Matrix


@dataclass(frozen=True)
class EncoderLayer:
    """The weights of one encoder layer."""

    query: Linear
    key: Linear
    value: Linear
    projection: Linear
    attention_norm: LayerNorm
    expand: Linear
    contract: Linear
    output_norm: LayerNorm


@dataclass(frozen=True)
class Embeddings:
    """Tables float32 [vocabulary, hidden], [positions, hidden], [types, hidden] and their norm."""

    words: Matrix
    positions: Matrix
    types: Matrix
    norm: LayerNorm


@dataclass(frozen=True)
class EncoderModel:
    """A float model whose input is vectors: encoder layers without embeddings of their own.

    `folder` is where it was read from, and where its tokenizer lies; None for one made in memory.
    `activations` says of which linear layers the machine keeps only some inputs: a series such as
    ``4:8`` by a name such as ``0.contract``.
    """

    config: BertConfig
    layers: tuple[EncoderLayer, ...]
    folder: Path | None = None
    activations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BertModel(EncoderModel):
    """A float model whose input is words."""

    embeddings: Embeddings = field(kw_only=True)


AnyEncoder = TypeVar("AnyEncoder", bound=EncoderModel)


def load(source: Path | str | None = None, weights: Path | None = None) -> BertModel:
    """Read a model.

    Parameters
    ----------
    source : path, optional
        A folder with ``config.json`` and ``model.safetensors``; all-MiniLM-L6-v2 if left out.
    weights : path, optional
        A checkpoint to take the place of the folder's, such as a sparse one.

    Raises
    ------
    FrontendError
        If a file is missing or damaged, a configuration is not supported, or a tensor is missing,
        of a wrong shape, or not finite.
    """
    folder = model_folder(source)
    config = read_config(folder)
    path = weights or folder / "model.safetensors"
    tensors = read_tensors(path, _shapes(config))
    return BertModel(
        config,
        tuple(layer_of(NAMES, tensors, index) for index in range(config.layers)),
        folder,
        read_activations(path, config),
        embeddings=Embeddings(
            tensors["embeddings.word_embeddings.weight"],
            tensors["embeddings.position_embeddings.weight"],
            tensors["embeddings.token_type_embeddings.weight"],
            norm_of(tensors, "embeddings.LayerNorm"),
        ),
    )


def keep_activations(model: AnyEncoder, texts: Iterable[str]) -> AnyEncoder:
    """Return `model` with other `activations` beside what it says itself.

    Parameters
    ----------
    model : EncoderModel
    texts : iterable of str
        A series such as ``8:16`` for the inputs of all feed-forward contractions, or one with
        a layer such as ``3.contract=8:16``; later ones win.

    Raises
    ------
    FrontendError
        If the model has no such layer.
    """
    known = [f"{layer}.contract" for layer in range(model.config.layers)]
    activations = dict(model.activations)
    for text in texts:
        name, equals, series = text.partition("=")
        if equals and name not in known:
            raise FrontendError(
                f"activations {text!r}: the layer must be one of {known[0]} to {known[-1]}"
            )
        activations |= {name: series} if equals else dict.fromkeys(known, text)
    return replace(model, activations=activations)


def read_activations(path: Path, config: BertConfig) -> dict[str, str]:
    """Return what the checkpoint says of kept activations, checked but for the series.

    Raises
    ------
    FrontendError
        If that is no object of texts, or names a layer that is not there.
    """
    text = read_metadata(path).get(ACTIVATIONS_KEY, "{}")
    try:
        values = json.loads(text)
    except json.JSONDecodeError:
        values = None
    known = {f"{layer}.contract" for layer in range(config.layers)}
    if not isinstance(values, dict) or not all(isinstance(it, str) for it in values.values()):
        raise FrontendError(f"{path}: {ACTIVATIONS_KEY} must be a JSON object of texts, not {text}")
    for name in values:
        if name not in known:
            raise FrontendError(
                f"{path}: {ACTIVATIONS_KEY} may name 0.contract to {config.layers - 1}.contract, "
                f"not {name!r}"
            )
    return values


def model_folder(source: Path | str | None = None) -> Path:
    """Return the folder of model `source`; all-MiniLM-L6-v2 if left out.

    Raises
    ------
    FrontendError
        If there is no such folder.
    """
    folder = minilm_folder() if source is None else Path(source)
    if not folder.is_dir():
        raise FrontendError(f"{folder}: no such folder with a model")
    return folder


def read_config(folder: Path) -> BertConfig:
    """Read and check ``config.json``, and the limit in ``sentence_bert_config.json`` if there.

    Raises
    ------
    FrontendError
        If a field is missing, out of range or not supported.
    """
    path = folder / "config.json"
    values = read_json(path)
    sizes = {name: size_field(values, name, limit, path) for name, limit in SIZE_LIMITS.items()}
    require(values, "model_type", (MODEL_TYPE,), path)
    require(values, "position_embedding_type", ("absolute",), path)
    check_encoder(values, path)
    return BertConfig(
        hidden=sizes["hidden_size"],
        heads=sizes["num_attention_heads"],
        intermediate=sizes["intermediate_size"],
        layers=sizes["num_hidden_layers"],
        vocabulary=sizes["vocab_size"],
        positions=sizes["max_position_embeddings"],
        types=sizes["type_vocab_size"],
        maximum_tokens=_maximum_tokens(folder, sizes["max_position_embeddings"]),
        activation=values.get("hidden_act", "gelu"),
        epsilon=values.get("layer_norm_eps", DEFAULT_EPSILON),
    )


def check_encoder(values: Mapping[str, Any], path: Path) -> None:
    """Check what all encoders have in the configuration at `path`, but for the sizes' ranges.

    Raises
    ------
    FrontendError
        If the heads do not divide the channels, the activation is not supported, or the epsilon is
        out of range.
    """
    require(values, "hidden_act", ACTIVATIONS, path)
    hidden, heads = values["hidden_size"], values["num_attention_heads"]
    if hidden % heads:
        raise FrontendError(
            f"{path}: hidden_size {hidden} must be a multiple of num_attention_heads {heads}"
        )
    epsilon = values.get("layer_norm_eps", DEFAULT_EPSILON)
    if not isinstance(epsilon, float) or not 0 <= epsilon < 1:
        raise FrontendError(f"{path}: layer_norm_eps must be from 0 to below 1, not {epsilon!r}")


def _maximum_tokens(folder: Path, positions: int) -> int:
    path = folder / "sentence_bert_config.json"
    if not path.exists():
        return positions
    return min(positions, size_field(read_json(path), "max_seq_length", positions, path))


def require(
    values: Mapping[str, Any], name: str, allowed: tuple[str | bool, ...], path: Path
) -> None:
    """Check that the field `name` is one of those `allowed`, the first of which is the default.

    Raises
    ------
    FrontendError
        If not.
    """
    value = values.get(name, allowed[0])
    if value not in allowed:
        raise FrontendError(
            f"{path}: {name} must be {' or '.join(map(str, allowed))}, not {value!r}"
        )


def linear_shapes(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of linear layer `name`."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    hidden = config.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocabulary, hidden),
        "embeddings.position_embeddings.weight": (config.positions, hidden),
        "embeddings.token_type_embeddings.weight": (config.types, hidden),
        **norm_shapes("embeddings.LayerNorm", hidden),
    }
    for index in range(config.layers):
        shapes |= layer_shapes(NAMES, index, config)
    return shapes


@dataclass(frozen=True)
class LayerNames:
    """What families call the modules of a layer: the projections of attention, and the norms."""

    attention: str
    attention_norm: str
    output_norm: str


NAMES = LayerNames("attention.self", "attention.output.LayerNorm", "output.LayerNorm")


def layer_shapes(names: LayerNames, index: int, config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of layer `index`."""
    hidden, intermediate = config.hidden, config.intermediate
    layer = f"encoder.layer.{index}"
    shapes: dict[str, tuple[int, ...]] = {}
    for name in ("query", "key", "value"):
        shapes |= linear_shapes(f"{layer}.{names.attention}.{name}", hidden, hidden)
    shapes |= linear_shapes(f"{layer}.attention.output.dense", hidden, hidden)
    shapes |= linear_shapes(f"{layer}.intermediate.dense", intermediate, hidden)
    shapes |= linear_shapes(f"{layer}.output.dense", hidden, intermediate)
    for name in (names.attention_norm, names.output_norm):
        shapes |= norm_shapes(f"{layer}.{name}", hidden)
    return shapes


def norm_shapes(name: str, hidden: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of layer norm `name`."""
    return {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}


def linear_of(tensors: Mapping[str, Matrix], name: str) -> Linear:
    """Return linear layer `name`."""
    return Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def norm_of(tensors: Mapping[str, Matrix], name: str) -> LayerNorm:
    """Return layer norm `name`."""
    return LayerNorm(tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def layer_of(names: LayerNames, tensors: Mapping[str, Matrix], index: int) -> EncoderLayer:
    """Return layer `index`."""
    layer = f"encoder.layer.{index}"
    return EncoderLayer(
        query=linear_of(tensors, f"{layer}.{names.attention}.query"),
        key=linear_of(tensors, f"{layer}.{names.attention}.key"),
        value=linear_of(tensors, f"{layer}.{names.attention}.value"),
        projection=linear_of(tensors, f"{layer}.attention.output.dense"),
        attention_norm=norm_of(tensors, f"{layer}.{names.attention_norm}"),
        expand=linear_of(tensors, f"{layer}.intermediate.dense"),
        contract=linear_of(tensors, f"{layer}.output.dense"),
        output_norm=norm_of(tensors, f"{layer}.{names.output_norm}"),
    )
