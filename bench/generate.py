"""How long generation takes, what comes out, and what it needs of an FPGA."""

import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..gen.constraints import DEFAULT_PERIOD
from ..gen.flattened import flattened_resources
from ..gen.generate import TOP, generate
from ..gen.placement import PINS, Timing
from ..gen.static_timing import estimate
from ..gen.synthesis import Target
from ..hw.accelerator import Accelerator
from ..hw.config import AcceleratorConfig
from .resources import (
    Unit,
    emit_unit,
    flatten_verilog,
    part_records,
    place_verilog,
    resource_keys,
    synthesise_verilog,
)

PERIODS = (8, 10, 12.5, 15, 20)
"""Nanoseconds against which estimated paths are held: clocks of 125 to 50 MHz."""


def generate_design(
    config: AcceleratorConfig, folder: Path, period: float = DEFAULT_PERIOD
) -> dict[str, Any]:
    """Generate the accelerator of `config` in `folder` and return a record of it.

    Parameters
    ----------
    config : AcceleratorConfig
    folder : Path
    period : float
        Nanoseconds of the clock in the constraints, 1 to 1000.

    Returns
    -------
    dict
        ``bench``, ``preset``, ``case``, ``seconds`` (wall clock), ``verilog_lines``, ``modules``
        (distinct ones) and ``instances`` (of each module).
    """
    start = time.monotonic()
    manifest = generate(config, Accelerator(config), folder, period)
    seconds = time.monotonic() - start
    verilog = (folder / f"{TOP}.v").read_text(encoding="utf-8")
    return {
        "bench": "generate",
        "preset": config.name,
        "case": config.name,
        "seconds": round(seconds, 2),
        "verilog_lines": verilog.count("\n"),
        "modules": len(manifest["modules"]),
        "instances": manifest["modules"],
    }


def measure_resources(
    config: AcceleratorConfig, target: Target, unit: Unit = Unit.ACCELERATOR
) -> dict[str, Any]:
    """Synthesise a unit of the accelerator and return what it needs, as keys of a record.

    Returns
    -------
    dict
        ``target``, ``unit``, ``lut``, ``lutram``, ``ff``, ``dsp``, ``bram`` of the unit, and
        ``parts``: ``depth``, ``module``, ``instances`` and the same resources for every module in
        its place in the hierarchy.

    Raises
    ------
    SynthesisError
        If yosys is missing or gives no result.
    """
    synthesis = synthesise_verilog(emit_unit(config, unit), target)
    return {
        "target": target.name,
        "unit": unit.value,
        **resource_keys(synthesis.total),
        "parts": part_records(synthesis),
    }


def measure_flattened(
    config: AcceleratorConfig, unit: Unit = Unit.ACCELERATOR, depth: int = 2
) -> list[dict[str, Any]]:
    """Synthesise a unit flattened for an ECP5 and return what its instances need.

    Returns
    -------
    list of dict
        ``instance``, the path, and ``lut``, ``lutram``, ``ff``, ``dsp``, ``bram``; the largest
        first. The unit itself is an instance, and what surrounds it is the path ``pins``.

    Raises
    ------
    SynthesisError
        If yosys is missing or gives no result.
    """
    found = flattened_resources(flatten_verilog(emit_unit(config, unit)), PINS, depth)
    largest = sorted(found.items(), key=lambda each: (-each[1].lut, each[0]))
    return [{"instance": path, **resource_keys(needs)} for path, needs in largest]


def measure_timing(
    config: AcceleratorConfig, unit: Unit = Unit.ACCELERATOR, seed: int = 1
) -> dict[str, Any]:
    """Place and route a unit on an ECP5-85F and return what limits its clock.

    Returns
    -------
    dict
        ``fmax_mhz``, ``seed``, and ``critical_path``: ``start``, ``end`` (cells) and ``hops``, the
        ``instance`` and ``nanoseconds`` of each piece.

    Raises
    ------
    SynthesisError
        If a tool is missing or gives no result, as when the design does not fit.
    """
    timing = place_verilog(emit_unit(config, unit), seed)
    return {"fmax_mhz": timing.fmax_mhz, "seed": seed, "critical_path": _path_record(timing)}


def estimate_timing(config: AcceleratorConfig, unit: Unit = Unit.ACCELERATOR) -> dict[str, Any]:
    """Synthesise a unit flattened for an ECP5 and return how long its paths are before placement.

    Returns
    -------
    dict
        ``nanoseconds`` of the longest path, ``critical_path`` as `measure_timing`, ``endpoints``
        (cells at which paths end), and ``late``: for each of `PERIODS`, ``nanoseconds``, how many
        ``endpoints`` have a longer path, and ``instances``, these by instance, most first.

    Raises
    ------
    SynthesisError
        If yosys is missing or gives no result.
    """
    found = estimate(flatten_verilog(emit_unit(config, unit)), PINS)
    late = []
    for period in PERIODS:
        slower = found.slower(period)
        instances = dict(slower.most_common())
        late.append({"nanoseconds": period, "endpoints": slower.total(), "instances": instances})
    return {
        "nanoseconds": round(max(found.delays.values()), 2),
        "critical_path": _path_record(found.longest),
        "endpoints": len(found.delays),
        "late": late,
    }


def _path_record(timing: Timing) -> dict[str, Any]:
    hops = [asdict(hop) for hop in timing.path]
    return {"start": timing.start, "end": timing.end, "hops": hops}


def measure_clock(config: AcceleratorConfig, unit: Unit, placements: int) -> dict[str, Any]:
    """Place and route a unit several times, with the seeds from 1 on.

    Returns
    -------
    dict
        ``fmax_mhz``, the median, and ``fmax_mhz_by_seed``.

    Raises
    ------
    SynthesisError
        As `measure_timing`.
    """
    seeds = range(1, placements + 1)
    found = [measure_timing(config, unit, seed)["fmax_mhz"] for seed in seeds]
    return {"fmax_mhz": statistics.median(found), "fmax_mhz_by_seed": found}
