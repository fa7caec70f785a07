"""The files that a compiled program comes in."""

from pathlib import Path

from ..bench.measure import instruction_labels, listing
from ..sw.program import Program
from ..sw.program_header import program_header


def write_program(folder: Path, name: str, program: Program) -> None:
    """Write ``NAME.prog``, the listing ``NAME.s`` and the C header ``NAME.h`` to `folder`."""
    (folder / f"{name}.prog").write_bytes(program.to_bytes())
    lines = listing(program, instruction_labels(program))
    (folder / f"{name}.s").write_text("".join(f"{line}\n" for line in lines))
    (folder / f"{name}.h").write_text(program_header(program, name))


def program_paths(folder: Path, name: str) -> str:
    """Return the paths of these files, one a line."""
    path = folder / name
    return "\n".join(f"{path}{suffix}" for suffix in (".prog", ".s", ".h"))


def tensor_path(program: Path, tensor: str) -> Path:
    """Return where the values of a tensor lie beside the file of its program."""
    return program.with_suffix(f".{tensor}.npy")


def float_path(program: Path) -> Path:
    """Return where the output in floats lies beside the file of its program, if there is one."""
    return program.with_suffix(".float.npy")
