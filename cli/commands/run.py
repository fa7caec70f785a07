"""`ageha run`: sentences in, bit-exact encoder layers out of the Verilog."""

from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ...bench.chrome_trace import chrome_trace
from ...bench.decode import LENGTHS as DECODE_LENGTHS
from ...bench.minilm import SENTENCES, Job, MiniLm
from ...bench.record import Case, RunRecord
from ...bench.sample import sample_job
from ...hw.config import AcceleratorConfig
from ...sw.errors import CompileError, FrontendError
from ...sw.frontend.bert import BertModel, EncoderModel, keep_activations
from ...sw.frontend.digits import TEST_IMAGES
from ...sw.frontend.load import load_encoder
from ...sw.frontend.onnx.load import is_onnx
from ...sw.frontend.tokenizer import TOKENIZER
from ..console import output, step
from ..errors import InputError, ResultError, input_errors
from ..jobs import Device, DeviceChoice, Devices, Keep, ModelFolder, Weights
from ..layers import parse_layers
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
from ..output import (
    require_writable,
    require_writable_folder,
    write_file,
    write_json,
)
from ..run_folder import make_record, write_run
from ..tables import embedding_table
from .compile import default_tokens
from .run_decode import run_decode_workload
from .run_digits import run_digits
from .run_program import run_program_file


class WorkloadChoice(Enum):
    """What a run computes."""

    MINILM = "minilm"
    DIGITS = "digits"
    DECODE = "decode"


def run(
    program: Annotated[
        Path | None,
        typer.Argument(
            help="A program file from `ageha compile gemm`, run with the tensors beside it on "
            "the machine that it is for; without one, the model runs on sentences.",
            metavar="[PROGRAM]",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="A sentence. Repeatable; two are built in.", metavar="SENTENCE"),
    ] = None,
    workload: Annotated[
        WorkloadChoice,
        typer.Option(
            help="minilm: sentences; digits: a butterfly network on images; decode: a token "
            "through a decoder of the LLaMA family.",
            metavar="minilm|digits|decode",
        ),
    ] = WorkloadChoice.MINILM,
    layers: Annotated[
        str,
        typer.Option(help="Encoder layers, in one program: 0, 0,2, 0-5 or all.", metavar="LAYERS"),
    ] = "0",
    batch: Annotated[
        bool, typer.Option("--batch", help="Run all sentences in one program.")
    ] = False,
    device: Device = DeviceChoice.BOTH,
    model: ModelFolder = None,
    weights: Weights = None,
    keep: Keep = None,
    images: Annotated[
        int, typer.Option(help="Test images of the workload digits.", metavar="COUNT")
    ] = TEST_IMAGES,
    sequence: Annotated[
        int, typer.Option(help="Tokens in the cache of the workload decode.", metavar="COUNT")
    ] = DECODE_LENGTHS[0],
    target: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FOLDER", help="Where run.json and the report go."),
    ] = Path("build/run"),
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    latency: Latency = 1,
    bandwidth: Bandwidth = 1.0,
    stalls: Stalls = 0,
    seed: Seed = 1,
    json_file: JsonFile = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A trace file for ui.perfetto.dev or chrome://tracing."),
    ] = None,
) -> None:
    """Run encoder layers on sentences and compare the Verilog, its golden model and floats.

    The sentences are tokenised and embedded on the host; the layers, whole and in one program, run
    on the machine. With all layers the host takes the mean over the tokens and scales it to length
    1, which gives the embedding of the sentence. Writes run.json and report.html.
    """
    parameters = machine(preset, config, settings)
    memory_settings = memory(latency, bandwidth, stalls, seed)
    require_writable_folder("--output", target)
    require_writable("--json", json_file)
    require_writable("--trace", trace)
    if workload is WorkloadChoice.DIGITS:
        if text or model or weights or keep or program:
            raise InputError(
                "--workload digits takes no PROGRAM, --text, --model, --weights or --keep"
            )
        run_digits(parameters, device, memory_settings, images, target, json_file)
        return
    if workload is WorkloadChoice.DECODE:
        if text or weights or program:
            raise InputError("--workload decode takes no PROGRAM, --text or --weights")
        run_decode_workload(
            parameters, device, memory_settings, (model, layers), sequence, target, json_file
        )
        return
    if program is not None:
        if text or model or weights or keep:
            raise InputError(
                "PROGRAM has its own input: --text, --model, --weights and --keep go without one"
            )
        run_program_file(program, device, memory_settings, target, json_file)
        return
    with step("Reading the model"):
        encoder = read_encoder(model, weights, keep or ())
    mini = sentence_model(parameters, model, encoder, layers)
    if mini is not None:
        jobs, title = compile_jobs(mini, text or SENTENCES, batch), mini.title
    elif text or batch:
        raise InputError(f"{model}: takes no sentences, so that --text and --batch have no meaning")
    else:
        jobs = [sample(parameters, model, encoder, layers)]
        title = jobs[0].name
    devices = Devices.prepare(device, parameters, memory_settings)
    cases = [case for _, case in devices.run(jobs)]
    record = make_record(title, device, parameters, memory_settings, cases)
    write_run(record, target)
    if mini is not None and mini.is_whole:
        output.print(embedding_table(cases))
    write_json("--json", json_file, [summary(record, case) for case in cases])
    if trace is not None:
        write_file("--trace", trace, chrome_trace(record))
    if record.is_equal is False:
        raise ResultError("the Verilog differs from the golden model")


