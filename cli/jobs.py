"""Run jobs on the devices that the user chose."""

import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..bench.embedding import compare_embeddings
from ..bench.execute import Execution, build_library, run_golden, run_rtl
from ..bench.measure import measure
from ..bench.minilm import Job
from ..bench.record import Case
from ..hw.config import AcceleratorConfig
from ..verif.devices.library import MemorySettings
from ..verif.verilator import VerilatorError
from .console import step
from .errors import input_errors, machine_errors


class DeviceChoice(Enum):
    """What a run uses."""

    GOLDEN = "golden"
    RTL = "rtl"
    BOTH = "both"


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
        if choice is DeviceChoice.GOLDEN:
            return cls(choice, settings, None)
        text = f"Building the simulator of {config.name} (minutes, the first time)"
        with input_errors(VerilatorError), step(text):
            return cls(choice, settings, build_library(config))

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
            if self.choice is not DeviceChoice.RTL:
                with step(f"Golden model, {tokens} tokens"):
                    golden = run_golden(job.program, job.inputs)
            if self.choice is not DeviceChoice.GOLDEN:
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
