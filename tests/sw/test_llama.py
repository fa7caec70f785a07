"""Decoders of the LLaMA family: checkpoints, and the float reference against itself."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ageha.sw.decoder_reference import LayerCache, decoder, decoder_layer, embed, logits, rotate
from ageha.sw.decoder_reference import rotations as turns_of
from ageha.sw.errors import CompileError, FrontendError
from ageha.sw.frontend.llama import is_llama, load
from ageha.sw.frontend.llama_save import named_tensors, save
from ageha.sw.frontend.synthetic_llama import synthetic_llama

FIELDS = ("attention_norm", "query", "key", "value", "projection", "gate", "up", "down")


@pytest.fixture(scope="module")
def model():
    return synthetic_llama(hidden=24, heads=3, key_heads=1, intermediate=40, layers=2, seed=3)


@pytest.fixture
def folder(model, tmp_path):
    save(model, tmp_path)
    return tmp_path


def edit(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_checkpoint_comes_back(model, folder):
    assert is_llama(folder)
    found = load(folder)
    assert found.config == model.config
    for layer, expected in zip(found.layers, model.layers, strict=True):
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(layer, field), getattr(expected, field))
    np.testing.assert_array_equal(found.head, model.head)


def test_tied_embeddings(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(FrontendError, match=r"tensor lm_head\.weight is missing"):
        load(folder)
    edit(folder, tie_word_embeddings=True)
    np.testing.assert_array_equal(load(folder).head, tensors["model.embed_tokens.weight"])


def test_left_out_fields(model, tmp_path):
    plain = synthetic_llama(hidden=16, heads=2, key_heads=2, intermediate=24)
    save(plain, tmp_path)
    path = tmp_path / "config.json"
    fields = json.loads(path.read_text())
    for name in ("num_key_value_heads", "head_dim", "rope_theta"):
        del fields[name]
    path.write_text(json.dumps(fields))
    assert load(tmp_path).config == plain.config


def test_bfloat16(model, folder):
    """Checkpoints of this family mostly have 16 bits a weight."""
    tensors = load_file(folder / "model.safetensors")
    halves = {name: (values.view(np.uint32) >> 16) for name, values in tensors.items()}
    header, data = {}, b""
    for name, values in halves.items():
        first, data = len(data), data + values.astype("<u2").tobytes()
        places = {"shape": values.shape, "data_offsets": [first, len(data)]}
        header[name] = {"dtype": "BF16", **places}
    text = json.dumps(header).encode()
    length = len(text).to_bytes(8, "little")
    (folder / "model.safetensors").write_bytes(length + text + data)
    expected = (halves["model.layers.0.mlp.up_proj.weight"] << 16).view(np.float32)
    np.testing.assert_array_equal(load(folder).layers[0].up, expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "mistral"}, "model_type must be llama, not 'mistral'"),
        ({"hidden_act": "gelu"}, "hidden_act must be silu, not 'gelu'"),
        ({"attention_bias": True}, "attention_bias must be False, not True"),
        ({"rope_scaling": {"factor": 8.0}}, "rope_scaling must be null"),
        ({"num_key_value_heads": 2}, "3 must be a multiple of num_key_value_heads 2"),
        ({"head_dim": 7}, "head_dim must be even, not 7"),
        ({"hidden_size": 0}, "hidden_size must be an integer from 1 to 8192, not 0"),
        ({"rope_theta": "x"}, "rope_theta must be from 1 to 1e\\+09, not 'x'"),
        ({"rms_norm_eps": 2}, "rms_norm_eps must be from 0 to 1, not 2"),
        ({"num_hidden_layers": 3}, r"model\.layers\.2\.input_layernorm\.weight is missing"),
        ({"intermediate_size": 48}, r"mlp\.gate_proj\.weight must have shape \(48, 24\)"),
    ],
)
def test_refused_configurations(folder, fields, message):
    edit(folder, **fields)
    with pytest.raises(FrontendError, match=message):
        load(folder)


def test_refused_tensors(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.self_attn.k_proj.weight"][0, 0] = np.nan
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(FrontendError, match=r"layers\.1\.self_attn\.k_proj\.weight must be finite"):
        load(folder)


def test_prompt_equals_token_by_token(model):
    x = embed(model, np.random.default_rng(1).integers(0, 100, 11))
    layers = [0, 1]
    expected, whole = decoder(model, x, layers)
    caches = None
    for position, row in enumerate(x):
        found, caches = decoder(model, row[None], layers, caches)
        np.testing.assert_allclose(found[0], expected[position], atol=1e-12)
    for cache, other in zip(caches, whole, strict=True):
        np.testing.assert_allclose(cache.keys, other.keys, atol=1e-12)
    assert logits(model, expected).shape == (11, 100)


def test_scores_are_those_of_the_checkpoint(model):
    """Rotating channel i with i + width/2, as a checkpoint means it, gives the same scores."""
    config, x = model.config, embed(model, np.arange(9))
    width, tensors = config.head_width, named_tensors(model)
    values, _ = decoder_layer(model, 0, x, LayerCache.empty(config))
    turns = turns_of(config, range(9))

    def halves(kind):
        plain = values["normed"] @ tensors[f"model.layers.0.self_attn.{kind}_proj.weight"].T
        heads = plain.reshape(9, -1, width)
        pairs = (heads[..., : width // 2] + 1j * heads[..., width // 2 :]) * turns[:, None]
        return np.concatenate([pairs.real, pairs.imag], axis=-1)

    scores = np.einsum("thc,shc->hts", halves("q"), np.repeat(halves("k"), config.group, axis=1))
    present = np.isfinite(values["scores"])
    expected = values["scores"][present] * np.log(2) * np.sqrt(width)
    np.testing.assert_allclose(scores[present], expected, atol=1e-12)
    assert not present[:, 0, 1:].any()


def test_rotation_keeps_lengths_and_depends_on_distance(model):
    config = model.config
    x = np.random.default_rng(2).normal(size=(2, config.head_width))
    near, far = (
        rotate(x, turns_of(config, places), config.head_width) for places in ((3, 5), (40, 42))
    )
    np.testing.assert_allclose(np.linalg.norm(near, axis=1), np.linalg.norm(x, axis=1))
    assert near[0] @ near[1] == pytest.approx(far[0] @ far[1])


def test_refused_tokens(model):
    with pytest.raises(CompileError, match="must be at least 1, not 0"):
        embed(model, np.array([], dtype=int))
    with pytest.raises(CompileError, match="must lie below vocab_size 100"):
        embed(model, np.array([100]))
