"""The queue of one unit: what waits for semaphores, and what the unit has yet to finish."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .block_queue import BlockQueue
from .config import AcceleratorConfig
from .isa import LAYOUTS, UNIT_OF, Header, Opcode, Unit
from .ports import INDEX_BITS, issue_layout
from .queue import Queue
from .tally import tally

IN_FLIGHT = 8
"""Instructions that a unit may have taken and not finished."""


def retire_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What a finished instruction signals, and its place in the program."""
    return data.StructLayout({"signal": config.controller.semaphores, "index": INDEX_BITS})


class IssueQueue(wiring.Component):
    """Holds the instructions of one unit from decoding until their signals are given.

    Parameters
    ----------
    config : AcceleratorConfig
        ``config.controller.queue_depth`` instructions may wait.
    unit : Unit
        Whose instructions these are: bits that none of them has are zero in `instruction`.

    Members
    -------
    decoded : stream of `issue_layout`, from the decoder.
    instruction : stream of `issue_layout`, to the unit; valid once the instruction was granted.
    waiting, waits : mask of the semaphores that the head waits for, and whether it is meant.
    grant : the head has got its semaphores; only while `waits` was high in the cycle before.
    done : the unit has finished its oldest instruction.
    retire : stream of `retire_layout`; one transfer for each `done`, in order.
    empty : nothing waits or is in flight.
    oldest : place in the program of the oldest instruction that waits or is in flight.
    flush : forgets everything.

    Latency: from `decoded` to `waits` 2 cycles, from `grant` to `instruction` 1 cycle, from `done`
    to `retire` 1 cycle.
    """

    def __init__(self, config: AcceleratorConfig, unit: Unit) -> None:
        self._config = config
        self._unit = unit
        super().__init__(
            {
                "decoded": In(stream.Signature(issue_layout)),
                "instruction": Out(stream.Signature(issue_layout)),
                "waiting": Out(config.controller.semaphores),
                "waits": Out(1),
                "grant": In(1),
                "done": In(1),
                "retire": Out(stream.Signature(retire_layout(config))),
                "empty": Out(1),
                "oldest": Out(INDEX_BITS),
                "flush": In(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    @property
    def unit(self) -> Unit:
        """Whose instructions these are."""
        return self._unit

    def elaborate(self, platform: object) -> Module:
        """Return the queue: of what is looked at in the next cycle, and in block RAM of the words.

        Both are filled and emptied together.
        """
        m = Module()
        depth = self.config.controller.queue_depth
        width = max(
            data.Layout.cast(LAYOUTS[code]).size for code in Opcode if UNIT_OF[code] is self.unit
        )
        masks = Queue(width=len(self.waiting), depth=depth)
        m.submodules.masks = ResetInserter(self.flush)(masks)
        m.submodules.words = words = BlockQueue(width + INDEX_BITS, depth)
        flights = Queue(width=self.retire.payload.shape().size, depth=IN_FLIGHT, latency=2)
        m.submodules.flights = ResetInserter(self.flush)(flights)

        decoded, head = self.decoded.payload, Signal(issue_layout)
        header_bits = slice(data.Layout.cast(Header).size)
        header = data.View(Header, head.word[header_bits])
        granted = Signal()
        m.d.comb += [
            words.clear.eq(self.flush),
            words.input.payload.eq(Cat(decoded.index, decoded.word[:width])),
            words.input.valid.eq(self.decoded.valid),
            masks.w_data.eq(data.View(Header, decoded.word[header_bits]).wait),
            masks.w_en.eq(self.decoded.valid & words.input.ready),
            self.decoded.ready.eq(words.input.ready),
            Cat(head.index, head.word[:width]).eq(words.output.payload),
            self.waiting.eq(masks.r_data),
            self.waits.eq(words.output.valid & ~granted & flights.w_rdy),
            self.instruction.payload.eq(head),
            self.instruction.valid.eq(granted),
        ]

        taken = Signal()
        flight = data.View(self.retire.payload.shape(), flights.w_data)
        m.d.comb += [
            taken.eq(granted & self.instruction.ready),
            words.output.ready.eq(taken),
            masks.r_en.eq(taken),
            flights.w_en.eq(taken),
            flight.signal.eq(header.signal),
            flight.index.eq(head.index),
        ]
        with m.If(self.flush | taken):
            m.d.sync += granted.eq(0)
        with m.Elif(self.grant):
            m.d.sync += granted.eq(1)

        retired = Signal()
        finished = tally(m, "finished", IN_FLIGHT, self.done, retired)
        m.d.comb += [
            self.retire.payload.eq(flights.r_data),
            self.retire.valid.eq(finished.some & flights.r_rdy),
            retired.eq(self.retire.valid & self.retire.ready),
            flights.r_en.eq(retired),
            self.oldest.eq(Mux(flights.r_rdy, self.retire.payload.index, head.index)),
            self.empty.eq((words.level == 0) & (flights.level == 0)),
        ]
        with m.If(self.flush):
            m.d.sync += [finished.count.eq(0), finished.some.eq(0)]
        return m
