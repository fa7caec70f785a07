"""`ageha embed`: how alike sentences are, from embeddings that the machine computes."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ...bench.embedding import job_embeddings
from ...sw.embedding import similarity
from ...sw.errors import CompileError, FrontendError
from ..console import output, step
from ..errors import InputError, ResultError, input_errors
from ..jobs import Device, DeviceChoice, Devices, ModelFolder, Weights
from ..layers import ALL
from ..options import (
    Bandwidth,
    ConfigFile,
    JsonFile,
    Latency,
    Preset,
    Seed,
    Settings,
    Stalls,
    machine,
    memory,
)
from ..output import require_writable, write_json
from ..tables import case_table, embedding_table, similarity_table
from .report import read_text
from .run import read_minilm

SENTENCES = (
    "A swallowtail drinks nectar from a thistle.",
    "A butterfly feeds on a flower.",
    "The central bank left interest rates unchanged.",
    "Interest rates stay where they are.",
)
"""Two pairs that mean nearly the same."""


def embed(
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Sentences; four are built in.", metavar="TEXT"),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="A text file with a sentence a line.", metavar="FILE"),
    ] = None,
    batch: Annotated[
        int,
        typer.Option(help="Most tokens in a program; 0: a program a sentence.", metavar="TOKENS"),
    ] = 128,
    device: Device = DeviceChoice.BOTH,
    model: ModelFolder = None,
    weights: Weights = None,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    latency: Latency = 1,
    bandwidth: Bandwidth = 1.0,
    stalls: Stalls = 0,
    seed: Seed = 1,
    json_file: JsonFile = None,
) -> None:
    """Compute embeddings of sentences with the whole model and print how alike they are.

    All layers run on the machine, for several sentences in one program; tokens, their embeddings,
    the mean over the tokens and its length 1 are the host's. The upper figure of a pair is the
    cosine of the machine's embeddings, the lower one that of the float model's.
    """
    parameters = machine(preset, config, settings)
    memory_settings = memory(latency, bandwidth, stalls, seed)
    require_writable("--json", json_file)
    sentences = _sentences(texts, file)
    if batch < 0:
        raise InputError(f"--batch must be at least 0, not {batch}")
    with step("Reading the model"):
        mini = read_minilm(parameters, model, ALL, weights)
    with input_errors(FrontendError, CompileError):
        groups = mini.batches(sentences, batch)
        with step(f"Compiling {len(groups)} programs", len(groups)) as show:
            jobs = []
            for group in groups:
                jobs.append(mini.job(*group))
                show(len(jobs))
    devices = Devices.prepare(device, parameters, memory_settings)
    runs = devices.run(jobs)
    cases = [case for _, case in runs]
    pairs = [
        job_embeddings(job, execution.outputs)
        for job, (execution, _) in zip(jobs, runs, strict=True)
    ]
    found, expected = (similarity(np.concatenate(part)) for part in zip(*pairs, strict=True))
    output.print(case_table(cases))
    output.print(embedding_table(cases))
    output.print(similarity_table(sentences, found, expected))
    different = [case.mismatches for case in cases if case.mismatches is not None]
    record = {
        "workload": mini.title,
        "preset": parameters.name,
        "device": device.value,
        "cycles": sum(case.cycles for case in cases),
        "mismatches": sum(different) if different else None,
        "embeddings": [asdict(item) for case in cases for item in case.embeddings],
        "similarity": np.round(found, 6).tolist(),
        "float_similarity": np.round(expected, 6).tolist(),
    }
    write_json("--json", json_file, record)
    if any(different):
        raise ResultError("the Verilog differs from the golden model")


def _sentences(texts: list[str] | None, file: Path | None) -> list[str]:
    if texts and file:
        raise InputError("TEXT and --file exclude each other")
    if file is None:
        return texts or list(SENTENCES)
    lines = [line.strip() for line in read_text("--file", file).splitlines()]
    found = [line for line in lines if line]
    if not found:
        raise InputError(f"--file {file}: must have at least one line of text")
    return found
