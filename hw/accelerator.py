"""The accelerator: registers, controller, units, scratchpad and the memory port."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi import Axi4Signature, AxiLiteSignature
from .butterfly import Butterfly
from .config import AcceleratorConfig
from .controller import Controller, TraceSignature, unit_name
from .counters import Counters
from .dataflows import operand_ports
from .isa import UNITS, Unit
from .load import Load
from .matmul import Matmul
from .read_arbiter import ReadArbiter
from .register_file import RegisterFile
from .registers import ADDRESS_BITS, COUNTERS, DATA_BITS
from .scratchpad import Scratchpad
from .store import Store
from .vector import Vector
from .window_table import WindowTable


def _traffic(
    scratchpad: Scratchpad, readers: Sequence[Unit], writers: Sequence[Unit]
) -> dict[str, Value]:
    """Return what the counters of lines read and of words written add in a cycle.

    `readers` and `writers` are the units of the clients of `scratchpad`.
    """
    events = scratchpad.events
    increments: dict[str, Value] = {}
    for unit in UNITS:
        read = [events.read[place] for place, who in enumerate(readers) if who is unit]
        written = [events.written[place] for place, who in enumerate(writers) if who is unit]
        if read:
            increments[f"{unit_name(unit)}_read_lines"] = Cat(read).any()
        if written:
            words = Mux(Cat(written).any(), events.written_words, 0)
            increments[f"{unit_name(unit)}_written_words"] = words
    return increments


class Accelerator(wiring.Component):
    """Executes programs from DRAM on matrices in DRAM.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    s_axi : AXI4-Lite slave, the registers of `hw.registers.register_map`
    m_axi : AXI4 master of ``config.axi``, for programs and data
    interrupt : level, active high
    idle : out; no program runs
    failed : out; the last program was stopped by an error
    trace : `hw.controller.TraceSignature`; may be left open.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "s_axi": In(AxiLiteSignature(ADDRESS_BITS, DATA_BITS)),
                "m_axi": Out(Axi4Signature(config)),
                "interrupt": Out(1),
                "idle": Out(1),
                "failed": Out(1),
                "trace": Out(TraceSignature()),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the accelerator."""
        m = Module()
        config = self.config
        m.submodules.registers = registers = RegisterFile(config)
        m.submodules.controller = controller = Controller(config)
        m.submodules.load = load = Load(config)
        m.submodules.array = array = Matmul(config)
        m.submodules.vector = vector = Vector(config)
        m.submodules.store = store = Store(config)
        m.submodules.butterfly = butterfly = Butterfly(config)
        m.submodules.arbiter = arbiter = ReadArbiter(config)

        wiring.connect(m, wiring.flipped(self.s_axi), registers.s_axi)
        wiring.connect(m, controller.trace, wiring.flipped(self.trace))
        controls = [each.control for each in (load, array, vector, store, butterfly)]
        for unit, control in zip(UNITS, controls, strict=True):
            wiring.connect(m, getattr(controller, unit_name(unit)), control)
        # Who must not wait comes first: the array starves without operands and stops when a tile
        # is not drained.
        operands = [getattr(array, name) for name in operand_ports(config)]
        readers = (
            *((Unit.ARRAY, port) for port in (*operands, array.drain_read)),
            (Unit.STORE, store.scratchpad),
            (Unit.VECTOR, vector.read),
            (Unit.BUTTERFLY, butterfly.coefficients),
            (Unit.BUTTERFLY, butterfly.addends),
            (Unit.BUTTERFLY, butterfly.data),
        )
        drain, loaded = (Unit.ARRAY, array.drain_write), (Unit.LOAD, load.scratchpad)
        # Where requests are registers, load comes before all: it waits for no other unit then, and
        # a line is several beats.
        first = (loaded, drain) if config.scratchpad.pipelined else (drain, loaded)
        writers = (
            *first,
            (Unit.VECTOR, vector.write),
            (Unit.BUTTERFLY, butterfly.write),
        )
        m.submodules.scratchpad = scratchpad = Scratchpad(
            config, readers=len(readers), writers=len(writers)
        )
        for place, (_, port) in enumerate(readers):
            wiring.connect(m, port, scratchpad.read[place])
        for place, (_, port) in enumerate(writers):
            wiring.connect(m, port, scratchpad.write[place])

        wiring.connect(m, controller.axi, arbiter.masters[0])
        wiring.connect(m, load.memory, arbiter.masters[1])
        self._connect_memory(m, arbiter.memory, store.memory)
        self._connect_host(m, registers, controller)
        m.submodules.window_table = table = WindowTable(config)
        self._connect_windows(m, registers, table.opened)
        m.d.comb += [unit.windows.eq(table.windows) for unit in (controller, load, store)]
        traffic = _traffic(scratchpad, [who for who, _ in readers], [who for who, _ in writers])
        self._connect_counters(
            m, registers, controller, load, array, vector, store, butterfly, traffic
        )
        return m

    def _connect_memory(self, m: Module, *masters: wiring.PureInterface) -> None:
        """Give the channels of `masters` to the memory port."""
        for master in masters:
            for name, member in master.signature.members.items():
                inner, outer = getattr(master, name), getattr(self.m_axi, name)
                m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)

    def _connect_host(self, m: Module, registers: RegisterFile, controller: Controller) -> None:
        """Let the host start and reset the controller and see how it ends."""
        ended = controller.finished
        failed = ended & controller.error.valid
        m.d.comb += [
            controller.start.eq(registers.control_start),
            controller.soft_reset.eq(registers.soft_reset_request),
            controller.address.offset.eq(
                Cat(registers.program_address_low_offset, registers.program_address_high_offset)
            ),
            controller.address.window.eq(registers.program_address_high_window),
            controller.length.eq(registers.program_length_instructions),
            controller.watchdog.eq(registers.watchdog_cycles),
            registers.control_start_clear.eq(ended | controller.was_reset),
            registers.control_done.eq(ended),
            registers.control_idle.eq(controller.idle),
            registers.control_ready.eq(ended),
            registers.interrupt_status_done.eq(ended),
            registers.interrupt_status_ready.eq(ended),
            registers.interrupt_status_error.eq(failed),
            registers.soft_reset_request_clear.eq(controller.was_reset),
            registers.forget.eq(controller.was_reset),
            registers.error_code_code.eq(Mux(controller.error.valid, controller.error.code, 0)),
            registers.error_index_index.eq(controller.error.index),
            registers.error_address_low_address.eq(controller.error.address[:32]),
            registers.error_address_high_address.eq(controller.error.address[32:]),
            self.interrupt.eq(registers.interrupt),
            self.idle.eq(controller.idle),
            self.failed.eq(controller.error.valid),
        ]

    def _connect_windows(self, m: Module, registers: RegisterFile, windows: Value) -> None:
        """Show the window table what the host has opened."""
        for index in range(self.config.controller.windows):
            for name in ("base", "size"):
                halves = [
                    getattr(registers, f"window{index}_{name}_{half}_{name}")
                    for half in ("low", "high")
                ]
                m.d.comb += windows[index][name].eq(Cat(halves))
            for name in ("readable", "writable"):
                flag = getattr(registers, f"window{index}_flags_{name}")
                m.d.comb += windows[index][name].eq(flag)

    def _connect_counters(
        self,
        m: Module,
        registers: RegisterFile,
        controller: Controller,
        load: Load,
        array: Matmul,
        vector: Vector,
        store: Store,
        butterfly: Butterfly,
        traffic: dict[str, Value],
    ) -> None:
        """Count what happens while a program runs; `traffic` is that of the scratchpad."""
        fetched = Signal(range(self.config.axi_bytes + 1))
        taken = controller.axi.rvalid & controller.axi.rready
        m.d.comb += fetched.eq(Mux(taken, self.config.axi_bytes, 0))
        sources: dict[str, Value] = {
            "cycles": Value.cast(1),
            "instructions": controller.retired,
            "array_multiplies": array.events.multiplies,
            "array_active": array.events.active,
            "array_skipped": array.events.skipped,
            "array_operand_stall": array.events.operand_stall,
            "array_drain_stall": array.events.drain_stall,
            "butterfly_multiplies": butterfly.events.multiplies,
            "butterfly_beats": butterfly.events.beat,
            "butterfly_saturated": butterfly.events.saturated,
            "vector_beats": vector.events.beat,
            **traffic,
            "dram_read_bytes": load.events.bytes + fetched,
            "dram_written_bytes": store.events.bytes,
        }
        for place, unit in enumerate(UNITS):
            sources[f"{unit_name(unit)}_busy"] = getattr(controller, unit_name(unit)).busy
            sources[f"{unit_name(unit)}_wait"] = controller.waiting[place]
        increments = [Value.cast(sources[counter.name]) for counter in COUNTERS]
        m.submodules.counters = counters = Counters([len(value) for value in increments])
        wiring.connect(m, registers.counters, counters.read)
        m.d.comb += [counters.enable.eq(~controller.idle), counters.clear.eq(controller.began)]
        for place, increment in enumerate(increments):
            m.d.comb += counters.increments[f"counter{place}"].eq(increment)
