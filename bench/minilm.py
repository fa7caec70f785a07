"""The workload `minilm`: encoder layer 0 of all-MiniLM-L6-v2 on sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..sw.calibrate import LayerRanges, calibrate, calibration_tokens
from ..sw.compiler import compile_encoder
from ..sw.frontend.bert import BertModel, load
from ..sw.frontend.tokenizer import Tokenizer
from ..sw.program import Program
from ..sw.reference import embed, encoder

TITLE = "all-MiniLM-L6-v2, encoder layer 0"

SENTENCES = (
    "The swallowtail lands on a thistle and folds its wings.",
    "A machine that reads whole sentences should be right about every single bit of them, "
    "however slow the memory is that it reads them from.",
)
"""What is run unless the user has something to say."""


@dataclass(frozen=True)
class Job:
    """A program, its input, and what floats make of it.

    Parameters
    ----------
    name : str
        The sentence.
    tokens : tuple of str
    program : Program
    inputs : mapping of str to array
    reference : float64 [tokens, hidden]
        The layer's output in floats.
    """

    name: str
    tokens: tuple[str, ...]
    program: Program
    inputs: Mapping[str, NDArray]
    reference: NDArray[np.float64]


class MiniLm:
    """The model, read and calibrated once.

    Parameters
    ----------
    config : AcceleratorConfig
    source : Path, optional
        Another model's folder.
    layer : int
        Which encoder layer to run.

    Raises
    ------
    FrontendError
        If a file of the model is missing or damaged.
    """

    def __init__(
        self, config: AcceleratorConfig, source: Path | None = None, layer: int = 0
    ) -> None:
        self.config = config
        self.layer = layer
        self.model: BertModel = load(source)
        self.tokenizer = Tokenizer(source)
        self._programs: dict[int, Program] = {}

    @cached_property
    def _ranges(self) -> dict[int, LayerRanges]:
        return calibrate(self.model, [self.layer], calibration_tokens(self.model))

    def program(self, sequence_length: int) -> Program:
        """Return the program for sentences of `sequence_length` tokens.

        Raises
        ------
        CompileError
            If the machine cannot run it.
        """
        if sequence_length not in self._programs:
            self._programs[sequence_length] = compile_encoder(
                self.model, self.config, sequence_length, [self.layer], ranges=self._ranges
            )
        return self._programs[sequence_length]

    def job(self, text: str, length: int | None = None) -> Job:
        """Return what is to be run for `text`, cut or repeated to `length` tokens if given.

        Raises
        ------
        FrontendError
            If the text is empty or longer than the model's limit.
        CompileError
            If the machine cannot run it.
        """
        ids = self.tokenizer.encode(text, length)
        x = embed(self.model, ids)
        for layer in range(self.layer):
            x = encoder(self.model, x, [layer])
        program = self.program(len(ids))
        return Job(
            name=text,
            tokens=tuple(self.tokenizer.names(ids)),
            program=program,
            inputs={"input": program.inputs[0].from_float(x)},
            reference=encoder(self.model, x, [self.layer]),
        )
