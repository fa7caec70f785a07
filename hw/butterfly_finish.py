"""What is to be done when a turn of the butterfly unit is written: headroom, exponent, done."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .butterfly_plan import HEADROOM_BITS, TURN_BITS
from .config import AcceleratorConfig
from .isa import BlockExponent
from .ports import WritePortSignature, address_width
from .queue import Queue
from .tally import tally

FLYING = 16
"""Turns that are at most in the hands of the workers."""

MULTIPLIES_BITS = 32


def entry_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What is known of a turn when it is given to the workers.

    `keeps`: its headroom is asked for by the next pass. `stores`: its exponent and headroom are
    written at `address`. `ends`: the instruction is done with it.
    """
    return data.StructLayout(
        {
            "multiplies": MULTIPLIES_BITS,
            "turn": TURN_BITS,
            "exponent": signed(16),
            "address": address_width(config),
            "keeps": 1,
            "stores": 1,
            "ends": 1,
        }
    )


class ButterflyFinish(wiring.Component):
    """Finishes turns in order, when they are written and their headroom and exponent are.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    emit, entry : in; a turn is given to the workers.
    ready : out; another one may be.
    written : in; a turn is written.
    headroom_valid, headroom : in; the headroom of a turn is known.
    in_flight, busy : out; turns that are not finished, and whether there are any.
    keeps, turn, turn_headroom : out; a turn is finished whose headroom is to be kept.
    multiplies : out; multiplications of the turn that is finished in this cycle.
    done : out; the last turn of an instruction is finished.
    write : `WritePortSignature`, for exponents
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "emit": In(1),
                "entry": In(entry_layout(config)),
                "ready": Out(1),
                "written": In(1),
                "headroom_valid": In(1),
                "headroom": In(signed(HEADROOM_BITS)),
                "in_flight": Out(range(FLYING + 1)),
                "busy": Out(1),
                "keeps": Out(1),
                "turn": Out(TURN_BITS),
                "turn_headroom": Out(signed(HEADROOM_BITS)),
                "multiplies": Out(MULTIPLIES_BITS),
                "done": Out(1),
                "write": Out(WritePortSignature(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return queues of turns and headrooms, and the register of an exponent's word."""
        m = Module()
        layout = entry_layout(self.config)
        m.submodules.entries = entries = Queue(width=layout.size, depth=FLYING)
        m.submodules.headrooms = headrooms = Queue(width=HEADROOM_BITS, depth=FLYING)
        entry = data.View(layout, entries.r_data)
        complete, finished, stored = Signal(), Signal(), Signal()
        request = self.write.request
        word = Signal(BlockExponent)
        written = tally(m, "written", FLYING, self.written, finished)
        m.d.comb += [
            self.in_flight.eq(entries.level),
            self.busy.eq(entries.r_rdy),
            entries.w_data.eq(self.entry),
            entries.w_en.eq(self.emit),
            self.ready.eq(entries.w_rdy),
            headrooms.w_data.eq(self.headroom),
            headrooms.w_en.eq(self.headroom_valid),
            complete.eq(written.some & headrooms.r_rdy),
            stored.eq(request.valid & request.ready),
            finished.eq(complete & (~entry.stores | stored)),
            entries.r_en.eq(finished),
            headrooms.r_en.eq(finished),
            self.keeps.eq(finished & entry.keeps),
            self.turn.eq(entry.turn),
            self.turn_headroom.eq(headrooms.r_data.as_signed()),
            self.multiplies.eq(Mux(finished, entry.multiplies, 0)),
            self.done.eq(finished & entry.ends),
            request.payload.pitch.eq(1),
            request.payload.mask.eq(1),
            request.payload.data[0].eq(word),
        ]
        m.d.sync += [
            request.valid.eq(complete & entry.stores & ~stored),
            request.payload.address.eq(entry.address),
            word.exponent.eq(entry.exponent),
            word.headroom.eq(self.turn_headroom),
        ]
        return m
