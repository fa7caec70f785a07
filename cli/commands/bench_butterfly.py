"""`ageha bench butterfly`: butterfly products and Fourier transforms on the simulated Verilog."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ...bench.butterfly import SIZES, TILES, ButterflyCase, TooLargeError, fits, measure_butterfly
from ...bench.butterfly_compare import (
    DENSE_SIZES,
    FABNET_LENGTHS,
    fabnet_layers,
    measure_dense,
    measure_fabnet,
)
from ...bench.butterfly_memory import MEMORY_MODES, measure_memory
from ...bench.butterfly_traffic import measure_traffic
from ...hw.config import AcceleratorConfig
from ...hw.isa import Axis
from ...sw.errors import CompileError
from ..console import messages, output, step
from ..errors import InputError, ResultError, input_errors, machine_errors
from ..options import ConfigFile, JsonFile, Preset, Settings, machine
from ..output import require_writable, write_json
from ..simulator import simulator

COMMON = ("case", "cycles", "ideal_cycles", "utilization")
COLUMNS = {
    "resident": (*COMMON, "pass_efficiency", "snr_db", "fp16_snr_db"),
    "memory": (*COMMON, "read_cycles", "write_cycles", "multiply_cycles", "predicted_cycles"),
    "dense": (*COMMON, "dense_cycles", "speedup", "ideal_speedup"),
    "fabnet": (*COMMON, "cycles_at_640", "reference_cycles", "speedup"),
    "transposition": (
        "case",
        "cycles",
        "read_lines",
        "needed_lines",
        "written_words",
        "needed_words",
        "extra_bytes",
    ),
}
LIMITS = 4, 8192
TOKENS = 64
MEMORY_TOKENS = 1024
TRAFFIC_SIZES = (64, 256, 512)


class StudyChoice(Enum):
    """What `bench butterfly` measures."""

    RESIDENT = "resident"
    MEMORY = "memory"
    DENSE = "dense"
    FABNET = "fabnet"
    TRANSPOSITION = "transposition"


class ModeChoice(Enum):
    """What `bench butterfly` transforms."""

    BPMM = "bpmm"
    FFT = "fft"
    IFFT = "ifft"
    HIERARCHICAL = "hierarchical"
    MIXING = "mixing"


MODES_OF = {
    StudyChoice.RESIDENT: ("bpmm", "fft", "ifft", "hierarchical"),
    StudyChoice.MEMORY: MEMORY_MODES,
}
"""The modes of the studies that have several."""


class AxisChoice(Enum):
    """Along which axis of a matrix [tokens, hidden]."""

    HIDDEN = "hidden"
    TOKENS = "tokens"


def butterfly(
    mode: Annotated[
        list[ModeChoice] | None,
        typer.Option(
            help="bpmm, fft, ifft or hierarchical; bpmm, fft or mixing in the study memory. "
            "Repeatable.",
            metavar="MODE",
        ),
    ] = None,
    size: Annotated[
        list[int] | None,
        typer.Option("--n", help="Points: 4, 8, ... 8192. Repeatable.", metavar="N"),
    ] = None,
    axis: Annotated[
        list[AxisChoice] | None,
        typer.Option(help="hidden or tokens. Repeatable.", metavar="AXIS"),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(help="Vectors that are transformed, 1 to 4096; 64 by default.", metavar="T"),
    ] = None,
    instructions: Annotated[
        int,
        typer.Option(
            help="Equal instructions after each other in the study resident, 1 to 64.",
            metavar="COUNT",
        ),
    ] = 1,
    study: Annotated[
        StudyChoice,
        typer.Option(
            help="resident: operands in the scratchpad; memory: from DRAM and back; dense: beside "
            "dense products; fabnet: layers of FABNet-Base beside its published model; "
            "transposition: scratchpad traffic of both axes after each other.",
            metavar="resident|memory|dense|fabnet|transposition",
        ),
    ] = StudyChoice.RESIDENT,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Measure butterfly products and Fourier transforms.

    Cases that do not fit the scratchpad are left out; `--set scratchpad.bytes=4194304` holds most.
    Axes are those of the study `resident`, modes of `resident` and `memory`; `--tokens` are the
    lengths of sequences in `fabnet`, where they are 128 to 1024 unless given.
    """
    parameters = machine(preset, config, settings)
    require_writable("--json", json_file)
    if tokens is not None and not 1 <= tokens <= 4096:
        raise InputError(f"--tokens must be from 1 to 4096, not {tokens}")
    if not 1 <= instructions <= 64:
        raise InputError(f"--instructions must be from 1 to 64, not {instructions}")
    is_transform = study in (StudyChoice.FABNET, StudyChoice.TRANSPOSITION)
    if is_transform and tokens is not None and (tokens < 4 or tokens & (tokens - 1)):
        raise InputError(f"--tokens must be a power of two from 4 on for this study, not {tokens}")
    for points in size or ():
        if not LIMITS[0] <= points <= LIMITS[1] or points & (points - 1):
            raise InputError(f"--n must be a power of two from 4 to 8192, not {points}")
    for name in (choice.value for choice in mode or ()):
        if name not in MODES_OF.get(study, (name,)):
            raise InputError(
                f"--mode must be one of {', '.join(MODES_OF[study])} in the study {study.value}, "
                f"not {name}"
            )
    library = simulator(parameters)
    chosen = _Chosen(mode, size, axis, tokens, instructions)
    records = _STUDIES[study](chosen, parameters, library)
    if not records:
        raise InputError(f"--study {study.value}: nothing fits the scratchpad")
    columns = COLUMNS[study.value]
    table = Table(*columns)
    for record in records:
        table.add_row(*(str(record[name]) for name in columns))
    output.print(table)
    write_json("--json", json_file, records)
    wrong = [record["case"] for record in records if record.get("mismatches")]
    if wrong:
        raise ResultError(f"the Verilog differs from the golden model in {', '.join(wrong)}")


