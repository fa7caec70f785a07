"""`ageha compile`: a model to a program, its listing and a C header."""

import io
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ...bench.compile import program_figures
from ...bench.digits import compile_digits
from ...hw.config import AcceleratorConfig
from ...sw.compiler import compile_encoder
from ...sw.decoder_compiler import compile_decoder
from ...sw.errors import CompileError, FrontendError
from ...sw.frontend.bert import EncoderModel, keep_activations
from ...sw.frontend.llama import is_llama
from ...sw.frontend.llama import load as load_llama
from ...sw.frontend.load import load_encoder
from ...sw.frontend.onnx.load import is_onnx
from ...sw.frontend.vit import VitModel
from ...sw.passes.explore import Budget
from ...sw.passes.search import DEFAULT_BUDGET
from ...sw.program import Program
from ..console import output, step
from ..errors import InputError, input_errors
from ..jobs import Keep, Weights
from ..layers import parse_layers
from ..options import (
    Candidates,
    ConfigFile,
    JsonFile,
    Preset,
    SearchSeconds,
    Settings,
    machine,
    search_budget,
)
from ..output import (
    require_writable,
    require_writable_folder,
    staged_folder,
    write_file,
    write_json,
)
from ..program_files import program_paths, write_program

MINILM = "minilm"
DIGITS = "digits"

DEFAULT_TOKENS = 32


def compile_model(
    source: str,
    config: AcceleratorConfig,
    sequence: list[int],
    layers: str,
    masked: bool,
    dump_after: str | None,
    weights: Path | None = None,
    past: int = 0,
    keep: Sequence[str] = (),
    budget: Budget = DEFAULT_BUDGET,
) -> Program:
    """Return the program of a model, of the family that its configuration names.

    Raises
    ------
    InputError
        If the model or the options are wrong.
    """
    if source == DIGITS:
        if sequence or layers != "0" or masked or weights or keep:
            raise InputError(
                f"{DIGITS} takes no --sequence, --layers, --masked, --weights or --keep"
            )
        with input_errors(FrontendError, CompileError), step("Compiling"):
            return compile_digits(config, dump_after)
    folder = None if source == MINILM else Path(source)
    with input_errors(FrontendError):
        if folder is not None and not is_onnx(folder) and is_llama(folder):
            if len(sequence) > 1 or masked or weights or keep:
                raise InputError(
                    "a decoder takes one --sequence, and neither --masked, --weights nor --keep"
                )
            tokens = (sequence or [DEFAULT_TOKENS])[0]
            return _compile_decoder(folder, config, (past, tokens), layers, dump_after)
    if past:
        raise InputError("--past goes with a decoder only")
    with input_errors(FrontendError, CompileError):
        with step("Reading the model"):
            model = keep_activations(load_encoder(folder, weights), keep)
        chosen = parse_layers(layers, model.config.layers)
        with step("Compiling"):
            return compile_encoder(
                model,
                config,
                sequence or [default_tokens(model)],
                chosen,
                masked=masked,
                budget=budget,
                dump_after=dump_after,
            )


def default_tokens(model: EncoderModel) -> int:
    """Return how many tokens `model` is compiled for unless the user says: those of an image."""
    limit = model.config.maximum_tokens
    return limit if isinstance(model, VitModel) else min(limit, DEFAULT_TOKENS)


def _compile_decoder(
    folder: Path,
    config: AcceleratorConfig,
    tokens: tuple[int, int],
    layers: str,
    dump_after: str | None,
) -> Program:
    """Return the program for some tokens after others."""
    past, new = tokens
    with input_errors(FrontendError, CompileError):
        with step("Reading the model"):
            model = load_llama(folder)
        chosen = parse_layers(layers, model.config.layers)
        with step("Compiling"):
            return compile_decoder(model, config, new, past, chosen, dump_after=dump_after)


