"""`ageha bench attention --workload NAME`: layers and blocks with random weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...bench.attention import measure_job
from ...bench.fabnet import LENGTHS, WORKLOADS, measure_block
from ...bench.ita import ita_shapes, measure_ita
from ...bench.record import Case
from ...bench.shapes import SHAPES, shape_job
from ...hw.config import AcceleratorConfig
from ...sw.errors import CompileError
from ...verif.devices.library import MemorySettings
from ..console import step
from ..errors import input_errors, machine_errors
from ..simulator import simulator

ITA = "ita"


def bench_blocks(
    workload: str,
    lengths: Sequence[int] | None,
    config: AcceleratorConfig,
    settings: MemorySettings,
) -> list[tuple[dict[str, Any], Case]]:
    """Run every kind of block of a workload at every length, or at those it comes with.

    Raises
    ------
    InputError
        If the machine cannot run a block, or no simulator can be built.
    ResultError
        If a device stops.
    """
    with input_errors(ValueError):
        shapes = ita_shapes(lengths) if workload == ITA else []
    library = simulator(config)
    if workload == ITA:
        with _errors(), step(f"Running {ITA}"):
            return list(measure_ita(shapes, config, settings, library))
    if workload in SHAPES:
        return [
            _measure_shape(workload, length, config, settings, library)
            for length in lengths or SHAPES[workload].lengths
        ]
    runs = []
    for kind in WORKLOADS[workload]:
        for length in lengths or LENGTHS:
            with _errors(), step(f"Running {kind.name}, {length} tokens"):
                runs.append(measure_block(kind, length, config, settings, library))
    return runs


def _measure_shape(
    workload: str,
    length: int,
    config: AcceleratorConfig,
    settings: MemorySettings,
    library: Path,
) -> tuple[dict[str, Any], Case]:
    with _errors(), step(f"Compiling {workload}, {length} tokens"):
        job = shape_job(workload, length, config)
    with _errors(), step(f"Running {workload}, {length} tokens"):
        return measure_job(f"{workload} S={length}", job, settings, library)


@contextmanager
def _errors() -> Iterator[None]:
    with input_errors(CompileError), machine_errors():
        yield
