"""Gathers beats of results to lines."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .ports import line_layout
from .vector_datapath import output_layout
from .vector_plan import line_beats


def planes_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The line of each plane, the words that hold elements, and whether a row ends here."""
    lines = data.ArrayLayout(line_layout(config), 2)
    return data.StructLayout({"lines": lines, "mask": config.lanes, "last": 1})


class LineAssembler(wiring.Component):
    """Puts beats of int16, or of one or two planes of int8, side by side in lines.

    What a row leaves of its last word is zero; a slot is half a word at least. A line appears the
    cycle after its last beat, for one cycle; there is no back-pressure.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Forget the line.
    wide : in
        Elements are int16, and there is one plane.
    tail : in
        Which elements of a row's last beat are in the row.
    input : in, `output_layout`
    valid, output : out, `planes_layout`
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "wide": In(1),
                "tail": In(config.vector_lanes),
                "input": In(output_layout(config)),
                "valid": Out(1),
                "output": Out(planes_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the line registers; a slot is as many bytes as there are lanes."""
        m = Module()
        tag, lanes = self.input.tag, self.config.vector_lanes
        slots = 2 * line_beats(self.config)
        slot = Signal(range(slots))
        first, complete = Signal(), Signal()
        step = Mux(self.wide, 2, 1)
        m.d.comb += [
            first.eq(slot == 0),
            complete.eq(tag.valid & (tag.last | (slot == slots - step))),
        ]
        with m.If(self.clear | complete):
            m.d.sync += slot.eq(0)
        with m.Elif(tag.valid):
            m.d.sync += slot.eq(slot + step)
        m.d.sync += [self.valid.eq(complete & ~self.clear), self.output.last.eq(tag.last)]

        elements = self.input.elements
        planes = [
            Cat(element[8 * plane : 8 * plane + 8] for element in elements) for plane in (0, 1)
        ]
        wide = elements.as_value()
        keep = self.tail | (~tag.last).replicate(lanes)
        odd = slot[0].replicate(8 * lanes)
        contents = (
            (Mux(self.wide, wide[: 8 * lanes], planes[0]), planes[1]),
            # The rest of a word of which an even slot is the first half is zero.
            (Mux(self.wide, wide[8 * lanes :], planes[0] & odd), planes[1] & odd),
        )
        for place in range(slots):
            hit = Signal(name=f"hit_{place}")
            even = self.wide | ~slot[0] if place % 2 == 0 else 1
            m.d.comb += hit.eq(tag.valid & ((slot >> 1) == place >> 1) & even)
            for line, content in zip(self.output.lines, contents[place % 2], strict=True):
                with m.If(hit):
                    m.d.sync += line.as_value()[8 * lanes * place :][: 8 * lanes].eq(content)
        self._mask(m, slot, first, keep)
        return m

    def _mask(self, m: Module, slot: Signal, first: Signal, keep) -> None:
        """Mark each word whose first element is in the row."""
        lanes = self.config.vector_lanes
        for word in range(self.config.lanes):
            narrow_slot, narrow_lane = divmod(word * WORD_BYTES, lanes)
            wide_slot, wide_lane = divmod(word * WORD_BYTES // 2, lanes)
            narrow = (slot == narrow_slot) & keep[narrow_lane]
            wide = (slot == 2 * wide_slot) & keep[wide_lane]
            hit = Mux(self.wide, wide, narrow)
            old = self.output.mask[word] & ~first
            with m.If(self.input.tag.valid):
                m.d.sync += self.output.mask[word].eq(hit | old)
