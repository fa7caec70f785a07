"""The `ageha` command."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Annotated

import typer

from .commands.assemble import asm, disasm
from .commands.bench import bench
from .commands.bench_butterfly import butterfly as bench_butterfly
from .commands.bench_compile import bench_compile
from .commands.bench_products import activations as bench_activations
from .commands.bench_products import gemm as bench_gemm
from .commands.bench_products import sparse as bench_sparse
from .commands.compile import compile_command
from .commands.compile_butterfly import butterfly as compile_butterfly
from .commands.compile_gemm import gemm
from .commands.embed import embed
from .commands.generate import generate
from .commands.graph import graph_command
from .commands.report import report
from .commands.run import run
from .commands.simulate import simulate
from .commands.sparsify import sparsify_command
from .commands.synth import synth
from .commands.verify import verify
from .console import messages
from .default_command import MODEL, ModelByDefault
from .errors import RIGHT, WRONG_INPUT, InputError, ResultError

INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Ageha generates attention accelerators, compiles for them, and proves what they compute.",
    epilog="Exit status: 0 right, 1 the result is wrong, 2 the input is wrong.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ageha {metadata.version('ageha')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def _add(
    function: Callable[..., None],
    example: str,
    name: str | None = None,
    to: typer.Typer = app,
) -> None:
    to.command(name, epilog=f"Example: `ageha {example}`")(function)


_add(run, 'run --text "A moth sleeps." --stalls 50')
_add(embed, 'embed "A moth sleeps." "An insect rests." --device golden')
_add(generate, "generate --preset base -o build/rtl")
compile_group = typer.Typer(
    cls=ModelByDefault, help="Compile a model, one matrix product, or a butterfly."
)
_add(compile_command, "compile minilm -o build/prog --sequence 32", MODEL, to=compile_group)
_add(
    gemm,
    "compile gemm --m 128 --weights w.npy --prune 0.25 -o build/prog",
    "gemm",
    to=compile_group,
)
_add(
    compile_butterfly,
    "compile butterfly --weights twiddle.safetensors --tokens 64 -o build/prog",
    "butterfly",
    to=compile_group,
)
app.add_typer(compile_group, name="compile", epilog="Example: `ageha compile minilm -o build/prog`")
_add(
    sparsify_command,
    "sparsify minilm --budget 0.75 -o build/sparse.safetensors",
    "sparsify",
)
_add(graph_command, "graph build/lower.gir -o build/graph.svg", "graph")
_add(asm, "asm examples/matrix_product.s -o product.prog --preset tiny")
_add(disasm, "disasm build/prog/minilm.prog")
_add(simulate, "simulate build/prog/minilm.prog --input input.npy --latency 100")
_add(verify, "verify scratchpad matmul")
_add(synth, "synth --preset tiny --target ecp5-85k --json build/synth.json")
_add(report, "report build/run/run.json -o build/run/report.html")
_add(bench_butterfly, "bench butterfly --mode fft --n 1024 --tokens 64", "butterfly", to=bench)
_add(bench_gemm, "bench gemm --json build/gemm.json", "gemm", to=bench)
_add(bench_sparse, "bench sparse --all --json build/sparse.json", "sparse", to=bench)
_add(
    bench_compile, "bench compile --workload minilm --json build/compile.json", "compile", to=bench
)
_add(bench_activations, "bench activations --keep 4:8", "activations", to=bench)
app.add_typer(bench, name="bench", epilog="Example: `ageha bench attention --sequence 128`")


def _fail(message: str, status: int) -> int:
    messages.print(f"ageha: {message}", markup=False, soft_wrap=True)
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the name of the command; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0: right, 1: the result is wrong, 2: the input is wrong, 130: interrupted.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return app(given, prog_name="ageha", standalone_mode=False) or RIGHT
    except (InputError, ResultError) as error:
        return _fail(str(error), error.status)
    except typer.TyperException as error:
        return _fail(" ".join(error.format_message().split()), WRONG_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing more must be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return RIGHT
