"""A folder with a small model, as a user would have it."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from ageha.sw.frontend.bert import BertModel
from ageha.sw.frontend.synthetic import synthetic_bert

LINEAR_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "projection": "attention.output.dense",
    "expand": "intermediate.dense",
    "contract": "output.dense",
}
NORM_NAMES = {"attention_norm": "attention.output.LayerNorm", "output_norm": "output.LayerNorm"}

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "barks", "loud", "##ly")

TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
    "decoder": None,
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {word: number for number, word in enumerate(VOCABULARY)},
    },
}
"""A word-piece tokenizer for a handful of words."""


def tensors_of(model: BertModel) -> dict[str, np.ndarray]:
    """Return the tensors of `model` under the names that checkpoints use."""
    table = model.embeddings
    tensors = {
        "embeddings.word_embeddings.weight": table.words,
        "embeddings.position_embeddings.weight": table.positions,
        "embeddings.token_type_embeddings.weight": table.types,
        "embeddings.LayerNorm.weight": table.norm.gain,
        "embeddings.LayerNorm.bias": table.norm.bias,
    }
    for number, layer in enumerate(model.layers):
        prefix = f"encoder.layer.{number}"
        for field, name in LINEAR_NAMES.items():
            tensors[f"{prefix}.{name}.weight"] = getattr(layer, field).weight
            tensors[f"{prefix}.{name}.bias"] = getattr(layer, field).bias
        for field, name in NORM_NAMES.items():
            tensors[f"{prefix}.{name}.weight"] = getattr(layer, field).gain
            tensors[f"{prefix}.{name}.bias"] = getattr(layer, field).bias
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def config_of(model: BertModel) -> dict[str, object]:
    """Return the contents of ``config.json`` of `model`."""
    config = model.config
    return {
        "model_type": "bert",
        "hidden_act": config.activation,
        "hidden_size": config.hidden,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate,
        "num_hidden_layers": config.layers,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.positions,
        "type_vocab_size": config.types,
        "layer_norm_eps": config.epsilon,
    }


def write_model(folder: Path, model: BertModel | None = None) -> BertModel:
    """Write `model` (a synthetic one unless given) with a tokenizer to `folder`; return it."""
    model = model or synthetic_bert(layers=2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_of(model)))
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    save_file(tensors_of(model), folder / "model.safetensors")
    return model


def rewrite_config(folder: Path, **values: object) -> None:
    """Replace some values in ``config.json``."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
