"""`ageha bench attention --workload fnet|fabnet-base`: blocks with Fourier mixing."""

from collections.abc import Sequence
from typing import Any

from ...bench.execute import build_library
from ...bench.fabnet import WORKLOADS, measure_block
from ...bench.record import Case
from ...hw.config import AcceleratorConfig
from ...sw.errors import CompileError
from ...verif.devices.library import MemorySettings
from ...verif.verilator import VerilatorError
from ..console import step
from ..errors import input_errors, machine_errors


def bench_blocks(
    workload: str, lengths: Sequence[int], config: AcceleratorConfig, settings: MemorySettings
) -> list[tuple[dict[str, Any], Case]]:
    """Run every kind of block of a workload at every length.

    Raises
    ------
    InputError
        If the machine cannot run a block, or no simulator can be built.
    ResultError
        If a device stops.
    """
    with input_errors(VerilatorError), step(f"Building the simulator of {config.name}"):
        library = build_library(config)
    runs = []
    for kind in WORKLOADS[workload]:
        for length in lengths:
            with (
                input_errors(CompileError),
                machine_errors(),
                step(f"Running {kind.name}, {length} tokens"),
            ):
                runs.append(measure_block(kind, length, config, settings, library))
    return runs
