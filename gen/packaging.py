"""Descriptions of the accelerator as a core for FuseSoC and as an IP for Vivado."""

from ..hw.registers import ADDRESS_BITS
from .constraints import CLOCK, PROCESSOR_BOARDS
from .verilog import version

CORE = "accelerator.core"
VIVADO = "vivado/package_ip.tcl"

VENDOR, LIBRARY = "ageha", "attention"

_PARTS = {"pynq_z2": "xc7z020clg400-1", "kv260": "xck26-sfvc784-2LV-c"}

RESET, INTERRUPT = "rst", "interrupt"
REGISTERS, MEMORY = "s_axi", "m_axi"


def fusesoc_core(top: str) -> str:
    """Return the core file: targets that lint the Verilog and that synthesise it.

    Parameters
    ----------
    top : str
        Name of the top module; its source is the file of that name.
    """
    boards = "".join(
        f"""
  {board.name}:
    description: Synthesis with Vivado for {board.title}
    default_tool: vivado
    filesets: [rtl, {board.name}]
    tools:
      vivado:
        part: {_PARTS[board.name]}
        pnr: none
    toplevel: {top}
"""
        for board in PROCESSOR_BOARDS.values()
    )
    constraints = "".join(
        f"""
  {name}:
    files:
      - constraints/{name}/{name}.xdc: {{file_type: xdc}}
"""
        for name in PROCESSOR_BOARDS
    )
    return f"""CAPI=2:

name: {VENDOR}:{LIBRARY}:{top}:{version()}
description: Attention accelerator with AXI4-Lite registers and an AXI4 memory master

filesets:
  rtl:
    files:
      - {top}.v: {{file_type: verilogSource}}

  waivers:
    files:
      - lint.vlt: {{file_type: vlt}}
{constraints}
targets:
  default:
    filesets: [rtl]
    toplevel: {top}

  lint:
    description: Verilator with all warnings
    default_tool: verilator
    filesets: [rtl, waivers]
    tools:
      verilator:
        mode: lint-only
        verilator_options: [-Wall]
    toplevel: {top}

  ecp5:
    description: Synthesis with yosys for ECP5
    default_tool: yosys
    filesets: [rtl]
    tools:
      yosys:
        arch: ecp5
        output_format: json
    toplevel: {top}
{boards}"""


def vivado_script(top: str) -> str:
    """Return the Tcl that packages the accelerator as an IP.

    Vivado infers the buses from the names of the ports; the script then ties them to the clock and
    the reset, and gives the registers their address range.

    Parameters
    ----------
    top : str
        Name of the top module; its source is the file of that name, one folder above the script.
    """
    size = 1 << ADDRESS_BITS
    return f"""# Packages the accelerator as an IP for Vivado's block designs:
#
#   vivado -mode batch -source package_ip.tcl
#
# The IP goes to the folder ip beside this script; add that folder to a project's IP repositories.
set here [file dirname [file normalize [info script]]]
set source [file join [file dirname $here] {top}.v]
set target [file join $here ip]

create_project -in_memory ageha_ip
add_files -norecurse $source
set_property top {top} [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir $target -vendor {VENDOR} -library {LIBRARY} -taxonomy /UserIP \\
    -import_files -force
set core [ipx::current_core]
set_property name {top} $core
set_property version {version().rpartition(".")[0]} $core
set_property display_name {{Ageha attention accelerator}} $core
set_property supported_families {{zynq Production zynquplus Production artix7 Production \\
    kintex7 Production virtexuplus Production}} $core

proc bus {{core name kind}} {{
    if {{[llength [ipx::get_bus_interfaces -quiet $name -of_objects $core]] == 0}} {{
        ipx::infer_bus_interface $name $kind $core
    }}
}}
ipx::infer_bus_interfaces xilinx.com:interface:aximm_rtl:1.0 $core
bus $core {CLOCK} xilinx.com:signal:clock_rtl:1.0
bus $core {RESET} xilinx.com:signal:reset_rtl:1.0
bus $core {INTERRUPT} xilinx.com:signal:interrupt_rtl:1.0
foreach name {{{REGISTERS} {MEMORY}}} {{
    if {{[llength [ipx::get_bus_interfaces -quiet $name -of_objects $core]] != 1}} {{
        error "Vivado has not inferred the bus $name"
    }}
    ipx::associate_bus_interfaces -busif $name -clock {CLOCK} $core
}}
ipx::associate_bus_interfaces -clock {CLOCK} -reset {RESET} $core
set reset [ipx::get_bus_interfaces {RESET} -of_objects $core]
set polarity [ipx::add_bus_parameter POLARITY $reset]
set_property value ACTIVE_HIGH $polarity

set map [ipx::get_memory_maps {REGISTERS} -of_objects $core]
if {{[llength $map] == 0}} {{
    set map [ipx::add_memory_map {REGISTERS} $core]
    set_property slave_memory_map_ref {REGISTERS} \\
        [ipx::get_bus_interfaces {REGISTERS} -of_objects $core]
}}
set block [lindex [ipx::get_address_blocks -quiet -of_objects $map] 0]
if {{$block eq ""}} {{
    set block [ipx::add_address_block registers $map]
}}
set_property range {size} $block
set_property width 32 $block
set_property usage register $block

ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
"""
