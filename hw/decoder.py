"""Sends each instruction of a program to the queue of its unit."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .isa import UNIT_OF, UNITS, ErrorCode, Header, Opcode, Unit
from .ports import fault_layout, issue_layout


class Decoder(wiring.Component):
    """Decodes opcodes in the order of the program, up to END or the first illegal word.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the number of semaphores.

    Members
    -------
    instruction : stream of `hw.ports.issue_layout`
    units : array of such streams, one a unit in the order of `hw.isa.UNITS`
    ended : END has been decoded; nothing is taken any more.
    end_waiting : mask of the semaphores that END waits for.
    fault : ILLEGAL_OPCODE with the opcode as the address, or ILLEGAL_OPERAND with the mask of the
        semaphores that do not exist.
    clear : makes ready for another program.

    Latency: 1 cycle. Throughput: one instruction every other cycle.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(issue_layout)),
                "units": Out(stream.Signature(issue_layout)).array(len(UNITS)),
                "ended": Out(1),
                "end_waiting": Out(config.controller.semaphores),
                "fault": Out(fault_layout),
                "clear": In(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the decoder."""
        m = Module()
        payload = self.instruction.payload
        header = data.View(Header, payload.word[: Header.as_shape().size])
        opcode = Value.cast(header.opcode)
        count = self.config.controller.semaphores
        absent = Signal.like(header.wait)
        known, fresh, legal = Signal(), Signal(), Signal()
        # The queue that the instruction goes to; the last place is END.
        target = Signal(len(UNITS) + 1)
        accepted = Signal()
        m.d.comb += [
            known.eq(Cat(opcode == code.value for code in Opcode).any()),
            absent.eq(((header.wait | header.signal) >> count) << count),
            fresh.eq(self.instruction.valid & ~target.any() & ~self.ended & ~self.fault.valid),
            legal.eq(known & ~absent.any()),
            accepted.eq((target & Cat(*(port.ready for port in self.units), 1)).any()),
            self.instruction.ready.eq(accepted),
        ]
        for place, port in enumerate(self.units):
            m.d.comb += [port.payload.eq(payload), port.valid.eq(target[place])]

        with m.If(self.clear):
            m.d.sync += [target.eq(0), self.ended.eq(0), self.fault.valid.eq(0)]
        with m.Elif(accepted):
            m.d.sync += [
                target.eq(0),
                self.ended.eq(target[len(UNITS)]),
                self.end_waiting.eq(header.wait),
            ]
        with m.Elif(fresh & legal):
            for place, unit in enumerate((*UNITS, Unit.CONTROLLER)):
                codes = [code.value for code in Opcode if UNIT_OF[code] == unit]
                m.d.sync += target[place].eq(opcode.matches(*codes))
        with m.Elif(fresh):
            m.d.sync += [
                self.fault.valid.eq(1),
                self.fault.code.eq(Mux(known, ErrorCode.ILLEGAL_OPERAND, ErrorCode.ILLEGAL_OPCODE)),
                self.fault.index.eq(payload.index),
                self.fault.address.eq(Mux(known, absent, opcode)),
            ]
        return m