@dataclass(frozen=True)
class _Chosen:
    """What the user asked for."""

    modes: list[ModeChoice] | None
    sizes: list[int] | None
    axes: list[AxisChoice] | None
    tokens: int | None
    instructions: int

    def names(self, study: StudyChoice) -> Sequence[str]:
        """Return the modes of a study, or those of them that the user asked for."""
        return [choice.value for choice in self.modes] if self.modes else MODES_OF[study]


Records = list[dict[str, Any]]


def _resident(chosen: _Chosen, config: AcceleratorConfig, library: Path) -> Records:
    cases = [
        ButterflyCase(
            name, points, chosen.tokens or TOKENS, Axis[direction.name], chosen.instructions
        )
        for name in chosen.names(StudyChoice.RESIDENT)
        for direction in chosen.axes or AxisChoice
        for points in chosen.sizes or (TILES if name == "hierarchical" else SIZES)
    ]
    records = []
    for case in cases:
        if not fits(case, config):
            messages.print(f"{case.text} does not fit the scratchpad", markup=False)
            continue
        with input_errors(ValueError), machine_errors(), step(case.text):
            records.append(measure_butterfly(case, config, library))
    return records


def _each(
    cases: Iterable[tuple[str, Callable[[], dict[str, Any]]]],
) -> Records:
    """Measure what fits the scratchpad; tell of the others."""
    records = []
    for text, measure in cases:
        try:
            with machine_errors(), step(text):
                records.append(measure())
        except (CompileError, TooLargeError) as error:
            messages.print(f"{text}: {error}", markup=False)
        except ValueError as error:
            raise ResultError(str(error)) from None
    return records


def _memory(chosen: _Chosen, config: AcceleratorConfig, library: Path) -> Records:
    tokens = chosen.tokens or MEMORY_TOKENS
    return _each(
        (
            f"{mode} {tokens} x {points} from DRAM and back",
            partial(measure_memory, mode, tokens, points, config, library),
        )
        for mode in chosen.names(StudyChoice.MEMORY)
        for points in chosen.sizes or DENSE_SIZES
    )


def _dense(chosen: _Chosen, config: AcceleratorConfig, library: Path) -> Records:
    tokens = chosen.tokens or TOKENS
    return _each(
        (f"{points} x {points}", partial(measure_dense, points, tokens, config, library))
        for points in chosen.sizes or DENSE_SIZES
    )


def _fabnet(chosen: _Chosen, config: AcceleratorConfig, library: Path) -> Records:
    lengths = [chosen.tokens] if chosen.tokens else FABNET_LENGTHS
    return _each(
        (f"S={tokens}, {layer.name}", partial(measure_fabnet, layer, tokens, config, library))
        for tokens in lengths
        for layer in fabnet_layers(tokens)
    )


def _transposition(chosen: _Chosen, config: AcceleratorConfig, library: Path) -> Records:
    tokens = chosen.tokens or TOKENS
    return _each(
        (
            f"{tokens} tokens, {points} features",
            partial(measure_traffic, tokens, points, config, library),
        )
        for points in chosen.sizes or TRAFFIC_SIZES
    )


_STUDIES = {
    StudyChoice.RESIDENT: _resident,
    StudyChoice.MEMORY: _memory,
    StudyChoice.DENSE: _dense,
    StudyChoice.FABNET: _fabnet,
    StudyChoice.TRANSPOSITION: _transposition,
}
