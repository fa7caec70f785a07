"""Everything that `ageha generate` writes for a configuration."""

import importlib.resources
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from ..hw.config import AcceleratorConfig
from .constraints import DEFAULT_PERIOD, constraint_files
from .files import write_json, write_text
from .header import isa_header
from .litex import LITEX, litex_module
from .manifest import manifest
from .packaging import CORE, VIVADO, fusesoc_core, vivado_script
from .registers import systemrdl, write_c_header, write_html
from .verilog import emit, header

TOP = "accelerator"
"""Name of the top module."""


def generate(
    config: AcceleratorConfig,
    component: wiring.Component,
    folder: Path,
    period: float = DEFAULT_PERIOD,
) -> dict[str, Any]:
    """Write the accelerator and what goes with it into `folder`.

    ``accelerator.v`` and ``lint.vlt`` (waivers for ``verilator -Wall``), ``registers.rdl`` with
    ``ageha_registers.h`` and ``registers/index.html``, ``ageha_isa.h``, the files of
    ``constraints/``, ``accelerator.core`` (FuseSoC), ``vivado/package_ip.tcl``,
    ``litex/ageha_litex.py``, and ``manifest.json``, which names the others and is written last.

    Parameters
    ----------
    config : AcceleratorConfig
        The parameters that `component` was made with.
    component : wiring.Component
        The accelerator. It cannot be elaborated again.
    folder : Path
        Made if absent; files of the same name are replaced.
    period : float
        Nanoseconds of the clock in the constraints, 1 to 1000.

    Returns
    -------
    dict
        The content of ``manifest.json``.

    Raises
    ------
    ConfigError
        If the period is out of range.
    OSError
        If a file cannot be written.
    """
    texts = {f"constraints/{name}": text for name, text in constraint_files(period).items()}
    texts |= {CORE: fusesoc_core(TOP), VIVADO: vivado_script(TOP)}
    texts[LITEX] = litex_module(config, TOP)
    verilog = emit(component, TOP)
    write_text(folder / f"{TOP}.v", f"{header(config)}\n{verilog.text}")
    waivers = importlib.resources.files(__package__).joinpath("lint.vlt").read_text("utf-8")
    write_text(folder / "lint.vlt", waivers)
    registers = systemrdl(config)
    write_text(folder / "registers.rdl", registers)
    write_c_header(registers, folder / "ageha_registers.h")
    write_html(registers, folder / "registers")
    write_text(folder / "ageha_isa.h", isa_header(config))
    for name, text in texts.items():
        write_text(folder / name, text)
    content = manifest(config, verilog, folder)
    write_json(folder / "manifest.json", content)
    return content
