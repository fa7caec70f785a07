"""What a flattened netlist says of each instance."""

import json

import pytest

from ageha.gen.flattened import flattened_resources
from ageha.gen.synthesis import Resources, SynthesisError

CELLS = {
    "serial_LUT4_Z": "LUT4",
    "array.grid.product_MULT18X18D": "MULT18X18D",
    "array.grid.sum_CCU2C_A0": "CCU2C",
    "array.queue_TRELLIS_FF_Q": "TRELLIS_FF",
    "array.grid.names": "$scopeinfo",
    "vector.x_PFUMX_Z": "PFUMX",
}


def netlist(folder, cells):
    path = folder / "netlist.json"
    described = {name: {"type": kind} for name, kind in cells.items()}
    path.write_text(json.dumps({"modules": {"pins": {"cells": described}}}))
    return path


@pytest.mark.parametrize(
    ("depth", "array"),
    [
        (1, {"array": Resources(lut=2, ff=1, dsp=1)}),
        (2, {"array": Resources(ff=1), "array.grid": Resources(lut=2, dsp=1)}),
    ],
)
def test_cells_are_counted_where_their_names_say(depth, array, tmp_path):
    found = flattened_resources(netlist(tmp_path, CELLS), "pins", depth)
    assert found == {"pins": Resources(lut=1), "vector": Resources()} | array


def test_an_unknown_cell_is_refused(tmp_path):
    path = netlist(tmp_path, {"a.b": "MOTH"})
    with pytest.raises(SynthesisError, match=r"a\.b is a cell MOTH, unknown on ecp5"):
        flattened_resources(path, "pins", 1)
