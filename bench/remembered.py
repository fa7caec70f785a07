"""Runs on the simulated Verilog, kept by content: what was simulated once is not simulated again.

A simulation without random stalls always counts the same. The key covers the simulator, the
program, its inputs, and the sources of the golden model that results are compared with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from numpy.typing import NDArray

from .. import verif
from ..sw.cache import cached, digest, source_digest
from ..sw.program import Program
from ..verif.devices.library import MemorySettings
from .execute import run_golden, run_rtl
from .measure import mismatches

FILE = "run.json"


@dataclass(frozen=True)
class Counted:
    """What is kept of a run.

    Parameters
    ----------
    counters : mapping of str to int
        Those of the hardware.
    mismatches : int
        Elements of the outputs that differ from the golden model's.
    """

    counters: Mapping[str, int]
    mismatches: int


def remembered_run(program: Program, inputs: Mapping[str, NDArray], library: Path) -> Counted:
    """Return what the hardware counted in a run, from the folder of builds if it is known there.

    Errors as `sw.driver.run_program`; nothing is kept then, nor where that folder cannot be
    written.

    Parameters
    ----------
    program : Program
    inputs : mapping of str to array
    library : Path
        From `execute.build_library`.
    """

    def run() -> Counted:
        rtl = run_rtl(program, inputs, MemorySettings(), library)
        golden = run_golden(program, inputs)
        return Counted(dict(rtl.counters), mismatches(rtl.outputs, golden.outputs)[0])

    def build(folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(run())))

    key = digest(
        sha256(library.read_bytes()).hexdigest(),
        sha256(program.to_bytes()).hexdigest(),
        sorted((name, sha256(values.tobytes()).hexdigest()) for name, values in inputs.items()),
        source_digest(Path(verif.__file__).parent),
    )
    try:
        return Counted(**json.loads((cached("runs", key, build) / FILE).read_text()))
    except OSError:
        return run()
