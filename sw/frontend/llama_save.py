"""Write a decoder of the LLaMA family as a folder that `llama.load` reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from .llama import (
    ACTIVATION,
    HEAD,
    LAYER_TENSORS,
    MODEL_TYPE,
    OUTPUT_NORM,
    WORDS,
    LlamaModel,
    adjacent_pairs,
    tensor_name,
)


def named_tensors(model: LlamaModel) -> dict[str, NDArray[np.float32]]:
    """Return all tensors of `model` by their name in a checkpoint, rows in its order."""
    config = model.config
    tensors = {WORDS: model.words, OUTPUT_NORM: model.output_norm, HEAD: model.head}
    places = {
        "query": np.argsort(adjacent_pairs(config.heads, config.head_width)),
        "key": np.argsort(adjacent_pairs(config.key_heads, config.head_width)),
    }
    for index, layer in enumerate(model.layers):
        for field in LAYER_TENSORS:
            values = getattr(layer, field)
            order = places.get(field)
            tensors[tensor_name(index, field)] = values if order is None else values[order]
    return {name: np.ascontiguousarray(item, np.float32) for name, item in tensors.items()}


def save(model: LlamaModel, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` into `folder`, which is made if missing.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    config = model.config
    folder.mkdir(parents=True, exist_ok=True)
    save_file(named_tensors(model), folder / "model.safetensors")
    fields = {
        "model_type": MODEL_TYPE,
        "hidden_act": ACTIVATION,
        "hidden_size": config.hidden,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.intermediate,
        "num_hidden_layers": config.layers,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.maximum_tokens,
        "rope_theta": config.rotary_base,
        "rms_norm_eps": config.epsilon,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
