"""`ageha compile butterfly`, and `ageha run` of what it writes."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from ageha.cli.main import main
from ageha.sw.butterfly.linear import twiddle_shape

MACHINE = ["--preset", "tiny"]
SEED = 20250808


def rotations(shape):
    angles = np.random.default_rng(SEED).uniform(0, 2 * np.pi, shape[:-2])
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def compile_butterfly(weights, target, *options):
    arguments = ["compile", "butterfly", "--weights", weights, "-o", target, *MACHINE, *options]
    assert main([str(argument) for argument in arguments]) == 0


def run(target, tmp_path):
    """Run on the golden model; return the record."""
    out, record = tmp_path / "out", tmp_path / "run.json"
    arguments = ["run", target / "butterfly.prog", "--device", "golden", "-o", out]
    assert main([str(argument) for argument in [*arguments, "--json", record]]) == 0
    return json.loads(record.read_text())[0]


def test_layer_of_a_model(tmp_path, capsys):
    weights, target = tmp_path / "model.safetensors", tmp_path / "p"
    tensors = {"up.twiddle": rotations(twiddle_shape(12, 20)), "up.bias": np.linspace(-1, 1, 20)}
    save_file(tensors, weights)
    options = ["--prefix", "up.", "--in-features", 12, "--out-features", 20, "--tokens", 9]
    compile_butterfly(weights, target, *options, "--decreasing", "--json", tmp_path / "c.json")
    assert "n = 16, stacks 2, blocks 1" in capsys.readouterr().out
    (record,) = json.loads((tmp_path / "c.json").read_text())
    assert (record["n"], record["stacks"], record["complex"]) == (16, 2, False)
    names = {path.name for path in target.iterdir()}
    beside = {"butterfly.input.npy", "butterfly.float.npy"}
    assert names == {"butterfly.prog", "butterfly.s", "butterfly.h"} | beside
    assert run(target, tmp_path)["snr_db"] > 55
    assert "signal to noise against float64" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--tokens", "5"], ["--calibrate"]])
def test_complex_twiddle_of_an_array(tmp_path, options):
    weights, target = tmp_path / "twiddle.npz", tmp_path / "p"
    phase = np.exp(2j * np.pi * np.random.default_rng(SEED).uniform(size=(1, 1, 4, 8, 2, 1)))
    np.savez(weights, twiddle=rotations(twiddle_shape(16, 16)) * phase)
    if options == ["--calibrate"]:
        np.save(tmp_path / "x.npy", np.linspace(-3, 3, 7 * 16).reshape(7, 16))
        options = [*options, "--input", tmp_path / "x.npy"]
    compile_butterfly(weights, target, *options)
    assert run(target, tmp_path)["snr_db"] > 60


def test_wrong_input_is_refused(tmp_path, refused):
    def check(tensor, message, *options):
        np.save(tmp_path / "t.npy", tensor)
        command = ["compile", "butterfly", "--weights", tmp_path / "t.npy", "-o", tmp_path / "p"]
        refused([*command, *MACHINE, *options], message)

    good = rotations(twiddle_shape(8, 8))
    check(good[0], "must have the 6 axes stacks, blocks, log2 n, n/2, 2, 2")
    check(good[:, :, :2], "must have shape (1, 1, 3, 4, 2, 2)")
    check(good[:, :, :, :3], "must be a power of two from 2 to 8192, not 6")
    check(np.where(good > 0.9, np.nan, good), "must be finite")
    check(np.zeros((1, 1, 14, 8192, 2, 2), dtype=np.float16), "must be at most 8192, not 16384")
    check(good, "must have shape (1, 1, 4, 8, 2, 2)", "--in-features", 9)
    check(good, "--tokens must be at least 1, not 0", "--tokens", 0)
    np.save(tmp_path / "x.npy", np.ones((3, 7)))
    check(good, "the last axis must have 8 elements, not 7", "--input", tmp_path / "x.npy")
    check(good, "--tokens goes with random", "--input", tmp_path / "x.npy", "--tokens", 3)
    np.save(tmp_path / "x.npy", np.ones((3, 8)) * 1j)
    check(good, "input must be real", "--input", tmp_path / "x.npy")
    (tmp_path / "t.npz").write_bytes(b"no archive")
    command = ["compile", "butterfly", "-o", tmp_path / "p", "--weights"]
    refused([*command, tmp_path / "t.npz"], "t.npz: damaged or truncated")
    refused([*command, tmp_path / "none.npy"], "none.npy: no such file")
    assert not (tmp_path / "p").exists()
