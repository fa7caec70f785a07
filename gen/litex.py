"""The accelerator as a peripheral of LiteX: a Python module beside the Verilog."""

from ..hw.axi import ID_BITS
from ..hw.config import AcceleratorConfig
from ..hw.registers import ADDRESS_BITS

LITEX = "litex/ageha_litex.py"


def litex_module(config: AcceleratorConfig, top: str) -> str:
    """Return the source of a module that LiteX can import.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the widths of the buses.
    top : str
        Name of the top module; its source is the file of that name, one folder above the module.
    """
    return f'''"""The accelerator in a LiteX SoC.

    accelerator = Ageha(platform)
    soc.submodules.ageha = accelerator
    soc.bus.add_slave("ageha", accelerator.registers, SoCRegion(size=Ageha.SIZE, cached=False))
    soc.dma_bus.add_master("ageha", accelerator.memory)    # or soc.bus.add_master
    soc.irq.add("ageha", use_loc_if_exists=True)
"""

from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.interconnect import axi
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal, Signal

SOURCE = Path(__file__).resolve().parent.parent / "{top}.v"

CHANNELS = {{
    "aw": ("addr", "prot"),
    "w": ("data", "strb"),
    "b": ("resp",),
    "ar": ("addr", "prot"),
    "r": ("data", "resp"),
}}
BURSTS = {{
    "aw": ("id", "len", "size", "burst", "cache"),
    "w": ("last",),
    "b": ("id",),
    "ar": ("id", "len", "size", "burst", "cache"),
    "r": ("id", "last"),
}}
REQUESTS = ("aw", "w", "ar")
BUS_ADDRESS_BITS = 32


def ports(prefix, bus, channels, master):
    """Return the connections of an AXI bus to ports with the prefix."""
    found = {{}}
    for name, payload in channels.items():
        channel = getattr(bus, name)
        sends = (name in REQUESTS) == master
        forward, backward = ("o", "i") if sends else ("i", "o")
        found[f"{{backward}}_{{prefix}}_{{name}}ready"] = channel.ready
        for signal in ("valid", *payload):
            found[f"{{forward}}_{{prefix}}_{{name}}{{signal}}"] = getattr(channel, signal)
    return found


class Ageha(LiteXModule):
    """The accelerator: `registers` is a slave, `memory` a master, the interrupt a level."""

    SIZE = 1 << {ADDRESS_BITS}

    def __init__(self, platform):
        self.registers = axi.AXILiteInterface(data_width=32, address_width=BUS_ADDRESS_BITS)
        self.memory = axi.AXIInterface(
            data_width={config.axi.data_width},
            address_width=BUS_ADDRESS_BITS,
            id_width={ID_BITS},
        )
        self.ev = EventManager()
        self.ev.done = EventSourceLevel()
        self.ev.finalize()
        full = {{name: (*CHANNELS[name], *BURSTS[name]) for name in CHANNELS}}
        connections = {{
            **ports("s_axi", self.registers, CHANNELS, master=False),
            **ports("m_axi", self.memory, full, master=True),
        }}
        # The buses of the SoC have 32 bits of address, those of the accelerator their own.
        for channel in ("aw", "ar"):
            port = f"i_s_axi_{{channel}}addr"
            connections[port] = connections[port][:{ADDRESS_BITS}]
            port = f"o_m_axi_{{channel}}addr"
            address = Signal({config.axi.address_width}, name=f"memory_{{channel}}addr")
            self.comb += connections[port].eq(address)
            connections[port] = address
        self.specials += Instance(
            "{top}",
            i_clk=ClockSignal("sys"),
            i_rst=ResetSignal("sys"),
            o_interrupt=self.ev.done.trigger,
            **connections,
        )
        platform.add_source(str(SOURCE))
'''
