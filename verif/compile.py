"""Verilog to compiled model: Verilator, then g++ on its C++ in a few balanced pieces.

Verilator's own makefile either compiles one huge file or hundreds of small ones, and compiles its
run-time library anew for every design. Here the hot and the cold files are each packed in about
as many pieces as there are processors, and the run-time library is compiled once a machine.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..sw.cache import cached, digest
from .verilator import VerilatorError, run_verilator, verilator_key, verilator_root

COLD_PIECE_BYTES = 600_000
"""Size of generated source from which cold code is split for parallel compilation."""

HOT_PIECE_BYTES = 150_000
"""Size of generated source from which hot code is split for parallel compilation."""

_COMMON = ("-std=gnu++20", "-fPIC", "-fno-gnu-unique", "-w", "-DVERILATOR=1")


@dataclass(frozen=True)
class Model:
    """What Verilator is asked to make.

    Parameters
    ----------
    verilog : str
        Text of the design.
    top : str
        Name of its top module.
    control : str
        Text of a Verilator control file, or empty.
    arguments : tuple of str
        Further arguments of Verilator.
    trace : bool
        Whether the model can write waveforms.
    hot, cold : str
        Optimisation of the code that runs every cycle, and of the rest.
    """

    verilog: str
    top: str
    control: str = ""
    arguments: tuple[str, ...] = ()
    trace: bool = False
    hot: str = "-O2"
    cold: str = "-O0"
    defines: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        trace = int(self.trace)
        object.__setattr__(
            self,
            "defines",
            (
                "-DVM_COVERAGE=0",
                "-DVM_SC=0",
                "-DVM_TIMING=0",
                f"-DVM_TRACE={trace}",
                f"-DVM_TRACE_VCD={trace}",
                "-DVM_TRACE_FST=0",
                "-DVM_TRACE_SAIF=0",
            ),
        )

    @property
    def key(self) -> str:
        """Digest of everything the result depends on."""
        return digest(self, compiler_version(), verilator_key())


def compiler_version() -> str:
    """Return the version line of g++.

    Raises
    ------
    VerilatorError
        If there is no g++.
    """
    if shutil.which("g++") is None:
        raise VerilatorError("g++ is missing; on Debian 12: apt install g++")
    result = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True)
    return result.stdout.splitlines()[0]


def run_compiler(arguments: Sequence[str | Path], folder: Path) -> None:
    """Run g++ with `arguments` in `folder`.

    Raises
    ------
    VerilatorError
        With the first lines of its output, if it fails.
    """
    result = subprocess.run(
        ["g++", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        lines = "\n".join(result.stderr.splitlines()[:40])
        raise VerilatorError(f"g++ failed:\n{lines}")


def flags(model: Model) -> list[str]:
    """Return the g++ options that every file of `model` and of its harness is compiled with."""
    include = verilator_root() / "include"
    return [*_COMMON, *model.defines, f"-I{include}", f"-I{include / 'vltstd'}"]


def _verilate(model: Model, folder: Path) -> dict[str, list[str]]:
    """Run Verilator in `folder`; return the class names by list of its makefile."""
    source = folder / "design.v"
    source.write_text(model.verilog)
    control = folder / "control.vlt"
    control.write_text("`verilator_config\n" + model.control)
    arguments = ["--cc", "--prefix", "Vtop", "--Mdir", ".", "--top-module", model.top]
    arguments += ["-Wno-fatal", "-Wno-lint", "-Wno-style", "--no-timing", "-O3"]
    arguments += ["--trace-vcd"] if model.trace else []
    run_verilator([*arguments, *model.arguments, source.name, control.name], folder)
    makefile = (folder / "Vtop_classes.mk").read_text().replace("\\\n", " ")
    found = re.findall(r"^(VM_\w+) \+?= *(.*)$", makefile, flags=re.MULTILINE)
    return {name: names.split() for name, names in found}


def _pack(folder: Path, names: Sequence[str], label: str, piece_bytes: int) -> list[Path]:
    """Write files that include the generated files in `names`, balanced by size."""
    sizes = {name: (folder / f"{name}.cpp").stat().st_size for name in names}
    total = sum(sizes.values())
    count = max(1, min(len(sizes), 4 * (os.cpu_count() or 1), total // piece_bytes))
    pieces: list[list[str]] = [[] for _ in range(count)]
    loads = [0] * count
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        lightest = loads.index(min(loads))
        pieces[lightest].append(name)
        loads[lightest] += sizes[name]
    paths = []
    for index, piece in enumerate(pieces):
        path = folder / f"{label}{index}.cc"
        path.write_text("".join(f'#include "{name}.cpp"\n' for name in piece))
        paths.append(path)
    return paths


def _runtime(model: Model, names: Sequence[str]) -> list[Path]:
    """Return objects of Verilator's run-time library, compiled on the first call."""
    options = ["-O2", *flags(model)]

    def build(folder: Path) -> None:
        include = verilator_root() / "include"
        jobs: list[list[str | Path]] = [
            [*options, "-c", include / f"{name}.cpp", "-o", folder / f"{name}.o"] for name in names
        ]
        compile_all(jobs, folder)

    key = digest(model.defines, sorted(names), compiler_version(), verilator_key())
    folder = cached("runtime", key, build)
    return [folder / f"{name}.o" for name in names]


def compile_all(jobs: Sequence[Sequence[str | Path]], folder: Path) -> None:
    """Run g++ for every argument list in `jobs`, as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda job: run_compiler(job, folder), jobs))


def compile_model(model: Model, harness: Sequence[Path], folder: Path) -> list[Path]:
    """Verilate and compile `model` with the C++ files `harness` in `folder`.

    The harness files see ``Vtop.h`` and Verilator's headers, and are compiled like hot code.

    Returns
    -------
    list of Path
        Position-independent objects to link.

    Raises
    ------
    VerilatorError
        If Verilator or g++ refuses the design or the harness.
    """
    lists = _verilate(model, folder)
    hot = lists.get("VM_CLASSES_FAST", []) + lists.get("VM_SUPPORT_FAST", [])
    cold = lists.get("VM_CLASSES_SLOW", []) + lists.get("VM_SUPPORT_SLOW", [])
    runtime = lists.get("VM_GLOBAL_FAST", []) + lists.get("VM_GLOBAL_SLOW", [])
    work = [(path, model.hot) for path in _pack(folder, hot, "hot", HOT_PIECE_BYTES)]
    work += [(path, model.cold) for path in _pack(folder, cold, "cold", COLD_PIECE_BYTES)]
    work += [(path.resolve(), model.hot) for path in harness]
    objects = []
    jobs: list[list[str | Path]] = []
    for path, level in work:
        target = folder / f"{path.stem}.o"
        objects.append(target)
        jobs.append([level, *flags(model), "-I.", "-c", path, "-o", target])
    compile_all(jobs, folder)
    return objects + _runtime(model, runtime)
