"""The AXI4-Lite slave that implements the register map."""

from collections.abc import Iterator

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiLiteSignature
from .config import AcceleratorConfig
from .counters import CounterReadSignature
from .register_bus import RegisterBus
from .registers import (
    ADDRESS_BITS,
    COUNTER_OFFSET,
    DATA_BITS,
    Access,
    Field,
    Register,
    register_map,
)


def port_name(register: Register, field: Field) -> str:
    """Return the name of the port of `field`."""
    return f"{register.name}_{field.name}"


def _ports(register: Register) -> Iterator[tuple[str, object]]:
    for field in register.fields:
        name = port_name(register, field)
        if field.access is Access.READ_WRITE:
            yield name, Out(field.width)
        elif field.access is Access.WRITE_SET:
            yield name, Out(field.width)
            yield f"{name}_clear", In(field.width)
        elif field.access not in (Access.CONSTANT, Access.COUNTED):
            yield name, In(field.width)


class RegisterFile(wiring.Component):
    """Holds what the host writes and shows what the hardware tells.

    Parameters
    ----------
    config : AcceleratorConfig
        Chooses the registers: those of `hw.registers.register_map`.

    Members
    -------
    s_axi : AXI4-Lite, seen from the slave
        Addresses without a register read as zero and ignore writes; every answer is OKAY.
    interrupt : high while it is enabled and an event is noted.
    counters : `CounterReadSignature`, of the `COUNTED` fields
    forget : drops all events, that is, clears `READ_CLEAR` and `WRITE_TOGGLE` fields.
    <register>_<field> : one member a field that is no constant and not counted
        The value of a `READ_WRITE` or `WRITE_SET` field is an output, that of a `READ_ONLY` field
        an input. `READ_CLEAR` and `WRITE_TOGGLE` fields have an input that sets them, and an
        event in the cycle of the host's access is not lost. Interrupt status notes only
        events that are enabled.
    <register>_<field>_clear : clears a `WRITE_SET` field.

    Latency and throughput: those of `hw.register_bus.RegisterBus`; counters add their own.
    Source: AMD UG1399, Vitis HLS, "S_AXILITE control register map".
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._registers = register_map(config)
        members = {
            "s_axi": In(AxiLiteSignature(ADDRESS_BITS, DATA_BITS)),
            "interrupt": Out(1),
            "counters": Out(CounterReadSignature()),
            "forget": In(1),
        }
        for register in self._registers:
            members.update(_ports(register))
        super().__init__(members)

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    @property
    def registers(self) -> tuple[Register, ...]:
        """The register map."""
        return self._registers

    def elaborate(self, platform: object) -> Module:
        """Return the slave."""
        m = Module()
        m.submodules.bus = bus = RegisterBus(ADDRESS_BITS)
        wiring.connect(m, wiring.flipped(self.s_axi), bus.s_axi)
        held = [
            register
            for register in self.registers
            if all(field.access is not Access.COUNTED for field in register.fields)
        ]
        values = {
            register.name: [self._implement(m, bus, register, field) for field in register.fields]
            for register in held
        }
        m.d.comb += bus.answered.eq(1)
        with m.Switch(bus.read_word):
            for register in held:
                with m.Case(register.offset // 4):
                    for field, value in zip(register.fields, values[register.name], strict=True):
                        bits = bus.read_data[field.low : field.low + field.width]
                        m.d.comb += bits.eq(value)
        self._count(m, bus)
        noted = Cat(values["interrupt_status"]).any()
        m.d.sync += self.interrupt.eq(self.global_interrupt_enable_enable & noted)
        return m

    def _count(self, m: Module, bus: RegisterBus) -> None:
        """Let the counters answer for their registers: two words a place, low half first."""
        port = self.counters
        word_bits = len(port.place) + 1
        m.d.comb += [port.high.eq(bus.read_word[0]), port.place.eq(bus.read_word[1:word_bits])]
        with m.If(bus.read_word[word_bits:] == (COUNTER_OFFSET // 4) >> word_bits):
            m.d.comb += [
                port.valid.eq(bus.read),
                bus.answered.eq(port.ready),
                bus.read_data.eq(port.half),
            ]

    def _implement(self, m: Module, bus: RegisterBus, register: Register, field: Field) -> Value:
        """Build one field and return what the host reads."""
        if field.access is Access.CONSTANT:
            return Const(field.reset, field.width)
        name = port_name(register, field)
        port = getattr(self, name)
        if field.access is Access.READ_ONLY:
            return port
        word = register.offset // 4
        bits = slice(field.low, field.low + field.width)
        selected = bus.write & (bus.write_word == word)
        mask = bus.write_mask[bits] & selected.replicate(field.width)
        written = bus.write_data[bits] & mask
        if field.access is Access.READ_WRITE:
            m.d.sync += port.eq((port & ~mask) | written)
            return port
        if field.access is Access.WRITE_SET:
            m.d.sync += port.eq((port & ~getattr(self, f"{name}_clear")) | written)
            return port
        event = Signal(field.width, name=f"{name}_event")
        if field.access is Access.READ_CLEAR:
            seen = (bus.read & (bus.read_word == word)).replicate(field.width)
            following = (event & ~seen) | port
        else:
            enabled = getattr(self, f"interrupt_enable_{field.name}")
            following = (event ^ written) | (port & enabled)
        m.d.sync += event.eq(Mux(self.forget, 0, following))
        return event
