"""Import from files: what was saved is read, and what cannot be used is refused by name."""

import json
import struct

import numpy as np
import pytest
from butterflies import random_linear
from safetensors.numpy import save_file

from ageha.sw.butterfly.errors import ButterflyError
from ageha.sw.butterfly.hierarchical import HierarchicalLinear
from ageha.sw.butterfly.linear import ButterflyLinear
from ageha.sw.butterfly.project import project_hierarchical
from ageha.sw.butterfly.weights import load_hierarchical, load_linear, load_twiddle


def refused(call, *parts):
    with pytest.raises(ButterflyError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def as_pairs(tensor):
    """Return complex values as PyTorch keeps those of a parameter."""
    return np.stack([tensor.real, tensor.imag], axis=-1)


@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("is_complex", [True, False])
def test_layer_with_bias(tmp_path, increasing, is_complex):
    plain = random_linear(1, 20, 40, increasing, 2, is_complex)
    bias = np.arange(40) * (1 - 1j if is_complex else 1.0)
    layer = ButterflyLinear(plain.twiddle, 20, 40, bias)
    tensor = layer.twiddle.coefficients
    stored = {
        "mix.twiddle": as_pairs(tensor) if is_complex else tensor,
        "mix.bias": as_pairs(bias) if is_complex else bias,
    }
    path = tmp_path / "model.safetensors"
    save_file(stored, path)
    loaded = load_linear(path, 20, 40, "mix.", increasing)
    x = np.random.default_rng(0).normal(size=(3, 20))
    np.testing.assert_array_equal(loaded(x), layer(x))
    twiddle = load_twiddle(path, "mix.twiddle", increasing)
    np.testing.assert_array_equal(twiddle.coefficients, tensor)
    refused(lambda: load_linear(path, 20, 65, "mix."), path, "(3, 2, 5, 16, 2, 2)")


def test_twiddle_alone(tmp_path):
    layer = random_linear(2, 16, 16, is_complex=True)
    path = tmp_path / "twiddle.npy"
    for stored in (layer.twiddle.coefficients, as_pairs(layer.twiddle.coefficients)):
        np.save(path, stored)
        loaded = load_linear(path, 16, 16)
        assert loaded.bias is None
        np.testing.assert_array_equal(loaded.dense(), layer.dense())


def test_single_precision(tmp_path):
    layer = random_linear(3, 16, 16)
    path = tmp_path / "twiddle.npy"
    np.save(path, layer.twiddle.coefficients.astype(np.float32))
    assert load_twiddle(path).coefficients.dtype == np.float64


def test_tiles(tmp_path):
    matrix = np.random.default_rng(4).normal(size=(20, 40))
    plain = project_hierarchical(matrix, 16, sweeps=0).layer
    layer = HierarchicalLinear(plain.coefficients, 40, 20, bias=np.arange(20.0))
    path = tmp_path / "tiles.safetensors"
    save_file({"twiddle": layer.coefficients, "bias": layer.bias}, path)
    x = np.random.default_rng(5).normal(size=40)
    np.testing.assert_array_equal(load_hierarchical(path, 40, 20)(x), layer(x))
    refused(lambda: load_hierarchical(path, 50, 20), path, "(2, 4, 4, 8, 2, 2)")


def test_missing_file(tmp_path):
    refused(lambda: load_twiddle(tmp_path / "no.npy"), tmp_path / "no.npy", "no such file")


def test_missing_tensor(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"other": np.zeros(2)}, path)
    refused(lambda: load_twiddle(path), path, "tensor twiddle is missing")


def test_another_kind_of_file(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"x")
    refused(lambda: load_twiddle(path), path, "must end in .npy, .npz or .safetensors")


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 3, 20, 200])
def test_truncated_file(tmp_path, suffix, keep):
    path = tmp_path / f"twiddle{suffix}"
    tensor = random_linear(0, 16, 16).twiddle.coefficients
    if suffix == ".npy":
        np.save(path, tensor)
    else:
        save_file({"twiddle": tensor}, path)
    path.write_bytes(path.read_bytes()[:keep])
    refused(lambda: load_twiddle(path), path)


def test_pickled_file(tmp_path):
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    refused(lambda: load_twiddle(path), path, "no .npy file")


def test_archive_in_the_place_of_an_array(tmp_path):
    np.savez(tmp_path / "archive.npz", twiddle=np.zeros(3))
    path = (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    refused(lambda: load_twiddle(path), path, "no .npy file")


def test_type_that_numpy_lacks(tmp_path):
    header = json.dumps({"twiddle": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}})
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(4))
    refused(lambda: load_twiddle(path), path, "tensor twiddle must be of a NumPy type, not BF16")


def test_values_that_are_not_finite(tmp_path):
    path = tmp_path / "twiddle.npy"
    np.save(path, np.full((1, 1, 1, 1, 2, 2), np.nan))
    refused(lambda: load_twiddle(path), path, "finite: 4 of 4")
