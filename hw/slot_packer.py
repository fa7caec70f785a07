"""Puts what is kept of the beats of a row side by side in entries of one size."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .kept_shape import KEEP_BITS, LOG_GROUP_BITS
from .structured_selector import kept_beat_layout, kept_element_layout


def entries(config: AcceleratorConfig) -> int:
    """Entries of a row of a tile."""
    return config.vector.kept_slots // config.chunk


def entry_layout(config: AcceleratorConfig) -> data.StructLayout:
    """An entry of a row: `config.chunk` kept elements, number `number`.

    `last`: the row ends here; what it leaves of the entry has no meaning.
    """
    elements = data.ArrayLayout(kept_element_layout(config), config.chunk)
    return data.StructLayout(
        {
            "valid": 1,
            "last": 1,
            "number": range(2 * entries(config)),
            "elements": elements,
        }
    )


class SlotPacker(wiring.Component):
    """Gathers kept elements to entries of ``config.chunk``, one entry a cycle at most.

    All beats of an instruction have as many kept elements, so that the place of the next beat is
    known as soon as it comes. Nothing stalls. A row may end with an entry for what is beyond its
    slots; its number may be that of the entry after the last one that a tile has room for.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Return to the reset state.
    keep, log_group : in
        N, and the logarithm of M; stable while there are beats.
    input : in, `kept_beat_layout`
    output : out, `entry_layout`
        Four cycles after the beat that completes it, or five if the beat ends the row and begins
        an entry.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "keep": In(KEEP_BITS),
                "log_group": In(LOG_GROUP_BITS),
                "input": In(kept_beat_layout(config)),
                "output": Out(entry_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object):
        """Return where each element goes, the crossbar, and the entry under way."""
        m = Module()
        size, lanes = self.config.chunk, self.config.vector_lanes
        beat = self.input
        added = Signal(range(lanes + 1))
        amounts: Value = added
        for log in range(1, self.config.largest_kept_group.bit_length()):
            amounts = Mux(self.log_group == log, self.keep << lanes.bit_length() - 1 - log, amounts)
        m.d.sync += added.eq(amounts)

        filled = Signal(range(size))
        total = Signal(range(2 * size + 1))
        m.d.comb += total.eq(Mux(beat.first, 0, filled) + added)
        with m.If(beat.valid):
            m.d.sync += filled.eq(total)
        places = [Signal(range(2 * size), name=f"place_{lane}") for lane in range(lanes)]
        kept = Signal(lanes)
        elements = Signal.like(beat.elements, reset_less=True)
        complete = total >= size
        # A beat that ends the row and an entry may leave some for another one.
        tags = Cat(complete, beat.last, complete & (total != size))
        m.d.sync += [kept.eq(beat.kept), elements.eq(beat.elements)]
        for lane, place in enumerate(places):
            m.d.sync += place.eq(Mux(beat.first, 0, filled) + beat.places[lane])
        tags = self._delay(m, beat.valid, tags)
        chosen, follows = self._cross(m, kept, places, elements)
        self._assemble(m, tags, chosen, follows)
        return ResetInserter(self.clear)(m)

    def _delay(self, m: Module, valid: Value, tags: Value) -> Signal:
        """Return valid, complete, last and overflow as the crossbar has them."""
        stages = [Signal(4, name=f"tags_{stage}") for stage in range(2)]
        m.d.sync += [
            stages[0].eq(Mux(valid, Cat(valid, tags), 0)),
            stages[1].eq(stages[0]),
        ]
        return stages[1]

    def _cross(self, m: Module, kept: Signal, places: list[Signal], elements):
        """Return, for each place of an entry, the element for it and of which entry it is.

        `chosen`: there is one. `follows`: it belongs to the next entry.
        """
        size = self.config.chunk
        layout = entry_layout(self.config)["elements"].shape
        self._crossed = Signal(layout, reset_less=True)
        chosen, follows = Signal(size), Signal(size)
        for number in range(size):
            picks = [
                kept[lane] & (place[: place.shape().width - 1] == number)
                for lane, place in enumerate(places)
            ]
            values = [
                element.as_value() & pick.replicate(len(element.as_value()))
                for element, pick in zip(elements, picks, strict=True)
            ]
            wraps = [pick & place[-1] for pick, place in zip(picks, places, strict=True)]
            m.d.sync += [
                chosen[number].eq(Cat(picks).any()),
                follows[number].eq(Cat(wraps).any()),
                self._crossed[number].as_value().eq(_any(values)),
            ]
        return chosen, follows

    def _assemble(self, m: Module, tags: Signal, chosen: Signal, follows: Signal) -> None:
        """Keep the entry under way and give it when it is complete, or its row ends."""
        valid, complete, last, overflow = tags
        held = Signal.like(self._crossed, reset_less=True)
        number = Signal.like(self.output.number)
        rest = Signal()
        gives = valid & (complete | last)
        ends = rest | (valid & last & ~overflow)
        m.d.sync += [
            rest.eq(valid & last & overflow),
            self.output.valid.eq(gives | rest),
            self.output.last.eq(ends),
            self.output.number.eq(number),
        ]
        with m.If(ends):
            m.d.sync += number.eq(0)
        with m.Elif(gives):
            m.d.sync += number.eq(number + 1)
        for place, element in enumerate(self._crossed):
            now = chosen[place] & ~follows[place] & ~rest
            with m.If(now):
                m.d.sync += self.output.elements[place].eq(element)
            with m.Else():
                m.d.sync += self.output.elements[place].eq(held[place])
            with m.If(valid & chosen[place]):
                m.d.sync += held[place].eq(element)


def _any(values: list[Value]) -> Value:
    result = values[0]
    for value in values[1:]:
        result = result | value
    return result
