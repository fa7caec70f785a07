"""Front end for vision transformers: pre-norm encoders of patches, with the names of the tensors
that Hugging Face gives (ViT, DeiT) or those of timm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FrontendError
from .bert import (
    DEFAULT_EPSILON,
    BertConfig,
    EncoderModel,
    LayerNames,
    LayerNorm,
    Linear,
    check_encoder,
    layer_of,
    layer_shapes,
    linear_shapes,
    model_folder,
    norm_of,
    norm_shapes,
    read_activations,
    require,
)
from .checkpoint import read_json, read_tensors, size_field

Tensors = Mapping[str, NDArray[np.float32]]

MODEL_TYPES = ("vit", "deit")
SIZE_LIMITS = {
    "hidden_size": 1 << 13,
    "num_attention_heads": 1 << 8,
    "intermediate_size": 1 << 15,
    "num_hidden_layers": 1 << 8,
    "image_size": 1 << 12,
    "patch_size": 1 << 8,
    "num_channels": 1 << 6,
}
MAXIMUM_TOKENS = 1 << 14

TIMM_NAME = re.compile(r"(?:vit|deit)_(tiny|small|base|large|huge)_patch(\d{1,3})_(\d{1,4})(\..*)?")
TIMM_SIZES = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}
"""Channels, layers and heads of timm's architectures."""
TIMM_EPSILON = 1e-6
TIMM_RATIO = 4
"""Channels of the feed-forward part over `hidden`."""


@dataclass(frozen=True)
class PatchEmbeddings:
    """From an image to vectors.

    Parameters
    ----------
    projection : Linear
        Weight float32 [hidden, channels · size · size], of a patch [channels, rows, columns].
    prefix : float32 [count, hidden]
        Learned tokens before the patches: the class token, and a DeiT's distillation token.
    positions : float32 [count + patches, hidden]
    size, channels, image : int
        Pixels of an edge of a patch, channels of a pixel, pixels of an edge of the image.
    """

    projection: Linear
    prefix: NDArray[np.floating]
    positions: NDArray[np.floating]
    size: int
    channels: int
    image: int


@dataclass(frozen=True)
class VitModel(EncoderModel):
    """A float model whose input is an image; `output_norm` follows the last layer, on the host."""

    patches: PatchEmbeddings = field(kw_only=True)
    output_norm: LayerNorm | None = field(kw_only=True)


