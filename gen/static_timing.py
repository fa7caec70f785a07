"""How long the paths of a flattened ECP5 netlist are, before it is placed.

Cells take what nextpnr says of an LFE5U-85F of speed grade 6, rounded. How long a wire is, only a
placement tells: each counts as `WIRE`, more if it drives many cells, and nothing within a carry
chain or a slice. What comes out is an estimate, in seconds instead of an hour and always the same;
it tells which paths are too long for a clock, not how fast a design runs.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from .placement import Timing, timing_of
from .synthesis import SynthesisError

WIRE = 0.9
"""Nanoseconds of a wire."""

FAN_OUT = ((200, 1.5), (40, 0.8), (8, 0.3))
"""Nanoseconds more of a wire that drives more inputs than so many, the most first."""


@dataclass(frozen=True)
class Arc:
    """A way through a cell.

    Parameters
    ----------
    inputs, outputs : str
        Regular expressions of port names.
    nanoseconds : float
    """

    inputs: str
    outputs: str
    nanoseconds: float


THROUGH: Mapping[str, tuple[Arc, ...]] = {
    "LUT4": (Arc("[ABCD]", "Z", 0.24),),
    "PFUMX": (Arc("ALUT|BLUT|C0", "Z", 0.17),),
    "L6MUX21": (Arc("D0|D1|SD", "Z", 0.17),),
    "CCU2C": (
        Arc("[ABCD]0", "S0|S1|COUT", 0.45),
        Arc("[ABCD]1", "S1|COUT", 0.45),
        Arc("CIN", "S0|S1", 0.44),
        Arc("CIN", "COUT", 0.07),
    ),
    "MULT18X18D": (Arc(r"[AB]\d+", r"P\d+", 3.9),),
    "TRELLIS_DPR16X4": (Arc("RAD", "DO", 0.24),),
}
"""Paths that go on through a cell. Multipliers are used without registers of their own."""

FROM_CLOCK: Mapping[str, Arc] = {
    "TRELLIS_FF": Arc("CLK", "Q", 0.52),
    "DP16KD": Arc("CLK[AB]", r"DO[AB]\d+", 5.6),
}
"""Cells at which a path begins."""

TO_CLOCK: Mapping[str, str] = {
    "TRELLIS_FF": "DI|CE|LSR",
    "DP16KD": r"(?:AD|DI)[AB]\d+|(?:CE|OCE|WE|RST)[AB]|CS[AB]\d+",
    "TRELLIS_DPR16X4": "DI|WAD|WRE",
}
"""Ports at which a path ends."""

_IN_SLICE = {"PFUMX": ("LUT4", "PFUMX"), "L6MUX21": ("PFUMX", "L6MUX21")}
"""Multiplexers, and what drives them over no wire."""

_NAMES_ONLY = "$scopeinfo"


@dataclass(frozen=True)
class Estimate:
    """The paths of a design.

    Parameters
    ----------
    longest : Timing
        The longest path, and the clock that it allows.
    delays : mapping of str to float
        Nanoseconds of the longest path to each cell at which paths end.
    """

    longest: Timing
    delays: Mapping[str, float]

    def slower(self, nanoseconds: float) -> Counter[str]:
        """Return how many cells in each instance are at the end of a longer path."""
        late = (name for name, delay in self.delays.items() if delay > nanoseconds)
        return Counter(name.rpartition(".")[0] for name in late)


def estimate(netlist: Path, top: str) -> Estimate:
    """Return the paths of a flattened netlist.

    Parameters
    ----------
    netlist : Path
        JSON that yosys wrote.
    top : str
        Its module.

    Raises
    ------
    SynthesisError
        If there is a cell whose delay is not known, a loop without a register, or no path.
    """
    cells = json.loads(netlist.read_text(encoding="utf-8"))["modules"][top]["cells"]
    return _Paths(cells).estimate()


@dataclass(frozen=True)
class _Driver:
    """What drives a net: a cell, its type and port, and the nets that it waits for."""

    cell: str
    kind: str
    port: str
    inputs: tuple[tuple[int, float], ...]
    nanoseconds: float = 0.0


class _Paths:
    """The nets of a design, and when their values arrive after a clock edge."""

    def __init__(self, cells: Mapping[str, Any]) -> None:
        self._cells = {name: cell for name, cell in cells.items() if cell["type"] != _NAMES_ONLY}
        self._drivers: dict[int, _Driver] = {}
        self._arrivals: dict[int, float] = {}
        self._before: dict[int, int] = {}
        for name, cell in self._cells.items():
            if cell["type"] not in {**THROUGH, **FROM_CLOCK}:
                raise SynthesisError(f"{name} is a cell {cell['type']}, whose delay is not known")
            for driver, net in _drivers(name, cell):
                self._drivers[net] = driver

    @cached_property
    def _loads(self) -> Counter[int]:
        loads = Counter(net for driver in self._drivers.values() for net, _ in driver.inputs)
        loads.update(net for _, net in self._ends())
        return loads

    def _ends(self) -> Iterator[tuple[str, int]]:
        for name, cell in self._cells.items():
            if cell["type"] in TO_CLOCK:
                for net in _nets(cell, TO_CLOCK[cell["type"]]):
                    yield name, net

    def estimate(self) -> Estimate:
        delays: dict[str, float] = {}
        worst: tuple[float, str, int] | None = None
        for name, net in self._ends():
            delay = self._arrive(net) + self._last_wire(name, net)
            delays[name] = max(delay, delays.get(name, 0.0))
            if net in self._before and (worst is None or delay > worst[0]):
                worst = delay, name, net
        if worst is None:
            raise SynthesisError("the netlist has no path from a register through logic to another")
        return Estimate(self._timing(*worst), delays)

    def _arrive(self, net: int) -> float:
        """Return when the value of a net is there; that of a net which nothing drives at once."""
        waiting, open_nets = [net], set[int]()
        while waiting:
            current = waiting[-1]
            driver = self._drivers.get(current)
            if current in self._arrivals or driver is None:
                self._arrivals.setdefault(current, 0.0)
                waiting.pop()
                continue
            missing = [each for each, _ in driver.inputs if each not in self._arrivals]
            if missing and current in open_nets:
                raise SynthesisError(f"{driver.cell} is in a loop without a register")
            open_nets.add(current)
            if missing:
                waiting += missing
                continue
            waiting.pop()
            self._settle(current, driver)
        return self._arrivals[net]

    def _settle(self, net: int, driver: _Driver) -> None:
        latest = driver.nanoseconds
        for source, nanoseconds in driver.inputs:
            arrival = self._arrivals[source] + self._wire(source, driver) + nanoseconds
            if arrival > latest:
                latest = arrival
                self._before[net] = source
        self._arrivals[net] = latest

    def _wire(self, net: int, to: _Driver) -> float:
        source = self._drivers.get(net)
        if source is not None:
            if source.kind == to.kind == "CCU2C" and source.port == "COUT":
                return 0.0
            if source.kind in _IN_SLICE.get(to.kind, ()):
                return 0.0
        return self._long_wire(net)

    def _last_wire(self, cell: str, net: int) -> float:
        """Return what the wire to the end of a path takes: none to a flip-flop beside its logic."""
        beside = self._cells[cell]["type"] == "TRELLIS_FF" and self._loads[net] == 1
        return 0.0 if beside and net in self._before else self._long_wire(net)

    def _long_wire(self, net: int) -> float:
        return WIRE + next((more for many, more in FAN_OUT if self._loads[net] > many), 0.0)

    def _timing(self, nanoseconds: float, end: str, net: int) -> Timing:
        nets = [net]
        while nets[-1] in self._before:
            nets.append(self._before[nets[-1]])
        nets.reverse()
        arrivals = [0.0, *(self._arrivals[each] for each in nets), nanoseconds]
        cells = [*(self._cell(each) for each in nets), end]
        delays = (later - sooner for sooner, later in pairwise(arrivals))
        return timing_of(1000 / nanoseconds, cells[0], list(zip(cells, delays, strict=True)))

    def _cell(self, net: int) -> str:
        return self._drivers[net].cell if net in self._drivers else ""


def _nets(cell: Mapping[str, Any], ports: str) -> Iterator[int]:
    """Give the nets at the ports of a cell that a regular expression names; constants are none."""
    for port, bits in cell["connections"].items():
        if re.fullmatch(ports, port):
            yield from (bit for bit in bits if isinstance(bit, int))


def _drivers(name: str, cell: Mapping[str, Any]) -> Iterator[tuple[_Driver, int]]:
    """Give what a cell drives."""
    kind = cell["type"]
    start = FROM_CLOCK.get(kind)
    for port, bits in cell["connections"].items():
        arcs = [arc for arc in THROUGH.get(kind, ()) if re.fullmatch(arc.outputs, port)]
        begins = start is not None and re.fullmatch(start.outputs, port)
        if not arcs and not begins:
            continue
        inputs = tuple((net, arc.nanoseconds) for arc in arcs for net in _nets(cell, arc.inputs))
        nanoseconds = start.nanoseconds if start is not None else 0.0
        for net in bits:
            if isinstance(net, int):
                yield _Driver(name, kind, port, inputs, nanoseconds), net
