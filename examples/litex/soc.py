"""A RISC-V processor that drives the accelerator, as a LiteX SoC: Verilog and firmware.

    make litex
    ageha generate --preset ulx3s -o build/rtl
    ageha compile digits --preset ulx3s -o build/prog
    build/litex/.venv/bin/python examples/litex/soc.py -o build/soc build/rtl build/prog/digits

runs in LiteX's own environment, which has no Ageha. `soc.v` is the SoC, `parts.v` what it is made
of; beside them are the contents of its memories, which a simulator reads from the folder that it
runs in. The firmware is compiled by the clang of the package ziglang.
"""

import argparse
import contextlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from litex.build.generic_platform import GenericPlatform, Pins, Subsignal
from litex.gen import LiteXModule
from litex.soc.integration import export
from litex.soc.integration.common import get_mem_data
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCCore
from migen import ClockDomain

TOP = "soc"
CLOCK_HZ = 1_000_000
BAUD = CLOCK_HZ // 4
ROM_BYTES = 64 << 10
STACK_BYTES = 8 << 10
MEMORY_BYTES = 128 << 10
UART_BYTES = 256
"""An input may come while the processor still writes an output: the queue holds it."""

ACCELERATOR = 0x9000_0000
"""In the region that the processor does not cache."""

PORTS = [
    ("clock", 0, Pins(1)),
    ("reset", 0, Pins(1)),
    ("serial", 0, Subsignal("tx", Pins(1)), Subsignal("rx", Pins(1))),
]

HERE = Path(__file__).resolve().parent
DRIVER = HERE.parent.parent / "sw" / "c"
BARE_METAL = HERE.parent / "c" / "bare_metal.c"
SOURCES = (HERE / "start.S", HERE / "firmware.c", BARE_METAL, *sorted(DRIVER.glob("*.c")))
TARGET = ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m")
FLAGS = ("-std=c99", "-Os", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib")


class Clocking(LiteXModule):
    """Clock and reset from pins."""

    def __init__(self, clock, reset):
        self.cd_sys = ClockDomain()
        self.comb += [self.cd_sys.clk.eq(clock), self.cd_sys.rst.eq(reset)]


class AcceleratedSoC(SoCCore):
    """VexRiscv without data cache, memories, a serial line, the accelerator as slave and master.

    Parameters
    ----------
    platform : litex.build.generic_platform.GenericPlatform
        With the pins `clock`, `reset` and `serial`.
    core : Path
        What `ageha generate` wrote.
    """

    def __init__(self, platform, core):
        super().__init__(
            platform,
            CLOCK_HZ,
            cpu_type="vexriscv",
            cpu_variant="lite",
            bus_standard="axi",
            integrated_rom_size=ROM_BYTES,
            integrated_sram_size=STACK_BYTES,
            integrated_main_ram_size=MEMORY_BYTES,
            uart_baudrate=BAUD,
            uart_fifo_depth=UART_BYTES,
            with_timer=False,
        )
        self.crg = Clocking(platform.request("clock"), platform.request("reset"))
        self.add_accelerator(load_module(core / "litex" / "ageha_litex.py").Ageha(platform))

    def add_accelerator(self, accelerator):
        """Connect registers, memory and interrupt."""
        region = SoCRegion(origin=ACCELERATOR, size=accelerator.SIZE, cached=False)
        self.ageha = accelerator
        self.bus.add_slave("ageha", accelerator.registers, region)
        self.bus.add_master("ageha", accelerator.memory)
        self.irq.add("ageha", use_loc_if_exists=True)


def load_module(path):
    """Return the Python module in a file."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def write_headers(soc, program, folder):
    """Write what the firmware must know: registers and memories of the SoC, and the program.

    `ageha compile` puts the program's name before each constant; the firmware calls it MODEL.
    """
    header = export.get_csr_header(soc.csr_regions, soc.constants, with_access_functions=False)
    (folder / "csr.h").write_text(header)
    (folder / "regions.ld").write_text(export.get_linker_regions(soc.bus.regions))
    text = program.with_suffix(".h").read_text()
    name = re.search(r"(\w+)_PARAMETER_HASH", text)[1]
    (folder / "model.h").write_text(re.sub(rf"\b{name}_", "MODEL_", text))
    shutil.copyfile(program.with_suffix(".prog"), folder / "model.prog")


def compile_firmware(soc, core, folder):
    """Compile the firmware and return its image."""
    memory = soc.bus.regions["main_ram"]
    places = {
        "ACCELERATOR_ADDRESS": f"{ACCELERATOR:#x}u",
        "MEMORY_ADDRESS": f"{memory.origin:#x}u",
        "MEMORY_BYTES": f"{memory.size:#x}u",
    }
    defines = [f"-D{name}={value}" for name, value in places.items()]
    includes = [f"-I{path}" for path in (folder, core.resolve(), DRIVER)]
    zig = [sys.executable, "-m", "ziglang"]
    link = ["-Wl,--gc-sections", "-T", HERE / "firmware.ld", "-o", "firmware.elf"]
    command = [*zig, "cc", *TARGET, *FLAGS, *defines, *includes, *SOURCES, *link]
    subprocess.run(command, cwd=folder, check=True)
    subprocess.run(
        [*zig, "objcopy", "-O", "binary", "firmware.elf", "firmware.bin"], cwd=folder, check=True
    )
    return folder / "firmware.bin"


def main():
    """Write the SoC and its firmware."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("core", type=Path, help="folder that `ageha generate` wrote")
    parser.add_argument("program", type=Path, help="what `ageha compile` wrote, without suffix")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    arguments = parser.parse_args()
    folder = arguments.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    platform = GenericPlatform("simulation", PORTS, name=TOP)
    soc = AcceleratedSoC(platform, arguments.core)
    soc.finalize()
    write_headers(soc, arguments.program, folder)
    image = compile_firmware(soc, arguments.core, folder)
    words = get_mem_data(str(image), data_width=32, endianness="little")
    # Its size stays, so that the Verilog is the same whatever the firmware.
    soc.init_rom("rom", words, auto_size=False)
    with contextlib.chdir(folder):
        platform.get_verilog(soc, name=TOP).write(f"{TOP}.v")
    sources = [Path(source).read_text() for source, *_ in platform.sources]
    (folder / "parts.v").write_text("\n".join(sources))


if __name__ == "__main__":
    main()
