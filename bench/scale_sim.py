"""The reference of dense products: SCALE-Sim 3.0.0, or its closed formulas.

SCALE-Sim (Raj et al., arXiv 2504.15377) needs an older NumPy, so that it runs in an environment of
its own, which `make scale-sim` makes. Without it the formulas count, which equal it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..hw.config import ArrayConfig
from ..sw.cache import build_root
from ..sw.sparsity.dataflow import Dataflow

VERSION = "SCALE-Sim 3.0.0"
FORMULA = "formula"

FLOW_NAMES = {
    Dataflow.DENSE_OUTPUT: "os",
    Dataflow.DENSE_WEIGHT: "ws",
    Dataflow.DENSE_INPUT: "is",
}

Shape = tuple[int, int, int]
"""m, n and k."""


class ScaleSimError(RuntimeError):
    """SCALE-Sim is installed, and failed."""


def environment() -> Path | None:
    """Return the Python of SCALE-Sim's environment, or None if it is not installed."""
    python = build_root() / "scale-sim" / ".venv" / "bin" / "python"
    return python if python.exists() else None


def folds(flow: Dataflow, shape: Shape, array: ArrayConfig) -> int:
    """Return how often the array is filled: folds follow one another without overlap."""
    m, n, k = shape
    sides = {
        Dataflow.DENSE_OUTPUT: (m, n),
        Dataflow.DENSE_WEIGHT: (k, n),
        Dataflow.DENSE_INPUT: (k, m),
    }
    first, second = sides[flow]
    return -(-first // array.rows) * -(-second // array.columns)


def formula(flow: Dataflow, shape: Shape, array: ArrayConfig) -> int:
    """Return SCALE-Sim's "Total Cycles" of one product."""
    m, n, k = shape
    stays = array.rows if flow != Dataflow.DENSE_OUTPUT else 0
    streamed = {
        Dataflow.DENSE_OUTPUT: k,
        Dataflow.DENSE_WEIGHT: m,
        Dataflow.DENSE_INPUT: n,
    }[flow]
    fold = stays + array.rows + array.columns + streamed - 2
    return folds(flow, shape, array) * fold - 1


def reference_cycles(
    flow: Dataflow, shapes: Sequence[Shape], array: ArrayConfig
) -> tuple[list[int], str]:
    """Return the cycles of each product, and what counted them: `VERSION` or `FORMULA`.

    Raises
    ------
    ScaleSimError
        If SCALE-Sim is installed and does not run.
    """
    python = environment()
    if python is None:
        return [formula(flow, shape, array) for shape in shapes], FORMULA
    job = {
        "rows": array.rows,
        "columns": array.columns,
        "flow": FLOW_NAMES[flow],
        "shapes": list(shapes),
    }
    driver = Path(__file__).with_name("scale_sim_driver.py").absolute()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, driver],
            input=json.dumps(job),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ScaleSimError(f"{VERSION}: {last}")
    return json.loads(done.stdout), VERSION
