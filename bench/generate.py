"""How long generation takes, what comes out, and what it needs of an FPGA."""

import time
from pathlib import Path
from typing import Any

from ..gen.generate import TOP, generate
from ..gen.synthesis import Target
from ..hw.accelerator import Accelerator
from ..hw.config import AcceleratorConfig
from .resources import Unit, emit_unit, part_records, resource_keys, synthesise_verilog


def generate_design(config: AcceleratorConfig, folder: Path) -> dict[str, Any]:
    """Generate the accelerator of `config` in `folder` and return a record of it.

    Returns
    -------
    dict
        ``bench``, ``preset``, ``case``, ``seconds`` (wall clock), ``verilog_lines``, ``modules``
        (distinct ones) and ``instances`` (of each module).
    """
    start = time.monotonic()
    manifest = generate(config, Accelerator(config), folder)
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
