"""What a flattened design needs of an ECP5, by the names that its cells kept of the hierarchy.

Modules that yosys sees together share logic and lose what is constant in their place, so this is
what a device must have, and less than the modules one by one. A cell that serves two instances is
counted where its name says.
"""

import json
from collections import defaultdict
from pathlib import Path

from .synthesis import TARGETS, Resources, SynthesisError

_CELLS = TARGETS["ecp5"].cells
_NAMES_ONLY = "$scopeinfo"
"""A cell that holds the name of an instance and is no hardware."""


def flattened_resources(netlist: Path, top: str, depth: int) -> dict[str, Resources]:
    """Return what each instance needs, down to `depth` levels; instances below are in those above.

    Parameters
    ----------
    netlist : Path
        JSON that yosys wrote.
    top : str
        Its module. What lies in no instance is counted under this name.
    depth : int
        Names in a path: 1 for the instances in `top`.

    Raises
    ------
    SynthesisError
        If there is a cell of which it is not known what it takes.
    """
    cells = json.loads(netlist.read_text(encoding="utf-8"))["modules"][top]["cells"]
    found: defaultdict[str, Resources] = defaultdict(Resources)
    for name, cell in cells.items():
        if cell["type"] == _NAMES_ONLY:
            continue
        if cell["type"] not in _CELLS:
            raise SynthesisError(f"{name} is a cell {cell['type']}, unknown on ecp5")
        path = name.split(".")[:-1][:depth]
        found[".".join(path) or top] += _CELLS[cell["type"]]
    return dict(found)