def compile_command(
    model: Annotated[
        str,
        typer.Argument(
            help=f"`{MINILM}`, `{DIGITS}` (a butterfly network), a folder with config.json and "
            "model.safetensors (BERT, ViT or LLaMA), or an encoder as .onnx file.",
            metavar="MODEL",
        ),
    ],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the files go.")
    ],
    sequence: Annotated[
        list[int] | None,
        typer.Option(
            help="Tokens of a sentence; repeated: a batch. 32 by default, or those of an image.",
            metavar="N",
        ),
    ] = None,
    layers: Annotated[
        str, typer.Option(help="Layers: 0, 0,2, 0-5 or all.", metavar="LAYERS")
    ] = "0",
    masked: Annotated[
        bool,
        typer.Option("--masked", help="Take a mask as an input, so that sentences may be shorter."),
    ] = False,
    dump_after: Annotated[
        str | None,
        typer.Option(
            help="Print the graph after this pass: lower, expand, schedule, allocate or "
            "synchronise.",
            metavar="PASS",
        ),
    ] = None,
    dump_to: Annotated[
        Path | None,
        typer.Option(help="Write that graph to a file instead, for `ageha graph`.", metavar="FILE"),
    ] = None,
    past: Annotated[
        int, typer.Option(help="Tokens in the cache of a decoder.", metavar="COUNT")
    ] = 0,
    weights: Weights = None,
    keep: Keep = None,
    candidates: Candidates = DEFAULT_BUDGET.candidates,
    search_seconds: SearchSeconds = None,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Compile layers of a model to a program file, a listing and a C header.

    With a folder of the LLaMA family (config.json tells), the program takes --sequence tokens after
    --past others, whose keys and values it finds in DRAM, where it leaves those of the new ones.
    """
    parameters = machine(preset, config, settings)
    budget = search_budget(candidates, search_seconds)
    require_writable_folder("--output", target)
    require_writable("--json", json_file)
    require_writable("--dump-to", dump_to)
    if dump_to is not None and dump_after is None:
        raise InputError("--dump-to goes with --dump-after")
    started = time.perf_counter()
    with redirect_stdout(io.StringIO()) as dumped:
        program = compile_model(
            model,
            parameters,
            sequence or [],
            layers,
            masked,
            dump_after,
            weights,
            past,
            keep or (),
            budget,
        )
    seconds = time.perf_counter() - started
    if dump_to is not None:
        write_file("--dump-to", dump_to, dumped.getvalue())
    else:
        output.print(dumped.getvalue(), end="", markup=False, soft_wrap=True)
    name = model if model in (MINILM, DIGITS) else _name(Path(model).resolve())
    with staged_folder("--output", target) as folder:
        write_program(folder, name, program)
    output.print(_table(program, program_paths(target, name), seconds))
    lengths = program.metadata.get("lengths", sequence or [DEFAULT_TOKENS])
    record = {
        "bench": "compile",
        "preset": parameters.name,
        "case": name if name == DIGITS else _case(name, layers, lengths, past),
        "seconds": round(seconds, 3),
        **program_figures(program),
    }
    write_json("--json", json_file, [record])


def _name(path: Path) -> str:
    return path.stem if is_onnx(path) else path.name


def _case(name: str, layers: str, lengths: list[int], past: int) -> str:
    after = f" after {past}" if past else ""
    return f"{name} layers {layers} S={'+'.join(map(str, lengths))}{after}"


def _table(program: Program, files: str, seconds: float) -> Table:
    metadata = program.metadata
    table = Table(show_header=False, box=None)
    table.add_row("files", Text(files))
    table.add_row("instructions", f"{program.instructions:,}")
    table.add_row("constants", f"{sum(segment.size for segment in program.segments):,} bytes")
    table.add_row("tilings tried", _tried(metadata))
    if "search_gain" in metadata:
        table.add_row("gain over the fixed rule", f"{metadata['search_gain']:.3f}")
    table.add_row("cycles, predicted", f"{metadata['predicted_cycles']:,}")
    table.add_row("seconds", f"{seconds:.1f}")
    return table


def _tried(metadata: Mapping[str, Any]) -> str:
    tried = str(metadata["candidates"])
    if metadata.get("pruned"):
        tried += f", {metadata['pruned']} more ruled out"
    if metadata.get("search_ended_early"):
        tried += "; ended early by --search-seconds: another run may choose otherwise"
    return tried
