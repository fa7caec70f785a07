"""Reads one section of compressed pieces and gives its items one after another."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig, ConfigError
from .ports import WORD_BITS, address_width, line_layout


def item_count_bits(config: AcceleratorConfig) -> int:
    """Bits of the number of items in a section that the scratchpad can hold."""
    return max(address_width(config) + 2, 17)


def span_layout(config: AcceleratorConfig, widths: tuple[int, ...]) -> data.StructLayout:
    """The section of one piece: `items` of ``widths[kind]`` bits from word `address` on."""
    return data.StructLayout(
        {
            "address": address_width(config),
            "kind": range(len(widths)),
            "items": item_count_bits(config),
        }
    )


class SectionReader(wiring.Component):
    """Asks for the lines of a section and cuts them in items.

    Items begin at a word and do not straddle two; what follows the last item in its line is
    dropped. The next section is read while the items of the one before are taken.

    Parameters
    ----------
    config : AcceleratorConfig
    widths : tuple of int
        Bits of an item, one a kind of section: powers of two, at most half a line.
    lines : int
        Lines that are kept, 2 to 16. One is in use, and three hide the latency of a line also
        where the one in use holds a single item. FPGAs have no memories of fewer places.

    Members
    -------
    span : stream of `span_layout`, in
        Sections, each with at least one item.
    request : stream of word addresses, out
        Lines with pitch 1 are wanted.
    arrived, line : in
        The next of these lines is there.
    items : stream, out
        As wide as the widest item; narrower ones are filled up with zeros.

    Latency: an item can be taken two cycles after its line, three if ``array.pipelined``.
    Throughput: an item a cycle.

    Raises
    ------
    ConfigError
        If a width or the number of lines is out of range.
    """

    def __init__(self, config: AcceleratorConfig, widths: tuple[int, ...], lines: int = 4) -> None:
        limit = config.lanes * WORD_BITS // 2
        for width in widths:
            if not 1 <= width <= limit or width & (width - 1):
                raise ConfigError(f"widths must be powers of two from 1 to {limit}, not {width!r}")
        if not 2 <= lines <= 16:
            raise ConfigError(f"lines must be an integer from 2 to 16, not {lines!r}")
        self._config = config
        self._widths = tuple(widths)
        self._lines = lines
        super().__init__(
            {
                "span": In(stream.Signature(span_layout(config, self._widths))),
                "request": Out(stream.Signature(address_width(config))),
                "arrived": In(1),
                "line": In(line_layout(config)),
                "items": Out(stream.Signature(max(widths))),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits of an item of each kind."""
        return self._widths

    @property
    def lines(self) -> int:
        """Lines that are kept."""
        return self._lines

    def elaborate(self, platform: object) -> Module:
        """Return the lines, the walk of requests and the selection of items."""
        m = Module()
        line_bits = self.config.lanes * WORD_BITS
        per_line = [line_bits // width for width in self.widths]
        m.submodules.kept = kept = Memory(shape=line_bits, depth=self.lines, init=[])
        # What is in each line that was asked for.
        kinds = Array(Signal(range(len(self.widths)), name=f"kind_{n}") for n in range(self.lines))
        lasts = Array(Signal(range(max(per_line)), name=f"last_{n}") for n in range(self.lines))

        accepted, released = Signal(), Signal()
        self._request(m, accepted, released, kinds, lasts, per_line)

        write = kept.write_port()
        present = Signal(range(self.lines + 1))
        m.d.comb += [write.data.eq(self.line), write.en.eq(self.arrived)]
        m.d.sync += present.eq(present + self.arrived - released)
        with m.If(self.arrived):
            m.d.sync += write.addr.eq(self._after(write.addr))

        read = kept.read_port(domain="comb")
        index = Signal(range(max(per_line)))
        load, moves, picked_valid = Signal(), Signal(), Signal()
        picked = Signal(self._picked_layout)
        place = Signal.like(read.addr)
        following = self._after(place)
        kind, last = Signal.like(kinds[0]), Signal.like(lasts[0])
        # Of the line in use: both are known since it was asked for.
        m.d.sync += [
            kind.eq(Mux(released, kinds[following], kinds[place])),
            last.eq(Mux(released, lasts[following], lasts[place])),
        ]
        pick = self._pick(m, read.data, kind, index)
        m.d.comb += [
            read.addr.eq(place),
            moves.eq(picked_valid & (~self.items.valid | self.items.ready)),
            released.eq(load & (index == last)),
        ]
        if self.config.array.pipelined:
            m.d.comb += load.eq(present.any() & (~picked_valid | moves))
            with m.If(load):
                m.d.sync += [picked.eq(pick), picked_valid.eq(1)]
            with m.Elif(moves):
                m.d.sync += picked_valid.eq(0)
        else:
            m.d.comb += [picked.eq(pick), picked_valid.eq(present.any()), load.eq(moves)]
        with m.If(load):
            m.d.sync += index.eq(Mux(released, 0, index + 1))
        with m.If(moves):
            m.d.sync += [
                self.items.payload.eq(self._select(m, picked)),
                self.items.valid.eq(1),
            ]
        with m.Elif(self.items.ready):
            m.d.sync += self.items.valid.eq(0)
        with m.If(released):
            m.d.sync += place.eq(following)
        return m

    def _after(self, place):
        return Mux(place == self.lines - 1, 0, place + 1)

    def _request(self, m: Module, accepted, released, kinds, lasts, per_line) -> None:
        """Walk the lines of a section; a line is asked for when there is room for it."""
        span = Signal(span_layout(self.config, self.widths))
        requesting = Signal()
        promised = Signal(range(self.lines + 1))
        place = Signal(range(self.lines))
        here = Signal(range(max(per_line) + 1))
        m.d.comb += [
            self.span.ready.eq(~requesting),
            self.request.valid.eq(requesting & (promised != self.lines)),
            self.request.payload.eq(span.address),
            accepted.eq(self.request.valid & self.request.ready),
            here.eq(Array(per_line)[span.kind]),
        ]
        ends = span.items <= here
        m.d.sync += promised.eq(promised + accepted - released)
        with m.If(self.span.valid & self.span.ready):
            m.d.sync += [span.eq(self.span.payload), requesting.eq(1)]
        with m.Elif(accepted):
            m.d.sync += [
                span.address.eq(span.address + self.config.lanes),
                span.items.eq(span.items - here),
                requesting.eq(~ends),
                kinds[place].eq(span.kind),
                lasts[place].eq(Mux(ends, span.items, here) - 1),
                place.eq(self._after(place)),
            ]

    def _shift(self, width: int) -> int:
        """Return the logarithm of how many of the narrowest items lie in `width` bits."""
        return (width // min(self.widths)).bit_length() - 1

    @property
    def _picked_layout(self) -> data.StructLayout:
        """One of the widest items of a line; the item begins at `place`, in narrowest items."""
        widest = max(self.widths)
        place = self._shift(widest)
        return data.StructLayout({"wide": widest, "kind": range(len(self.widths)), "place": place})

    def _pick(self, m: Module, line, kind, index) -> data.View:
        """Return the widest item of the line that has item `index` of this kind."""
        picked = Signal(self._picked_layout)
        position = Signal(range(len(line) // min(self.widths)))
        m.d.comb += [
            picked.wide.eq(line.word_select(position[len(picked.place) :], len(picked.wide))),
            picked.kind.eq(kind),
            picked.place.eq(position),
        ]
        with m.Switch(kind):
            for number, width in enumerate(self.widths):
                with m.Case(number):
                    m.d.comb += position.eq(index << self._shift(width))
        return picked

    def _select(self, m: Module, picked: data.View) -> Signal:
        """Return the item in the one that is as wide as the widest."""
        item = Signal(max(self.widths))
        with m.Switch(picked.kind):
            for number, width in enumerate(self.widths):
                with m.Case(number):
                    place = picked.place[self._shift(width) :]
                    m.d.comb += item.eq(picked.wide.word_select(place, width))
        return item
