"""What is run of a model that comes without sentences: words, an image or vectors at random."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..sw.calibrate import random_images, random_vectors
from ..sw.compiler import compile_encoder
from ..sw.frontend.bert import BertModel, EncoderModel
from ..sw.frontend.vit import VitModel
from ..sw.reference import embed, embed_image, encoder
from .minilm import Job

SEED = 1


def sample_input(model: EncoderModel, length: int, seed: int = SEED) -> NDArray[np.float64]:
    """Return an input of the first layer, float64 [tokens, hidden]; `length` counts but for images.

    Raises
    ------
    CompileError
        If the model takes no such length.
    """
    if isinstance(model, BertModel):
        generator = np.random.default_rng(seed)
        return embed(model, generator.integers(0, model.config.vocabulary, length))
    if isinstance(model, VitModel):
        return embed_image(model, random_images(model, 1, seed)[0])
    return random_vectors(model, 1, seed, length)[0]


def sample_job(
    model: EncoderModel,
    name: str,
    config: AcceleratorConfig,
    layers: Sequence[int],
    length: int,
) -> Job:
    """Return what is to be run.

    Parameters
    ----------
    model : EncoderModel
    name : str
    config : AcceleratorConfig
    layers : sequence of int
    length : int
        Tokens; an image has as many as it has.

    Raises
    ------
    CompileError
        If the machine cannot run it.
    """
    x = encoder(model, sample_input(model, length), list(range(layers[0])))
    program = compile_encoder(model, config, len(x), layers)
    return Job(
        name=name,
        texts=(),
        tokens=(tuple(f"token {number}" for number in range(len(x))),),
        program=program,
        inputs={"input": program.inputs[0].from_float(x)},
        reference=encoder(model, x, list(layers)),
        is_whole=False,
    )
