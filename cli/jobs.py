"""Run jobs on the devices that the user chose."""

import time
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
    ) -> "Devices":
        """Build the simulator if the choice needs one.

        Raises
        ------
        InputError
            If Verilator or g++ is missing.
        """
        return cls(choice, settings, simulator(config) if choice.rtl else None)

    def run(self, job: Job) -> tuple[Execution, Case]:
        """Run `job`; return what the device gave, the Verilog if there is a choice, and figures.

        Raises
        ------
        ResultError
            If a device stops.
        """
        golden: Execution | None = None
        rtl: Execution | None = None
        start = time.monotonic()
        tokens = sum(job.lengths)
        with machine_errors():
            if self.choice.golden:
                with step(f"Golden model, {tokens} tokens"):
                    golden = run_golden(job.program, job.inputs)
            if self.choice.rtl:
                with step(f"Verilog, {tokens} tokens"):
                    start = time.monotonic()
                    rtl = run_rtl(job.program, job.inputs, self.settings, self.library)
        main = rtl or golden
        assert main is not None
        case = measure(
            job.name,
            job.program,
            main,
            golden=golden if rtl else None,
            tokens=[token for tokens in job.tokens for token in tokens],
            reference=job.reference,
            embeddings=compare_embeddings(job, main.outputs),
            seconds=time.monotonic() - start,
        )
        return main, case
