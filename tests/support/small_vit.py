"""Folders with small vision transformers, with the names of Hugging Face or of timm."""

import json

import numpy as np
from safetensors.numpy import save_file


def _norm(name, norm):
    return {f"{name}.weight": norm.gain, f"{name}.bias": norm.bias}


def _linear(name, layer):
    return {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}


def hugging_face_tensors(model):
    """Return the tensors of `model` under the names of Hugging Face's ViT or DeiT."""
    patches, hidden = model.patches, model.config.hidden
    kernel = (hidden, patches.channels, patches.size, patches.size)
    tensors = {
        "embeddings.cls_token": patches.prefix[None, :1],
        "embeddings.position_embeddings": patches.positions[None],
        "embeddings.patch_embeddings.projection.weight": patches.projection.weight.reshape(kernel),
        "embeddings.patch_embeddings.projection.bias": patches.projection.bias,
        **_norm("layernorm", model.output_norm),
    }
    if len(patches.prefix) > 1:
        tensors["embeddings.distillation_token"] = patches.prefix[None, 1:]
    for index, layer in enumerate(model.layers):
        name = f"encoder.layer.{index}"
        tensors |= _linear(f"{name}.attention.attention.query", layer.query)
        tensors |= _linear(f"{name}.attention.attention.key", layer.key)
        tensors |= _linear(f"{name}.attention.attention.value", layer.value)
        tensors |= _linear(f"{name}.attention.output.dense", layer.projection)
        tensors |= _linear(f"{name}.intermediate.dense", layer.expand)
        tensors |= _linear(f"{name}.output.dense", layer.contract)
        tensors |= _norm(f"{name}.layernorm_before", layer.attention_norm)
        tensors |= _norm(f"{name}.layernorm_after", layer.output_norm)
    return {f"vit.{name}": np.ascontiguousarray(value) for name, value in tensors.items()}


def timm_tensors(model):
    """Return the tensors of `model` under the names of timm."""
    patches, hidden = model.patches, model.config.hidden
    kernel = (hidden, patches.channels, patches.size, patches.size)
    tensors = {
        "cls_token": patches.prefix[None],
        "pos_embed": patches.positions[None],
        "patch_embed.proj.weight": patches.projection.weight.reshape(kernel),
        "patch_embed.proj.bias": patches.projection.bias,
        **_norm("norm", model.output_norm),
    }
    for index, layer in enumerate(model.layers):
        name = f"blocks.{index}"
        parts = layer.query, layer.key, layer.value
        tensors[f"{name}.attn.qkv.weight"] = np.concatenate([part.weight for part in parts])
        tensors[f"{name}.attn.qkv.bias"] = np.concatenate([part.bias for part in parts])
        tensors |= _linear(f"{name}.attn.proj", layer.projection)
        tensors |= _linear(f"{name}.mlp.fc1", layer.expand)
        tensors |= _linear(f"{name}.mlp.fc2", layer.contract)
        tensors |= _norm(f"{name}.norm1", layer.attention_norm)
        tensors |= _norm(f"{name}.norm2", layer.output_norm)
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def hugging_face_config(model):
    """Return the contents of ``config.json`` of `model`."""
    config, patches = model.config, model.patches
    return {
        "model_type": "vit" if len(patches.prefix) == 1 else "deit",
        "hidden_act": config.activation,
        "hidden_size": config.hidden,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate,
        "num_hidden_layers": config.layers,
        "image_size": patches.image,
        "patch_size": patches.size,
        "num_channels": patches.channels,
        "qkv_bias": True,
        "layer_norm_eps": config.epsilon,
    }


def timm_config(model):
    """Return the contents of timm's ``config.json`` of `model`."""
    config, patches = model.config, model.patches
    return {
        "architecture": "vit_tiny_patch16_224.augreg_in21k",
        "model_args": {
            "embed_dim": config.hidden,
            "depth": config.layers,
            "num_heads": config.heads,
            "mlp_ratio": config.intermediate / config.hidden,
            "patch_size": patches.size,
            "img_size": patches.image,
            "in_chans": patches.channels,
        },
    }


def write_vit(folder, model, is_timm=False):
    """Write `model` to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = timm_config(model) if is_timm else hugging_face_config(model)
    (folder / "config.json").write_text(json.dumps(config))
    tensors = timm_tensors(model) if is_timm else hugging_face_tensors(model)
    save_file(tensors, folder / "model.safetensors")
