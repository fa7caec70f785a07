"""Vision transformers: checkpoints of Hugging Face and timm, patches, and layers on the machine."""

import json
import random
from dataclasses import fields

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from small_model import rewrite_config
from small_vit import write_vit

from ageha.bench.execute import run_golden
from ageha.cli.main import main
from ageha.hw.config import preset
from ageha.sw.calibrate import random_images
from ageha.sw.compiler import compile_encoder
from ageha.sw.errors import CompileError, FrontendError
from ageha.sw.frontend import vit
from ageha.sw.frontend.load import load_encoder
from ageha.sw.frontend.synthetic_vit import synthetic_vit
from ageha.sw.reference import embed_image, encoder

QUERY = "vit.encoder.layer.1.attention.attention.query"


@pytest.fixture
def model():
    return synthetic_vit(layers=2)


@pytest.fixture
def folder(tmp_path, model):
    write_vit(tmp_path / "model", model)
    return tmp_path / "model"


def check_equal(found, wanted):
    for field in fields(wanted):
        first, second = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(second, np.ndarray):
            np.testing.assert_array_equal(first, second, strict=True)
        elif hasattr(second, "__dataclass_fields__"):
            check_equal(first, second)
        elif field.name == "layers" and isinstance(second, tuple):
            for one, other in zip(first, second, strict=True):
                check_equal(one, other)
        elif field.name not in ("folder", "epsilon"):
            assert first == second, field.name


@pytest.mark.parametrize("is_timm", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [
        {"layers": 2},
        {"hidden": 24, "heads": 3, "intermediate": 40, "image": 5, "patch": 1, "channels": 1},
        {"hidden": 56, "heads": 7, "intermediate": 56, "image": 21, "patch": 7, "channels": 4},
    ],
)
def test_what_was_written_is_read(tmp_path, sizes, is_timm):
    model = synthetic_vit(**sizes)
    write_vit(tmp_path, model, is_timm)
    loaded = load_encoder(tmp_path)
    assert loaded.config.epsilon == (vit.TIMM_EPSILON if is_timm else model.config.epsilon)
    check_equal(loaded, model)


def test_distilled_models_have_two_tokens_before_the_patches(tmp_path):
    model = synthetic_vit(prefix=2)
    write_vit(tmp_path, model)
    loaded = vit.load(tmp_path)
    assert loaded.config.maximum_tokens == 2 + 9
    check_equal(loaded, model)


@pytest.mark.parametrize("is_timm", [False, True])
def test_projections_without_bias(tmp_path, model, is_timm):
    write_vit(tmp_path, model, is_timm)
    config, path = tmp_path / "config.json", tmp_path / "model.safetensors"
    values = json.loads(config.read_text())
    (values["model_args"] if is_timm else values)["qkv_bias"] = False
    config.write_text(json.dumps(values))
    names = ("query.bias", "key.bias", "value.bias", "qkv.bias")
    save_file({k: v for k, v in load_file(path).items() if not k.endswith(names)}, path)
    layer = vit.load(tmp_path).layers[1]
    np.testing.assert_array_equal(layer.value.weight, model.layers[1].value.weight)
    for part in (layer.query, layer.key, layer.value):
        assert not part.bias.any()
    assert layer.projection.bias.any()


def test_patches_by_definition(model):
    patches = model.patches
    pixels = random_images(model, 1, seed=3)[0]
    x = embed_image(model, pixels)
    np.testing.assert_allclose(x[0], patches.prefix[0] + patches.positions[0], atol=1e-6)
    kernel = patches.projection.weight.reshape(-1, 3, 4, 4)
    for row, column in ((0, 0), (1, 2), (2, 0)):
        cut = pixels[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        place = 1 + 3 * row + column
        expected = (kernel * cut).sum(axis=(1, 2, 3)) + patches.projection.bias
        np.testing.assert_allclose(x[place], expected + patches.positions[place], atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 12, 11), (1, 12, 12), (12, 12)])
def test_image_of_another_shape(model, shape):
    with pytest.raises(CompileError, match=r"an image must be \[3, 12, 12\], not"):
        embed_image(model, np.zeros(shape))


