"""The hand-written gradients of the digits example equal difference quotients."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ageha.sw.frontend.fabnet import load_fabnet

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.fixture
def train(monkeypatch):
    """The training script as a module."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    import train

    return train


@pytest.mark.parametrize("kind", ["fabnet", "dense"])
def test_gradients(train, kind):
    random = np.random.default_rng(1)
    model = train.build(kind, random)
    for _, parameter in model.parameters():
        parameter.value = parameter.value.astype(np.float64)
        parameter.gradient = np.zeros_like(parameter.value)
    pixels, labels = random.uniform(0, 1, (3, 64)), np.array([1, 2, 3])
    model.backward(train.loss_gradient(model(pixels), labels)[1])
    step = 1e-3
    for name, parameter in model.parameters():
        place = tuple(random.integers(0, size) for size in parameter.value.shape)
        losses = []
        for change in (step, -2 * step):
            parameter.value[place] += change
            losses.append(train.loss_gradient(model(pixels), labels)[0])
        parameter.value[place] += step
        quotient = (losses[0] - losses[1]) / (2 * step)
        assert parameter.gradient[place] == pytest.approx(quotient, abs=2e-5, rel=1e-3), name


def test_training_writes_a_model(train, tmp_path, monkeypatch, capsys):
    target = tmp_path / "model.safetensors"
    monkeypatch.setattr(train, "EPOCHS", 1)
    monkeypatch.setattr(sys, "argv", ["train.py", "fabnet", "-o", str(target)])
    train.main()
    assert "6954 parameters" in capsys.readouterr().out
    model = load_fabnet(target)
    assert (model.tokens, model.features, model.classes) == (64, 32, 10)