def read_encoder(
    source: Path | None, weights: Path | None = None, keep: Sequence[str] = ()
) -> EncoderModel:
    """Return the model at `source` with `weights` of another file; `keep` as in `MiniLm`.

    Raises
    ------
    InputError
        If the model cannot be read.
    """
    with input_errors(FrontendError):
        return keep_activations(load_encoder(source, weights), keep)


def sentence_model(
    config: AcceleratorConfig, source: Path | None, model: EncoderModel, layers: str
) -> MiniLm | None:
    """Return `model` with the `layers` that the user wants, if it takes sentences.

    An image has no words, and an exported graph may have no tokenizer beside it.

    Raises
    ------
    InputError
        If the tokenizer cannot be read, or a layer is not there.
    """
    if not isinstance(model, BertModel) or model.folder is None:
        return None
    if is_onnx(source or "") and not (model.folder / TOKENIZER).is_file():
        return None
    with input_errors(FrontendError):
        return MiniLm(config, source, parse_layers(layers, model.config.layers), model=model)


def sample(config: AcceleratorConfig, source: Path | None, model: EncoderModel, layers: str) -> Job:
    """Return what is to be run of a `model` that takes no sentences.

    Raises
    ------
    InputError
        If a layer is not there, or the machine cannot run it.
    """
    chosen = parse_layers(layers, model.config.layers)
    name = f"{Path(source or '').resolve().stem}, encoder layers {layers}"
    with input_errors(CompileError), step("Compiling"):
        return sample_job(model, name, config, chosen, default_tokens(model))


def read_minilm(
    config: AcceleratorConfig,
    source: Path | None,
    layers: str,
    weights: Path | None = None,
    keep: Sequence[str] = (),
) -> MiniLm:
    """Return a model that takes sentences, with the `layers` that the user wants.

    Raises
    ------
    InputError
        If the model cannot be read or takes none, or a layer is not there.
    """
    mini = sentence_model(config, source, read_encoder(source, weights, keep), layers)
    if mini is None:
        raise InputError(
            f"{source}: sentences take a model of the BERT family with {TOKENIZER} beside it"
        )
    return mini


def compile_jobs(mini: MiniLm, texts: list[str] | tuple[str, ...], batch: bool) -> list[Job]:
    """Return a job for all `texts`, or one for each.

    Raises
    ------
    InputError
        If a text is empty or too long, or the machine cannot run it.
    """
    with input_errors(FrontendError, CompileError):
        for text in texts:
            mini.tokenizer.encode(text)
        with step("Compiling"):
            return [mini.job(*texts)] if batch else [mini.job(text) for text in texts]


def summary(record: RunRecord, case: Case) -> dict[str, object]:
    """Return the figures of one program for other programs to read."""
    return {
        "workload": record.title,
        "preset": record.preset,
        "device": record.device,
        "text": case.name,
        "tokens": len(case.tokens),
        "cycles": case.cycles,
        "ideal_cycles": case.ideal_cycles,
        "utilization": round(case.utilization, 4),
        "predicted_cycles": case.predicted_cycles,
        "busy": dict(case.busy),
        "bytes_moved": case.bytes_read + case.bytes_written,
        "compulsory_bytes": case.compulsory_bytes,
        "mismatches": case.mismatches,
        "elements": case.elements,
        "cosine": case.mean_cosine,
        "embeddings": [asdict(item) for item in case.embeddings],
        "seconds": case.seconds,
    }