@pytest.mark.parametrize("name", ["tiny", "base"])
@pytest.mark.parametrize("sizes", [{"layers": 2}, {"hidden": 40, "heads": 5, "intermediate": 56}])
def test_layers_are_near_floats(name, sizes):
    model = synthetic_vit(**sizes)
    layers = range(model.config.layers)
    program = compile_encoder(model, preset(name), model.config.maximum_tokens, layers)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    x = embed_image(model, random_images(model, 1, seed)[0])
    output = run_golden(program, {"input": program.inputs[0].from_float(x)}).outputs["output"]
    found, expected = program.outputs[0].to_float(output), encoder(model, x)
    cosine = np.sum(found * expected, axis=1)
    cosine /= np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.999


def test_commands(folder, tmp_path, capsys):
    machine = ["--preset", "tiny", "--layers", "1"]
    command = ["run", "--model", folder, "--device", "golden", "-o", tmp_path / "run", *machine]
    assert main([str(item) for item in command]) == 0
    assert "cosine to float" in capsys.readouterr().out
    command = ["compile", folder, "-o", tmp_path / "prog", "--json", tmp_path / "x.json", *machine]
    assert main([str(item) for item in command]) == 0
    (record,) = json.loads((tmp_path / "x.json").read_text())
    assert record["case"] == "model layers 1 S=10"


def test_an_image_is_no_sentence(folder, capsys):
    for command in (["run", "--text", "A dog", "--model"], ["embed", "A dog", "--model"]):
        assert main([*command, str(folder), "--preset", "tiny"]) == 2
        assert "sentences" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 13}, "image_size 13 must be a multiple of patch_size 4"),
        ({"image_size": [12, 16]}, "image_size must be an integer from 1 to 4096"),
        ({"patch_size": 0}, "patch_size must be an integer from 1 to 256, not 0"),
        ({"image_size": 4096, "patch_size": 1}, "make 16777217 tokens, of at most 16384"),
        ({"hidden_act": "quick_gelu"}, "hidden_act must be gelu or relu, not 'quick_gelu'"),
        ({"num_attention_heads": 5}, "hidden_size 32 must be a multiple of num_attention_heads 5"),
        ({"qkv_bias": "no"}, "qkv_bias must be True or False, not 'no'"),
        ({"layer_norm_eps": 2.0}, "layer_norm_eps must be from 0 to below 1"),
        ({"num_channels": 4}, r"must have shape (32, 4, 4, 4), not (32, 3, 4, 4)"),
        ({"image_size": 16}, r"position_embeddings must have shape (1, 17, 32), not (1, 10, 32)"),
    ],
)
def test_refused_configurations(folder, fields, message):
    rewrite_config(folder, **fields)
    with pytest.raises(FrontendError) as caught:
        vit.load(folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "resnet50"}, "architecture must be vit_SIZE_patchP_I"),
        ({"architecture": 3}, "not 3"),
        ({"model_args": []}, "model_args must be a JSON object, not []"),
        ({"model_args": {"reg_tokens": 4}}, "model_args may set embed_dim"),
        ({"model_args": {"mlp_ratio": "4"}}, "mlp_ratio times embed_dim must be from 1 to 32768"),
        ({"model_args": {"depth": 0}}, "num_hidden_layers must be an integer from 1 to 256, not 0"),
    ],
)
def test_refused_architectures(tmp_path, model, values, message):
    write_vit(tmp_path, model, is_timm=True)
    rewrite_config(tmp_path, **values)
    with pytest.raises(FrontendError) as caught:
        vit.load(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("is_timm", [False, True])
def test_missing_tensors_are_named(tmp_path, model, is_timm):
    write_vit(tmp_path, model, is_timm)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    name = "blocks.1.attn.qkv.weight" if is_timm else f"{QUERY}.weight"
    save_file({key: value for key, value in tensors.items() if key != name}, path)
    with pytest.raises(FrontendError, match=f"tensor {name} is missing"):
        vit.load(tmp_path)
    tensors[name][3, 4] = np.nan
    save_file(tensors, path)
    with pytest.raises(FrontendError, match=f"{name} must be finite: 1 values are not"):
        vit.load(tmp_path)


def test_another_checkpoint_takes_the_place(folder, tmp_path, model):
    tensors = load_file(folder / "model.safetensors")
    tensors[f"{QUERY}.bias"] = tensors[f"{QUERY}.bias"] + 1
    save_file(tensors, tmp_path / "other.safetensors")
    found = load_encoder(folder, tmp_path / "other.safetensors")
    np.testing.assert_array_equal(found.layers[1].query.bias, model.layers[1].query.bias + 1)


def test_calibration_images_are_the_same_each_time(model):
    first, second = (np.stack(random_images(model)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (4, 3, 12, 12)
    assert np.abs(first).max() <= 1