@dataclass(frozen=True)
class _Image:
    """What a configuration says of images, and how the checkpoint names its tensors."""

    size: int
    patch: int
    channels: int
    prefix: int
    biased: bool
    is_timm: bool

    @property
    def tokens(self) -> int:
        """Patches, and the tokens before them."""
        return (self.size // self.patch) ** 2 + self.prefix


def is_vit(folder: Path | str) -> bool:
    """Return whether ``config.json`` in `folder` says that it holds a model of this family.

    Raises
    ------
    FrontendError
        If there is no such folder, or the file is missing or no JSON object.
    """
    values = read_json(model_folder(folder) / "config.json")
    return values.get("model_type") in MODEL_TYPES or "architecture" in values


def load(folder: Path | str, weights: Path | None = None) -> VitModel:
    """Read a model.

    Parameters
    ----------
    folder : path
        With ``config.json`` and ``model.safetensors``.
    weights : path, optional
        A checkpoint to take the place of the folder's.

    Raises
    ------
    FrontendError
        If a file is missing or damaged, a configuration is not supported, or a tensor is missing,
        of a wrong shape, or not finite.
    """
    folder = model_folder(folder)
    path = weights or folder / "model.safetensors"
    config, image = _read_config(folder / "config.json")
    tensors = _timm(path, config, image) if image.is_timm else _hugging_face(path, config, image)
    hidden = config.hidden
    projection = tensors["embeddings.patch_embeddings.projection.weight"]
    prefix = [tensors["embeddings.cls_token"], tensors.get("embeddings.distillation_token")]
    return VitModel(
        config,
        tuple(layer_of(NAMES, tensors, index) for index in range(config.layers)),
        folder,
        read_activations(path, config),
        patches=PatchEmbeddings(
            Linear(
                projection.reshape(hidden, -1),
                tensors["embeddings.patch_embeddings.projection.bias"],
            ),
            np.concatenate([token[0] for token in prefix if token is not None]),
            tensors["embeddings.position_embeddings"][0],
            image.patch,
            image.channels,
            image.size,
        ),
        output_norm=norm_of(tensors, "layernorm"),
    )


def _read_config(path: Path) -> tuple[BertConfig, _Image]:
    values = read_json(path)
    is_timm = "model_type" not in values
    if is_timm:
        values = _timm_config(values, path)
    values = {"num_channels": 3, "image_size": 224, "patch_size": 16} | values
    sizes = {name: size_field(values, name, limit, path) for name, limit in SIZE_LIMITS.items()}
    require(values, "model_type", MODEL_TYPES, path)
    require(values, "qkv_bias", (True, False), path)
    check_encoder(values, path)
    size, patch = sizes["image_size"], sizes["patch_size"]
    if size % patch:
        raise FrontendError(f"{path}: image_size {size} must be a multiple of patch_size {patch}")
    image = _Image(
        size=size,
        patch=patch,
        channels=sizes["num_channels"],
        prefix=1 + MODEL_TYPES.index(values.get("model_type", MODEL_TYPES[0])),
        biased=values.get("qkv_bias", True),
        is_timm=is_timm,
    )
    if image.tokens > MAXIMUM_TOKENS:
        raise FrontendError(
            f"{path}: image_size {size} and patch_size {patch} make {image.tokens} tokens, of at "
            f"most {MAXIMUM_TOKENS}"
        )
    config = BertConfig(
        hidden=sizes["hidden_size"],
        heads=sizes["num_attention_heads"],
        intermediate=sizes["intermediate_size"],
        layers=sizes["num_hidden_layers"],
        vocabulary=0,
        positions=image.tokens,
        types=0,
        maximum_tokens=image.tokens,
        activation=values.get("hidden_act", "gelu"),
        epsilon=values.get("layer_norm_eps", DEFAULT_EPSILON),
        norm_first=True,
    )
    return config, image


def _timm_config(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return what the fields of Hugging Face would be: the name says it, and ``model_args``."""
    name = values.get("architecture")
    match = TIMM_NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise FrontendError(
            f"{path}: architecture must be vit_SIZE_patchP_I with SIZE one of "
            f"{', '.join(TIMM_SIZES)}, not {name!r}"
        )
    given = values.get("model_args", {})
    if not isinstance(given, dict):
        raise FrontendError(f"{path}: model_args must be a JSON object, not {given!r}")
    hidden, layers, heads = TIMM_SIZES[match[1]]
    known = {
        "embed_dim": hidden,
        "depth": layers,
        "num_heads": heads,
        "mlp_ratio": TIMM_RATIO,
        "patch_size": int(match[2]),
        "img_size": int(match[3]),
        "in_chans": 3,
        "qkv_bias": True,
    }
    for key in given:
        if key not in (*known, "num_classes"):
            raise FrontendError(
                f"{path}: model_args may set {', '.join(known)} and num_classes, not {key!r}"
            )
    sizes = known | given
    ratio, width = sizes["mlp_ratio"], sizes["embed_dim"]
    numbers = all(isinstance(item, int | float) for item in (ratio, width))
    if not numbers or not 0 < ratio * width <= SIZE_LIMITS["intermediate_size"]:
        raise FrontendError(
            f"{path}: mlp_ratio times embed_dim must be from 1 to "
            f"{SIZE_LIMITS['intermediate_size']}, not {ratio!r} times {width!r}"
        )
    return {
        "hidden_size": width,
        "num_hidden_layers": sizes["depth"],
        "num_attention_heads": sizes["num_heads"],
        "intermediate_size": math.floor(ratio * width),
        "patch_size": sizes["patch_size"],
        "image_size": sizes["img_size"],
        "num_channels": sizes["in_chans"],
        "qkv_bias": sizes["qkv_bias"],
        "layer_norm_eps": TIMM_EPSILON,
    }


NAMES = LayerNames("attention.attention", "layernorm_before", "layernorm_after")


def _hugging_face(path: Path, config: BertConfig, image: _Image) -> Tensors:
    hidden = config.hidden
    pixels = image.channels, image.patch, image.patch
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, hidden),
        "embeddings.position_embeddings": (1, image.tokens, hidden),
        "embeddings.patch_embeddings.projection.weight": (hidden, *pixels),
        "embeddings.patch_embeddings.projection.bias": (hidden,),
        **norm_shapes("layernorm", hidden),
    }
    if image.prefix > 1:
        shapes["embeddings.distillation_token"] = (1, 1, hidden)
    unbiased = []
    for index in range(config.layers):
        shapes |= layer_shapes(NAMES, index, config)
    unbiased = [
        f"encoder.layer.{index}.{NAMES.attention}.{name}.bias"
        for index in range(0 if image.biased else config.layers)
        for name in ("query", "key", "value")
    ]
    for name in unbiased:
        del shapes[name]
    zeros = {name: np.zeros(hidden, np.float32) for name in unbiased}
    return read_tensors(path, shapes) | zeros


TIMM_LAYER = {
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
}
"""timm's name of each module of a layer."""

TIMM_REST = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
"""timm's name of each other tensor."""


def _timm(path: Path, config: BertConfig, image: _Image) -> Tensors:
    """Return the tensors of a checkpoint of timm by the names of Hugging Face."""
    hidden, wide = config.hidden, config.intermediate
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, hidden),
        "pos_embed": (1, image.tokens, hidden),
        "patch_embed.proj.weight": (hidden, image.channels, image.patch, image.patch),
        "patch_embed.proj.bias": (hidden,),
        **norm_shapes("norm", hidden),
    }
    for index in range(config.layers):
        layer = f"blocks.{index}"
        joint = linear_shapes(f"{layer}.attn.qkv", 3 * hidden, hidden)
        if not image.biased:
            del joint[f"{layer}.attn.qkv.bias"]
        shapes |= joint
        shapes |= linear_shapes(f"{layer}.attn.proj", hidden, hidden)
        shapes |= linear_shapes(f"{layer}.mlp.fc1", wide, hidden)
        shapes |= linear_shapes(f"{layer}.mlp.fc2", hidden, wide)
        for name in ("norm1", "norm2"):
            shapes |= norm_shapes(f"{layer}.{name}", hidden)
    found = read_tensors(path, shapes)
    named = {name: found[other] for name, other in TIMM_REST.items()}
    none = np.zeros(3 * hidden, np.float32)
    for index in range(config.layers):
        layer, other = f"encoder.layer.{index}", f"blocks.{index}"
        weights = np.split(found[f"{other}.attn.qkv.weight"], 3)
        biases = np.split(found.get(f"{other}.attn.qkv.bias", none), 3)
        for name, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
            named[f"{layer}.attention.attention.{name}.weight"] = weight
            named[f"{layer}.attention.attention.{name}.bias"] = bias
        for name, short in TIMM_LAYER.items():
            for part in ("weight", "bias"):
                named[f"{layer}.{name}.{part}"] = found[f"{other}.{short}.{part}"]
    return named
