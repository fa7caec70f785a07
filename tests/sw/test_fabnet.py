"""The FABNet front end, its float reference, and the trained classifiers of the digits."""

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from ageha.sw.errors import FrontendError
from ageha.sw.fabnet_reference import accuracy, classify, mixing_scale, run_block
from ageha.sw.frontend.digits import PIXEL_MAXIMUM, load_digits
from ageha.sw.frontend.fabnet import FOLDER, digits_model, linear_cost, load_fabnet

FABNET = FOLDER / "digits_fabnet.safetensors"


@pytest.fixture
def stored():
    """Tensors and metadata of the trained model."""
    with safe_open(FABNET, framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def test_split_is_fixed_and_whole():
    data = load_digits()
    assert data.train_pixels.shape == (1437, 64)
    assert data.test_pixels.shape == (360, 64)
    assert data.train_pixels.max() == PIXEL_MAXIMUM
    assert data.test_labels[:8].tolist() == [6, 6, 6, 2, 5, 6, 6, 2]


@pytest.mark.parametrize(("kind", "least"), [("fabnet", 0.955), ("dense", 0.96)])
def test_trained_models_classify(kind, least):
    data = load_digits()
    model = digits_model(kind)
    assert accuracy(model, data.test_pixels / PIXEL_MAXIMUM, data.test_labels) >= least


def test_butterflies_are_smaller_than_the_dense_twin():
    small, large = digits_model("fabnet").cost, digits_model("dense").cost
    assert (small.parameters, small.multiply_adds) == (6954, 571712)
    assert (large.parameters, large.multiply_adds) == (19242, 1575232)


def test_model_has_both_kinds_of_block():
    model = digits_model()
    assert [block.attention is None for block in model.blocks] == [True, False]
    assert (model.tokens, model.features, model.classes) == (64, 32, 10)
    assert linear_cost(model.blocks[1].attention.query).multiply_adds == 2 * 32 * 5


def test_mixing_is_the_scaled_real_part_of_the_spectrum():
    model = digits_model()
    x = np.random.default_rng(3).normal(size=(2, 64, 32))
    mixed = run_block(model.blocks[0], x, model.epsilon)["mixed"]
    np.testing.assert_allclose(mixed, np.fft.fft2(x).real / 64, atol=1e-12)
    assert mixing_scale(128, 768) == 2.0**-8


def test_order_of_a_batch_does_not_matter():
    model = digits_model()
    numbers = load_digits().test_pixels[:3] / PIXEL_MAXIMUM
    whole = classify(model, numbers)["logits"]
    single = [classify(model, row[None])["logits"][0] for row in numbers]
    np.testing.assert_allclose(whole, single, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "missing"),
    [("1.mixing.query.twiddle", "1.mixing.query.weight"), ("classifier.bias", "classifier.bias")],
)
def test_missing_tensors_are_named(tmp_path, stored, name, missing):
    tensors, metadata = stored
    del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors", metadata)
    with pytest.raises(FrontendError, match=f"tensor {missing} is missing"):
        load_fabnet(tmp_path / "model.safetensors")


def test_wrong_twiddle_is_refused(tmp_path, stored):
    tensors, metadata = stored
    name = "0.feed_forward.expand.twiddle"
    tensors[name] = np.ascontiguousarray(tensors[name][:1])
    save_file(tensors, tmp_path / "model.safetensors", metadata)
    with pytest.raises(FrontendError, match="layer 32 -> 64"):
        load_fabnet(tmp_path / "model.safetensors")


def test_metadata_is_checked(tmp_path, stored):
    tensors, metadata = stored
    path = tmp_path / "model.safetensors"
    for change, message in (
        ({"heads": "3"}, "heads must divide 32 features, not '3'"),
        ({"mixing": "fourier wavelet"}, "mixing must be fourier or attention, not 'wavelet'"),
    ):
        save_file(tensors, path, metadata | change)
        with pytest.raises(FrontendError, match=message):
            load_fabnet(path)
    save_file(tensors, path, {"heads": "2"})
    with pytest.raises(FrontendError, match="its metadata must say mixing"):
        load_fabnet(path)
    path.write_bytes(b"nothing")
    with pytest.raises(FrontendError, match=r"model\.safetensors"):
        load_fabnet(path)
