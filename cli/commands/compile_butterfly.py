"""`ageha compile butterfly`: a trained butterfly layer to a program."""

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from ...sw.butterfly.bounds import factor_fractions
from ...sw.butterfly.errors import ButterflyError
from ...sw.butterfly.linear import ButterflyLinear
from ...sw.butterfly.validate import finite_tensor, require_last_axis
from ...sw.butterfly.weights import load_linear, load_twiddle
from ...sw.butterfly_compiler import compile_butterfly
from ...sw.errors import CompileError
from ...sw.program import Program
from ..arrays import read_array
from ..console import output, step
from ..errors import InputError, input_errors
from ..options import ConfigFile, JsonFile, Preset, Settings, machine
from ..output import require_writable, require_writable_folder, staged_folder, write_json
from ..program_files import float_path, program_paths, tensor_path, write_program

NAME = "butterfly"

DEFAULT_TOKENS = 64

NUMBER_BITS = 15
"""Bits of an int16 without its sign."""

MARGIN = 1.5
"""Room above the largest result of the inputs in calibration."""


def butterfly(
    weights: Annotated[
        Path,
        typer.Option(
            help="Twiddle of torch_butterfly: .safetensors or .npz with `twiddle` and, if there "
            "is one, `bias`, or .npy.",
            metavar="FILE",
        ),
    ],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the files go.")
    ],
    prefix: Annotated[
        str, typer.Option(help="Before both names, such as encoder.0.query.", metavar="TEXT")
    ] = "",
    in_features: Annotated[
        int | None, typer.Option(help="Inputs; n of the twiddle if left out.", metavar="COUNT")
    ] = None,
    out_features: Annotated[
        int | None,
        typer.Option(help="Outputs; n of all stacks if left out.", metavar="COUNT"),
    ] = None,
    decreasing: Annotated[
        bool,
        typer.Option("--decreasing", help="The strides of the first block decrease."),
    ] = False,
    inputs: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="Rows of numbers [tokens, inputs] as .npy; random ones from -1 to 1 if left out.",
            metavar="FILE",
        ),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(help="Rows of a random input.", metavar="COUNT")
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Choose fractions from this input. Without it, no input saturates.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of random inputs.", metavar="NUMBER")] = 1,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Compile a butterfly layer, inputs [tokens, in] to outputs [tokens, out].

    Writes butterfly.prog, its listing and C header, the input as butterfly.input.npy, and what the
    layer makes of it in float64 as butterfly.float.npy; `ageha run` says how near the machine
    comes. Complex layers have the real parts of all tokens above the imaginary ones.
    """
    parameters = machine(preset, config, settings)
    require_writable_folder("--output", target)
    require_writable("--json", json_file)
    if inputs is not None and tokens is not None:
        raise InputError("--tokens goes with random inputs only, not with --input")
    with input_errors(ButterflyError, prefix="--weights "):
        layer = _layer(weights, prefix, (in_features, out_features), not decreasing)
    x = _inputs(layer, inputs, DEFAULT_TOKENS if tokens is None else tokens, seed)
    fractions = _fractions(layer, x, calibrate)
    with input_errors(CompileError, ButterflyError), step("Compiling"):
        program = compile_butterfly(
            layer, parameters, len(x), fractions, calibration=x if calibrate else None
        )
    with staged_folder("--output", target) as folder:
        write_program(folder, NAME, program)
        path = folder / f"{NAME}.prog"
        (source,) = program.inputs
        quantised = source.from_float(_planes(x, layer))
        np.save(tensor_path(path, source.name), quantised)
        np.save(float_path(path), _planes(layer(_joined(source.to_float(quantised), layer)), layer))
    files = program_paths(target, NAME)
    output.print(_table(layer, program, files, None if inputs else seed))
    write_json("--json", json_file, [_record(layer, program, len(x))])


def _layer(
    path: Path, prefix: str, sizes: tuple[int | None, int | None], increasing: bool
) -> ButterflyLinear:
    """Return the layer in a file; sizes that are not given are those of the twiddle."""
    twiddle = load_twiddle(path, f"{prefix}twiddle", increasing)
    defaults = twiddle.size, twiddle.size * twiddle.stacks
    inputs, outputs = (
        default if size is None else size for size, default in zip(sizes, defaults, strict=True)
    )
    return load_linear(path, inputs, outputs, prefix, increasing)


def _inputs(layer: ButterflyLinear, path: Path | None, tokens: int, seed: int) -> NDArray:
    """Return the rows of a file, or random ones."""
    if path is not None:
        values = read_array("--input", path)
        with input_errors(ButterflyError, prefix=f"--input {path}: "):
            values = finite_tensor("input", require_last_axis("input", values, layer.in_features))
            if values.ndim != 2 or not len(values):
                raise ButterflyError(f"input must be [tokens, inputs], not {values.shape}")
            if np.iscomplexobj(values) and not layer.twiddle.is_complex:
                raise ButterflyError("input must be real, as the layer is")
        return values
    if tokens < 1:
        raise InputError(f"--tokens must be at least 1, not {tokens}")
    random = np.random.default_rng(seed)
    shape = tokens, layer.in_features
    values = random.uniform(-1, 1, shape)
    return values + 1j * random.uniform(-1, 1, shape) if layer.twiddle.is_complex else values


def _fractions(layer: ButterflyLinear, x: NDArray, calibrate: bool) -> tuple[int, int]:
    """Return the fraction bits of input and output: as many as hold the largest."""
    source = _fraction(float(np.abs(_planes(x, layer)).max()))
    if calibrate:
        return source, _fraction(MARGIN * float(np.abs(_planes(layer(x), layer)).max()))
    bound = max(2.0 ** (NUMBER_BITS - stack[-1]) for stack in factor_fractions(layer, source))
    if layer.bias is not None:
        bound += float(np.abs(layer.bias).max())
    return source, _fraction(bound)


def _fraction(largest: float) -> int:
    return NUMBER_BITS - math.ceil(math.log2(largest)) if largest else NUMBER_BITS


def _planes(values: NDArray, layer: ButterflyLinear) -> NDArray:
    """Return the rows as the machine has them."""
    return np.concatenate([values.real, values.imag]) if layer.twiddle.is_complex else values


def _joined(values: NDArray, layer: ButterflyLinear) -> NDArray:
    """Return complex rows from their planes."""
    if not layer.twiddle.is_complex:
        return values
    real, imaginary = np.split(values, 2)
    return real + 1j * imaginary


def _table(layer: ButterflyLinear, program: Program, files: str, seed: int | None) -> Table:
    twiddle, metadata = layer.twiddle, program.metadata
    table = Table(show_header=False, box=None)
    table.add_row("files", Text(files))
    if seed is not None:
        table.add_row("input", f"random, seed {seed}")
    kind = "complex" if twiddle.is_complex else "real"
    table.add_row("layer", f"{layer.in_features} -> {layer.out_features}, {kind}")
    shape = f"n = {twiddle.size}, stacks {twiddle.stacks}, blocks {twiddle.blocks}"
    table.add_row("twiddle", shape)
    fractions = program.inputs[0].fraction, program.outputs[0].fraction
    table.add_row("fraction bits", f"{fractions[0]} in, {fractions[1]} out")
    table.add_row("instructions", f"{program.instructions:,}")
    table.add_row("cycles, predicted", f"{metadata['predicted_cycles']:,}")
    table.add_row("butterfly cycles, least", f"{metadata['ideal_cycles']:,}")
    return table


def _record(layer: ButterflyLinear, program: Program, tokens: int) -> dict[str, object]:
    twiddle, metadata = layer.twiddle, program.metadata
    return {
        "bench": "compile",
        "preset": program.config.name,
        "case": f"butterfly {tokens} x {layer.in_features} -> {layer.out_features}",
        "n": twiddle.size,
        "stacks": twiddle.stacks,
        "blocks": twiddle.blocks,
        "complex": twiddle.is_complex,
        "fractions": [program.inputs[0].fraction, program.outputs[0].fraction],
        "instructions": program.instructions,
        "predicted_cycles": metadata["predicted_cycles"],
        "ideal_cycles": metadata["ideal_cycles"],
    }
