"""How well whole encoder layers use the machine, at several lengths."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..verif.devices.library import MemorySettings
from .embedding import compare_embeddings
from .execute import run_golden, run_rtl
from .measure import measure
from .minilm import Job, MiniLm
from .operators import boundary_gaps
from .record import Case

LENGTHS = (32, 128, 256)
"""Tokens, up to the limit of the model."""

TEXT = (
    "Swallowtails are large, colourful butterflies of more than five hundred and fifty species. "
    "Most of them are tropical, but members of the family live on every continent except "
    "Antarctica. The hind wing often carries a tail, which gave the family its name, and the "
    "caterpillar pushes out a forked, strongly smelling organ behind its head when a bird comes "
    "too close. In spring the adults leave the chrysalis, dry their wings for an hour in the "
    "morning sun, and set off to look for nectar and for each other."
)
"""The input; it is cut or repeated to the length."""


def case_name(mini: MiniLm, length: int) -> str:
    """Return the name of a measurement; layer 0 alone goes without saying."""
    layers = "" if mini.layers == (0,) else f" layers {','.join(map(str, mini.layers))}"
    return f"minilm{' all' if mini.is_whole else layers} S={length}"


def measure_layer(
    mini: MiniLm, length: int, settings: MemorySettings, library: Path
) -> tuple[dict[str, Any], Case]:
    """Run the layers of `mini` on `length` tokens on both devices; returns as `measure_job`.

    Raises
    ------
    CompileError
        If the machine cannot run it.
    """
    return measure_job(case_name(mini, length), mini.job(TEXT, length=length), settings, library)


def measure_job(
    name: str, job: Job, settings: MemorySettings, library: Path
) -> tuple[dict[str, Any], Case]:
    """Run `job` on both devices.

    Returns
    -------
    dict
        ``bench, preset, case, cycles, ideal_cycles, utilization, roofline_cycles, array_busy,
        bytes_moved, compulsory_bytes, predicted_cycles, cosine, mismatches, boundary_gaps,
        operators, embedding_cosine``. `utilization` is the model's multiply-adds over processing
        elements, divided by all cycles; `boundary_gaps` are the cycles without work for the array
        between one layer and the next.
    Case
        Everything else that is known of the run.
    """
    golden = run_golden(job.program, job.inputs)
    rtl = run_rtl(job.program, job.inputs, settings, library)
    case = measure(
        name,
        job.program,
        rtl,
        golden=golden,
        tokens=job.tokens[0],
        reference=job.reference,
        embeddings=compare_embeddings(job, rtl.outputs),
    )
    record = {
        "bench": "attention",
        "preset": job.program.config.name,
        "case": case.name,
        "cycles": case.cycles,
        "ideal_cycles": case.ideal_cycles,
        "utilization": round(case.utilization, 4),
        "roofline_cycles": case.roofline_cycles,
        "array_busy": round(case.busy["array"] / case.cycles, 4),
        "bytes_moved": case.bytes_read + case.bytes_written,
        "compulsory_bytes": case.compulsory_bytes,
        "predicted_cycles": case.predicted_cycles,
        "cosine": round(case.mean_cosine or 0.0, 6),
        "mismatches": case.mismatches,
        "boundary_gaps": boundary_gaps(case),
        "operators": [asdict(operator) for operator in case.operators],
        "embedding_cosine": case.embeddings[0].cosine if case.embeddings else None,
    }
    return record, case
