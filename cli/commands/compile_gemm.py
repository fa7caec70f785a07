"""`ageha compile gemm`: one matrix product to a program."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from ...hw.config import AcceleratorConfig
from ...sw.errors import CompileError
from ...sw.gemm.compiler import CompiledGemm, compile_gemm
from ...sw.gemm.matrices import check_sizes, check_values, random_activations
from ...sw.gemm.problem import Role
from ...sw.gemm.prune import pruning_of
from ...sw.sparsity.dataflow import Dataflow
from ...verif.golden.matmul import matmul
from ..arrays import read_array
from ..console import output, step
from ..errors import InputError, input_errors
from ..options import ConfigFile, JsonFile, Preset, Settings, machine
from ..output import require_writable, require_writable_folder, staged_folder, write_json
from ..program_files import program_paths, tensor_path, write_program

NAME = "gemm"
AUTO = "auto"

PRUNING = "Pruning"


def parse_flow(text: str) -> tuple[Dataflow, ...]:
    """Return the flows that a name stands for.

    Raises
    ------
    InputError
        If there is no such flow.
    """
    if text == AUTO:
        return tuple(Dataflow)
    try:
        return (Dataflow(text),)
    except ValueError:
        names = ", ".join((AUTO, *Dataflow))
        raise InputError(f"--flow must be one of {names}, not {text!r}") from None


def gemm(
    weights: Annotated[
        Path,
        typer.Option(
            help="Weights [n, k] as .npy: int8 as they are, floats quantised a row.",
            metavar="FILE",
        ),
    ],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the files go.")
    ],
    m: Annotated[int | None, typer.Option("--m", help="Rows of activations.", metavar="M")] = None,
    n: Annotated[
        int | None, typer.Option("--n", help="Outputs; those of the weights.", metavar="N")
    ] = None,
    k: Annotated[
        int | None, typer.Option("--k", help="Inputs; those of the weights.", metavar="K")
    ] = None,
    activations: Annotated[
        Path | None,
        typer.Option(
            help="Activations int8 [m, k] as .npy; random ones if left out.", metavar="FILE"
        ),
    ] = None,
    flow: Annotated[
        str,
        typer.Option(
            help="dOS, dWS, dIS, sOS, csOS, sWS, sIS, or auto: the fewest predicted cycles.",
            metavar="FLOW",
        ),
    ] = AUTO,
    swapped: Annotated[
        bool,
        typer.Option(
            "--swapped", help="Exchange the operands: sparse flows compress the activations."
        ),
    ] = False,
    prune: Annotated[
        float | None,
        typer.Option(
            help="Prune what is compressed to this share of the flow's slots.",
            metavar="DENSITY",
            rich_help_panel=PRUNING,
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Prune for csOS to N:M, or to a sum of such terms: 2:4, 4:8+1:8.",
            metavar="SERIES",
            rich_help_panel=PRUNING,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of random activations.", metavar="NUMBER")] = 1,
    dump_after: Annotated[
        str | None,
        typer.Option(
            help="Print the graph after this pass: lower, schedule, allocate or synchronise.",
            metavar="PASS",
        ),
    ] = None,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Compile one product, activations [m, k] by weights [n, k], on one of seven dataflows.

    Writes gemm.prog, its listing and C header, the activations as gemm.input.npy, and what NumPy
    gives for them as gemm.output.npy; `ageha run` compares devices with that.
    """
    parameters = machine(preset, config, settings)
    flows = parse_flow(flow)
    require_writable_folder("--output", target)
    require_writable("--json", json_file)
    given = read_array("--weights", weights)
    values = None if activations is None else read_array("--activations", activations)
    with input_errors(CompileError):
        pruning = pruning_of(prune, pattern)
        left, used_seed = _activations(given, values, (m, n, k), seed)
        with step("Compiling"):
            compiled = compile_gemm(
                given,
                left,
                parameters,
                flows=flows,
                swapped=swapped,
                pruning=pruning,
                dump_after=dump_after,
            )
    with staged_folder("--output", target) as folder:
        write_program(folder, NAME, compiled.program)
        path = folder / f"{NAME}.prog"
        for name, array in compiled.inputs.items():
            np.save(tensor_path(path, name), array)
        np.save(tensor_path(path, "output"), expected(compiled, parameters))
    output.print(_table(compiled, program_paths(target, NAME), used_seed))
    write_json("--json", json_file, [_record(compiled, parameters)])


def expected(compiled: CompiledGemm, config: AcceleratorConfig) -> NDArray[np.int16]:
    """Return the result that the program is to give, computed without it."""
    product = compiled.gemm
    activations: Role = "b" if product.weights_role == "a" else "a"
    return matmul(
        product.activations,
        product.weights,
        product.scales(activations),
        product.scales(product.weights_role),
        product.fraction,
        accumulator_width=config.array.accumulator_width,
    )


def _activations(
    weights: NDArray, given: NDArray | None, sizes: tuple[int | None, ...], seed: int
) -> tuple[NDArray, int | None]:
    """Return the activations, and the seed if they are random."""
    if weights.ndim != 2:
        raise CompileError(f"weights must have 2 axes, not {weights.ndim}")
    m, n, k = sizes
    n, k = (weights.shape[axis] if size is None else size for axis, size in enumerate((n, k)))
    if m is None and given is None:
        raise CompileError("--m is missing, and there are no --activations to tell it")
    if m is None:
        m = len(given) if given is not None and given.ndim else 0
    check_sizes(m, n, k)
    check_values(weights, (n, k), "weights")
    if given is None:
        return random_activations(m, k, seed), seed
    check_values(given, (m, k), "activations")
    return given, None


def _table(compiled: CompiledGemm, files: str, seed: int | None) -> Table:
    metadata = compiled.program.metadata
    table = Table(show_header=False, box=None)
    table.add_row("files", Text(files))
    if seed is not None:
        table.add_row("activations", f"random, seed {seed}")
    table.add_row("product", f"{metadata['m']} x {metadata['n']} x {metadata['k']} (m, n, k)")
    table.add_row("flow", metadata["flow"] + (", swapped" if metadata["swapped"] else ""))
    table.add_row("instructions", f"{compiled.program.instructions:,}")
    table.add_row("cycles, predicted", f"{metadata['predicted_cycles']:,}")
    table.add_row("array cycles, least", f"{metadata['ideal_cycles']:,}")
    for flow, cycles in compiled.predicted.items():
        if len(compiled.predicted) > 1:
            text = f"{cycles:,} cycles" if isinstance(cycles, int) else str(cycles)
            table.add_row(f"  {flow}", Text(text))
    if "compressed_bytes" in metadata:
        size, dense = metadata["compressed_bytes"], metadata["dense_bytes"]
        table.add_row("compressed", f"{size:,} bytes of {dense:,} ({size / dense:.1%})")
        table.add_row("density", f"{metadata['density']:.4f}")
    table.add_row("relative error", f"{metadata['relative_error']:.6f}")
    return table


def _record(compiled: CompiledGemm, config: AcceleratorConfig) -> dict[str, object]:
    metadata = {key: value for key, value in compiled.program.metadata.items() if key != "labels"}
    case = f"gemm {metadata['m']}x{metadata['n']}x{metadata['k']}"
    return {
        "bench": "compile",
        "preset": config.name,
        "case": case,
        "instructions": compiled.program.instructions,
        "predicted": {flow.value: cycles for flow, cycles in compiled.predicted.items()},
        **metadata,
    }
