"""Run jobs on the devices that the user chose."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..bench.embedding import compare_embeddings
from ..bench.execute import Execution, run_golden, run_rtl
from ..bench.measure import measure
from ..bench.minilm import Job
from ..bench.record import Case
from ..hw.config import AcceleratorConfig
from ..verif.devices.library import MemorySettings
from .console import step
from .errors import machine_errors
from .simulator import simulator

_Timed = tuple[Execution, float]
"""A run and its seconds."""


class DeviceChoice(Enum):
    """What a run uses."""

    GOLDEN = "golden"
    RTL = "rtl"
    BOTH = "both"

    @property
    def golden(self) -> bool:
        """Whether the golden model runs."""
        return self is not DeviceChoice.RTL

    @property
    def rtl(self) -> bool:
        """Whether the Verilog runs."""
        return self is not DeviceChoice.GOLDEN


Device = Annotated[
    DeviceChoice,
    typer.Option(
        help="golden: the NumPy model; rtl: the simulated Verilog; both: compare them.",
        metavar="golden|rtl|both",
    ),
]

ModelFolder = Annotated[
    Path | None,
    typer.Option(
        help="Another encoder: a folder with config.json, model.safetensors and, for sentences, "
        "tokenizer.json; or an .onnx file.",
        metavar="PATH",
    ),
]

Weights = Annotated[
    Path | None,
    typer.Option(
        help="A checkpoint in place of the model's, such as one from `ageha sparsify`.",
        metavar="FILE",
    ),
]

Keep = Annotated[
    list[str] | None,
    typer.Option(
        help="Keep the N largest of every M inputs of the feed-forward contractions, such as 8:16, "
        "or of one, such as 3.contract=8:16. Repeatable.",
        metavar="N:M",
    ),
]


@dataclass(frozen=True)
class Devices:
    """The devices of a run.

    Parameters
    ----------
    choice : DeviceChoice
    settings : MemorySettings
    library : Path, optional
        The simulator; None without the Verilog.
    """

    choice: DeviceChoice
    settings: MemorySettings
    library: Path | None

    @classmethod
    def prepare(
        cls, choice: DeviceChoice, config: AcceleratorConfig, settings: MemorySettings
    ) -> Devices:
        """Build the simulator if the choice needs one.

        Raises
        ------
        InputError
            If Verilator or g++ is missing.
        """
        return cls(choice, settings, simulator(config) if choice.rtl else None)

    def run(self, jobs: Sequence[Job]) -> list[tuple[Execution, Case]]:
        """Run `jobs`; return what the device gave, the Verilog if there is a choice, and figures.

        Simulations run side by side, each on a core of its own.

        Raises
        ------
        ResultError
            If a device stops.
        """
        with machine_errors():
            golden = [self._golden(job) for job in jobs] if self.choice.golden else []
            rtl = self._simulate(jobs) if self.choice.rtl else []
        return [
            self._measured(job, golden[place] if golden else None, rtl[place] if rtl else None)
            for place, job in enumerate(jobs)
        ]

    def _golden(self, job: Job) -> _Timed:
        start = time.monotonic()
        with step(f"Golden model, {sum(job.lengths)} tokens"):
            found = run_golden(job.program, job.inputs)
        return found, time.monotonic() - start

    def _simulate(self, jobs: Sequence[Job]) -> list[_Timed]:
        """Return what the simulations give and how long each takes; the first error ends all."""
        cycles = sum(job.program.metadata["predicted_cycles"] for job in jobs)
        tokens = sum(sum(job.lengths) for job in jobs)
        stopped = threading.Event()
        with step(f"Verilog, {tokens} tokens", cycles) as show:
            progress = _Progress(show, stopped)

            def simulate(job: Job) -> _Timed:
                start = time.monotonic()
                found = run_rtl(job.program, job.inputs, self.settings, self.library, progress.add)
                return found, time.monotonic() - start

            # A simulation is C++, beside which Python runs on.
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                try:
                    return [future.result() for future in [pool.submit(simulate, j) for j in jobs]]
                except BaseException:
                    stopped.set()
                    pool.shutdown(cancel_futures=True)
                    raise

    def _measured(
        self, job: Job, golden: _Timed | None, rtl: _Timed | None
    ) -> tuple[Execution, Case]:
        main = rtl or golden
        assert main is not None
        execution, seconds = main
        case = measure(
            job.name,
            job.program,
            execution,
            golden=golden[0] if golden and rtl else None,
            tokens=[token for tokens in job.tokens for token in tokens],
            reference=job.reference,
            embeddings=compare_embeddings(job, execution.outputs),
            seconds=seconds,
        )
        return execution, case


class _Stopped(Exception):
    """Ends a simulation because another one failed, or the user wants no more."""


class _Progress:
    """Adds up the cycles of several simulations.

    Parameters
    ----------
    show : callable
        Takes their sum.
    stopped : threading.Event
        Once it is set, the simulations end.
    """

    def __init__(self, show: Callable[[float], None], stopped: threading.Event) -> None:
        self._show, self._stopped = show, stopped
        self._lock = threading.Lock()
        self._cycles = 0

    def add(self, cycles: int) -> None:
        """Note that a simulation has run so many cycles more."""
        if self._stopped.is_set():
            raise _Stopped
        with self._lock:
            self._cycles += cycles
            self._show(self._cycles)
