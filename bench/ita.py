"""The workload `ita`: attention in the sizes that ITA was measured with, beside its cycles.

ITA (Islamoglu et al., ISLPED 2023) is an accelerator of attention with 1024 int8 multiply-adds and
an integer softmax. Its cycle counts are those of its SystemVerilog with its own test vectors, fed
by an ideal source of 128 bytes a cycle: no memory and no DMA are in them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..hw.config import AcceleratorConfig
from ..hw.isa import Unit
from ..sw.attention_compiler import compile_attention
from ..sw.frontend.synthetic import synthetic_bert
from ..sw.reference import embed, encoder_layer, linear
from ..verif.devices.library import MemorySettings
from .attention import measure_job
from .minilm import Job
from .operators import work_spans
from .record import Case

SEED = 1
VOCABULARY = 256
INTERMEDIATE = 8
"""Of the feed-forward part, which is left out."""

PLANES = (2, 1)
"""Planes of 7 bits of a probability: two keep within 2 % of an exact softmax, one does not."""


@dataclass(frozen=True)
class ItaShape:
    """One head of attention.

    Parameters
    ----------
    tokens, embedding, projection : int
        Rows of the input, its channels, and those of the head: ITA's S, E and P.
    cycles : int
        What ITA takes.
    """

    tokens: int
    embedding: int
    projection: int
    cycles: int


SHAPES = (
    ItaShape(64, 128, 64, 2627),
    ItaShape(128, 128, 64, 6211),
    ItaShape(256, 256, 64, 24643),
    ItaShape(512, 128, 64, 49219),
)
"""Those that ITA's own test vectors have."""


def ita_shapes(lengths: Sequence[int] | None) -> list[ItaShape]:
    """Return the shapes of so many tokens, or all.

    Raises
    ------
    ValueError
        If there is none of a length.
    """
    by_length = {shape.tokens: shape for shape in SHAPES}
    for length in lengths or ():
        if length not in by_length:
            known = ", ".join(map(str, by_length))
            raise ValueError(f"--sequence must be one of {known} for ita, not {length}")
    return [by_length[length] for length in lengths or by_length]


def ita_job(shape: ItaShape, planes: int, resident: bool, config: AcceleratorConfig) -> Job:
    """Return what is to be run: random tokens and weights.

    Raises
    ------
    CompileError
        If the machine cannot run it.
    """
    model = synthetic_bert(
        shape.embedding,
        heads=1,
        intermediate=INTERMEDIATE,
        vocabulary=VOCABULARY,
        positions=shape.tokens,
        seed=SEED,
        head_channels=shape.projection,
    )
    tokens = np.random.default_rng(SEED).integers(0, VOCABULARY, shape.tokens)
    compiled = compile_attention(model, config, tokens, planes=planes, resident=resident)
    x = embed(model, tokens)
    context = encoder_layer(model, 0, x)["context"]
    return Job(
        name="ita",
        texts=(),
        tokens=(tuple(f"token {number}" for number in range(shape.tokens)),),
        program=compiled.program,
        inputs={"input": compiled.quantise(x)},
        reference=linear(context, model.layers[0].projection),
        is_whole=False,
    )


def measure_ita(
    shapes: Sequence[ItaShape], config: AcceleratorConfig, settings: MemorySettings, library: Path
) -> Iterator[tuple[dict[str, Any], Case]]:
    """Run each of `shapes` from resident operands and from memory, with two planes and with one.

    Yields
    ------
    dict
        As `measure_job`, with ``planes, resident, attention_cycles, reference_cycles, ratio``.
        `attention_cycles` are all cycles, or, of resident operands, those from the array's first
        work to the end of its last; `ratio` divides them by ITA's, the `reference_cycles`.
    Case

    Raises
    ------
    CompileError
        If the machine cannot run it.
    """
    for shape in shapes:
        for planes in PLANES:
            for resident in (True, False):
                job = ita_job(shape, planes, resident, config)
                name = f"ita S={shape.tokens} {planes} {'planes' if planes > 1 else 'plane'}"
                name += " resident" if resident else ""
                record, case = measure_job(name, job, settings, library)
                cycles = array_span(case) if resident else case.cycles
                more = {
                    "planes": planes,
                    "resident": resident,
                    "attention_cycles": cycles,
                    "reference_cycles": shape.cycles,
                    "ratio": round(cycles / shape.cycles, 4),
                }
                yield record | more, replace(case, name=name)


def array_span(case: Case) -> int:
    """Return the cycles from the array's first work to the end of its last."""
    events = [event for event in case.events if event.unit == Unit.ARRAY.name.lower()]
    spans = work_spans(sorted(events, key=lambda event: event.done))
    return max(end for _, end in spans) - min(start for start, _ in spans)
