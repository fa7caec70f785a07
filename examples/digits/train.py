"""Train a small FABNet on the `digits` images, pixels as tokens, and a dense twin of its width.

    python examples/digits/train.py fabnet
    python examples/digits/train.py dense

writes the weights that `ageha.sw.frontend.fabnet` reads. The seed, the split and the order of the
images are fixed; the result differs between machines only as their matrix products round.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import layers
import numpy as np
from layers import Array, Chain, Parameter
from safetensors.numpy import save_file

from ageha.sw.fabnet_reference import mixing_scale
from ageha.sw.frontend.digits import CLASSES, PIXEL_MAXIMUM, TOKENS, Digits, load_digits

FEATURES, HEADS, EXPANDED = 32, 2, 64
EPOCHS, BATCH, RATE, DECAY = 60, 32, 3e-3, 1e-2
WARM_UP = 100
MIXING = {"fabnet": "fourier attention", "dense": "attention attention"}
"""What mixes the tokens in each block."""

SEED = 0
FOLDER = Path(__file__).resolve().parents[2] / "sw" / "frontend" / "models"


def build(kind: str, random: np.random.Generator) -> Chain:
    """Return the classifier: `fabnet` has an FBfly and an ABfly block, `dense` two of attention."""
    linear = layers.Butterfly if kind == "fabnet" else layers.Dense
    blocks: dict[str, layers.Layer] = {}
    for block, name in enumerate(MIXING[kind].split()):
        mixing: layers.Layer = layers.FourierMixing(mixing_scale(TOKENS, FEATURES))
        if name == "attention":
            mixing = layers.Attention(linear, random, FEATURES, HEADS)
        blocks[f"{block}.mixing"] = layers.Residual(FEATURES, mixing)
        inner = layers.feed_forward(linear, random, FEATURES, EXPANDED)
        blocks[f"{block}.feed_forward"] = layers.Residual(FEATURES, inner)
    return Chain(
        {
            "embedding": layers.Embedding(random, TOKENS, FEATURES),
            **blocks,
            "pool": layers.MeanPool(),
            "classifier": layers.Dense(random, FEATURES, CLASSES, True),
        }
    )


def loss_gradient(logits: Array, labels: np.ndarray) -> tuple[float, Array]:
    """Return the cross entropy of logits [batch, 1, classes] and its gradient."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(weights[rows, 0, labels]).mean()
    weights[rows, 0, labels] -= 1
    return float(loss), weights / np.float32(len(labels))


def accuracy(model: Chain, pixels: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images that get their label."""
    logits = model(pixels.astype(np.float32) / PIXEL_MAXIMUM)
    return float((logits[:, 0].argmax(axis=-1) == labels).mean())


def train(model: Chain, data: Digits, random: np.random.Generator) -> None:
    """Train `model`, printing loss and test accuracy every ten epochs."""
    parameters: list[Parameter] = [parameter for _, parameter in model.parameters()]
    pixels = data.train_pixels.astype(np.float32) / PIXEL_MAXIMUM
    steps = EPOCHS * (len(pixels) // BATCH)
    step = 0
    for epoch in range(1, EPOCHS + 1):
        losses = []
        order = random.permutation(len(pixels))
        for start in range(0, len(pixels) - BATCH + 1, BATCH):
            step += 1
            chosen = order[start : start + BATCH]
            loss, gradient = loss_gradient(model(pixels[chosen]), data.train_labels[chosen])
            model.backward(gradient)
            rate = RATE * min(step / WARM_UP, 0.5 * (1 + np.cos(np.pi * step / steps)))
            layers.adam(parameters, rate, step, DECAY)
            losses.append(loss)
        if epoch % 10 == 0:
            figure = accuracy(model, data.test_pixels, data.test_labels)
            print(f"epoch {epoch}: loss {np.mean(losses):.4f}, test accuracy {figure:.4f}")


def main() -> None:
    """Train one model and write its weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("fabnet", "dense"))
    parser.add_argument("-o", "--output", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    random = np.random.default_rng(SEED)
    model = build(arguments.kind, random)
    start = time.monotonic()
    train(model, load_digits(), random)
    tensors = {name: np.ascontiguousarray(item.value) for name, item in model.parameters()}
    target = arguments.output or FOLDER / f"digits_{arguments.kind}.safetensors"
    save_file(tensors, target, {"heads": str(HEADS), "mixing": MIXING[arguments.kind]})
    count = sum(value.size for value in tensors.values())
    print(f"{count} parameters, {time.monotonic() - start:.0f} s, written to {target}")


if __name__ == "__main__":
    main()
