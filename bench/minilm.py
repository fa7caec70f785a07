"""The workload `minilm`: encoder layers of all-MiniLM-L6-v2 on sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..hw.config import AcceleratorConfig
from ..sw.calibrate import LayerRanges, calibrate, calibration_tokens
from ..sw.compiler import compile_encoder
from ..sw.frontend.bert import BertModel, keep_activations, load
from ..sw.frontend.tokenizer import Tokenizer
from ..sw.program import Program
from ..sw.reference import embed, encoder

NAME = "all-MiniLM-L6-v2"

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
        The sentence, or how many there are.
    texts : tuple of str
        The sentences.
    tokens : tuple of tuple of str
        The tokens of each.
    program : Program
    inputs : mapping of str to array
    reference : float64 [tokens, hidden]
        The output of the last layer in floats, sentence after sentence.
    is_whole : bool
        Whether the output is that of the whole model, so that it gives embeddings.
    """

    name: str
    texts: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    program: Program
    inputs: Mapping[str, NDArray]
    reference: NDArray[np.float64]
    is_whole: bool

    @property
    def lengths(self) -> list[int]:
        """The number of tokens of each sentence."""
        return [len(tokens) for tokens in self.tokens]

    def split(self, rows: NDArray) -> list[NDArray]:
        """Return the part of each sentence in `rows`, [tokens, ...]."""
        return np.split(rows, np.cumsum(self.lengths)[:-1])


class MiniLm:
    """The model, read and calibrated once.

    Parameters
    ----------
    config : AcceleratorConfig
    source : Path, optional
        Another model's folder.
    layers : sequence of int
        Which encoder layers to run, in one program; they follow each other in the model.
    weights : Path, optional
        A checkpoint to take the place of the model's, such as a sparse one.
    keep : sequence of str
        Activations to be kept, as `sw.frontend.bert.keep_activations` takes them.
    model : BertModel, optional
        The model itself, where it has been read from `source` already.

    Raises
    ------
    FrontendError
        If a file of the model is missing or damaged, or a layer of `keep` is not there.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        source: Path | None = None,
        layers: Sequence[int] = (0,),
        weights: Path | None = None,
        keep: Sequence[str] = (),
        model: BertModel | None = None,
    ) -> None:
        self.config = config
        self.layers = tuple(layers)
        self.name = NAME if source is None else source.resolve().name
        found: BertModel = load(source, weights) if model is None else model
        self.model = keep_activations(found, keep)
        self.tokenizer = Tokenizer(self.model.folder, self.model.config)
        self._programs: dict[tuple[int, ...], Program] = {}

    @property
    def title(self) -> str:
        """Model and layers."""
        first, last = self.layers[0], self.layers[-1]
        if len(self.layers) == 1:
            return f"{self.name}, encoder layer {first}"
        numbers = ", ".join(map(str, self.layers))
        is_range = self.layers == tuple(range(first, last + 1))
        return f"{self.name}, encoder layers {f'{first}-{last}' if is_range else numbers}"

    @property
    def is_whole(self) -> bool:
        """Whether all layers are run, in their order."""
        return self.layers == tuple(range(self.model.config.layers))

    @cached_property
    def _ranges(self) -> dict[int, LayerRanges]:
        return calibrate(self.model, self.layers, calibration_tokens(self.model))

    def program(self, *lengths: int) -> Program:
        """Return the program for sentences of `lengths` tokens, one after the other.

        Raises
        ------
        CompileError
            If the machine cannot run it.
        """
        if lengths not in self._programs:
            self._programs[lengths] = compile_encoder(
                self.model, self.config, lengths, self.layers, ranges=self._ranges
            )
        return self._programs[lengths]

    def job(self, *texts: str, length: int | None = None) -> Job:
        """Return what is to be run for `texts`, each cut or repeated to `length` tokens if given.

        Raises
        ------
        FrontendError
            If a text is empty or longer than the model's limit.
        CompileError
            If the machine cannot run it.
        """
        ids = [self.tokenizer.encode(text, length) for text in texts]
        first = list(range(self.layers[0]))
        inputs = [encoder(self.model, embed(self.model, tokens), first) for tokens in ids]
        program = self.program(*map(len, ids))
        outputs = [encoder(self.model, x, list(self.layers)) for x in inputs]
        return Job(
            name=texts[0] if len(texts) == 1 else f"{len(texts)} sentences",
            texts=texts,
            tokens=tuple(tuple(self.tokenizer.names(tokens)) for tokens in ids),
            program=program,
            inputs={"input": program.inputs[0].from_float(np.concatenate(inputs))},
            reference=np.concatenate(outputs),
            is_whole=self.is_whole,
        )

    def batches(self, texts: Sequence[str], tokens: int) -> list[list[str]]:
        """Return `texts` in groups of at most `tokens` tokens, or of one text, in their order.

        Raises
        ------
        FrontendError
            If a text is empty or longer than the model's limit.
        """
        groups: list[list[str]] = []
        room = 0
        for text in texts:
            length = len(self.tokenizer.encode(text))
            if not groups or length > room:
                groups.append([])
                room = tokens
            groups[-1].append(text)
            room -= length
        return groups
