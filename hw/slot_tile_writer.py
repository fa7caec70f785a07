"""Writes a tile of kept activations: header, advances, indices, values."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .kept_shape import kept_shape_layout, slot_bits, tile_word_bits
from .ports import WORD_BITS, address_width, write_request_layout
from .slot_packer import entries
from .slot_tile_memory import tile_entry_layout

MOST_BLOCK_SLOTS = 16

_FIELDS = ("index", "value")
"""Of an element, in the order of the sections."""

advances_layout = data.StructLayout({"begins": WORD_BYTES, "phase": 4})
"""Which of eight slots begin a block, and the slot of its block that the next one is."""


def _advances() -> list[int]:
    """Return `advances_layout` by the slots of a block, less one, and the first slot's place."""
    table = []
    for place in range(MOST_BLOCK_SLOTS):
        for slots in range(1, MOST_BLOCK_SLOTS + 1):
            begins = [(place + slot) % slots == 0 for slot in range(WORD_BYTES)]
            fields = {
                "begins": sum(begin << slot for slot, begin in enumerate(begins)),
                "phase": (place + WORD_BYTES) % slots,
            }
            table.append(advances_layout.const(fields).as_value().value)
    return table


def _is_within(value: Value, limit: int) -> Value:
    """Return whether `value` is at most `limit`, a power of two; without a carry chain."""
    place = limit.bit_length() - 1
    return ~value[place + 1 :].any() & ~(value[place] & value[:place].any())


class SlotTileWriter(wiring.Component):
    """Reads complete tiles entry by entry and gives their words in lines.

    A tile of s slots takes ``s / 8`` cycles for its advances, and for every ``config.chunk``
    slots a cycle for each line of indices and of values and two more: less than it takes to fill
    it, where the array has at least a quarter as many columns as there are lanes.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Return to the reset state.
    start : in
        The next tile goes to `address`, further ones behind it.
    address : in
    shape : in, `kept_shape_layout`
        Stable while there are tiles.
    full, tile_rows, number, elements, release
        The other side of those of `SlotTileMemory`.
    written : out
        A tile has left; for one cycle.
    lines : stream of `write_request_layout`, out
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "start": In(1),
                "address": In(address_width(config)),
                "shape": In(kept_shape_layout(config)),
                "full": In(1),
                "tile_rows": In(range(config.array.columns + 1)),
                "number": Out(range(entries(config))),
                "elements": In(tile_entry_layout(config)),
                "release": Out(1),
                "written": Out(1),
                "lines": Out(stream.Signature(write_request_layout(config))),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object):
        """Return the sequence of sections in front of a line register."""
        m = Module()
        shape, lanes = self.shape, self.config.lanes
        self._slots_left = Signal(slot_bits(self.config))
        self._used, self._in_rows = Signal(self.config.chunk), Signal(self.config.array.columns)
        words_left = Signal(tile_word_bits(self.config), init=1)
        address = Signal(address_width(self.config))
        values, line = Signal(), Signal(range(WORD_BITS))
        gives, given, free = Signal(), Signal(), Signal()
        width, count = Signal(range(lanes + 1)), Signal(range(lanes + 1))
        output, content = self.lines.payload, Signal(lanes * WORD_BITS)
        ends = Signal()
        m.d.comb += [
            free.eq(~self.lines.valid | self.lines.ready),
            given.eq(gives & free),
            count.eq(Mux(ends, words_left[: len(count)], width)),
        ]
        with m.If(free):
            m.d.sync += [
                self.lines.valid.eq(gives),
                output.address.eq(address),
                output.pitch.eq(1),
                output.mask.eq(Cat(count > lane for lane in range(lanes))),
                output.data.as_value().eq(content),
            ]
        with m.If(self.start):
            m.d.sync += address.eq(self.address)
        with m.If(given):
            # Where they end, the words of the next section follow.
            m.d.sync += [address.eq(address + count), words_left.eq(words_left - width)]

        # The words of a line of each section.
        widths = [min(lanes, self._entry_bits(field) // WORD_BITS) for field in _FIELDS]
        within = [_is_within(words_left, words) for words in widths]
        stepping = Signal()
        advance_word = self._advance_word(m, stepping)
        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += [gives.eq(self.full), width.eq(1), content.eq(shape.slots)]
                m.d.comb += ends.eq(1)
                with m.If(given):
                    m.d.sync += words_left.eq(shape.advance_words)
                    self._restart(m, values, 0)
                    m.next = "ADVANCES"
            with m.State("ADVANCES"):
                m.d.comb += [gives.eq(1), width.eq(1), content.eq(advance_word)]
                m.d.comb += ends.eq(words_left == 1)
                m.d.comb += stepping.eq(given)
                with m.If(given & ends):
                    m.d.sync += words_left.eq(shape.index_words)
                    self._restart(m, values, 0)
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += [
                    line.eq(0),
                    self._used.eq(
                        Cat(self._slots_left > slot for slot in range(self.config.chunk))
                    ),
                    self._in_rows.eq(
                        Cat(self.tile_rows > row for row in range(self.config.array.columns))
                    ),
                ]
                m.next = "LINE"
            with m.State("LINE"):
                last = self._entry_line(m, values, line, content)
                m.d.comb += [
                    gives.eq(1),
                    width.eq(Mux(values, widths[1], widths[0])),
                    ends.eq(Mux(values, within[1], within[0])),
                ]
                with m.If(given):
                    m.d.sync += line.eq(line + 1)
                with m.If(given & ends & values):
                    m.d.sync += words_left.eq(1)
                    m.next = "LEAVE"
                with m.Elif(given & ends):
                    m.d.sync += words_left.eq(shape.value_words)
                    self._restart(m, values, 1)
                    m.next = "FETCH"
                with m.Elif(given & last):
                    m.d.sync += [
                        self.number.eq(self.number + 1),
                        self._slots_left.eq(self._slots_left - self.config.chunk),
                    ]
                    m.next = "FETCH"
            with m.State("LEAVE"):
                m.d.comb += [self.release.eq(free), self.written.eq(free)]
                with m.If(free):
                    m.next = "HEADER"
        return ResetInserter(self.clear)(m)

    def _restart(self, m: Module, values: Signal, section: int) -> None:
        """Go back to the first slot, for indices or for values."""
        m.d.sync += [
            values.eq(section),
            self.number.eq(0),
            self._slots_left.eq(self.shape.slots),
        ]

    def _advance_word(self, m: Module, stepping: Signal) -> Value:
        """Return a byte for each of eight slots: 1 where a block begins, but for the first one.

        `stepping`: the word is taken, the next one is for eight slots more.
        """
        m.submodules.advances = table = Memory(
            shape=advances_layout.size, depth=MOST_BLOCK_SLOTS**2, init=_advances()
        )
        port = table.read_port(domain="comb")
        found = data.View(advances_layout, port.data)
        phase, later = Signal(4), Signal()
        m.d.comb += port.addr.eq(Cat((self.shape.block_slots - 1)[:4], phase))
        with m.If(stepping):
            m.d.sync += [
                phase.eq(found.phase),
                later.eq(1),
                self._slots_left.eq(self._slots_left - WORD_BYTES),
            ]
        with m.If(self.release):
            m.d.sync += [phase.eq(0), later.eq(0)]
        begins = [
            found.begins[slot] & (self._slots_left > slot) & (later if slot == 0 else 1)
            for slot in range(WORD_BYTES)
        ]
        return Cat(Cat(begin, Const(0, WORD_BYTES - 1)) for begin in begins)

    def _entry_bits(self, field: str) -> int:
        """Return the bits of a field of all slots of an entry."""
        return len(self.elements[0][0][field]) * self.config.chunk * self.config.array.columns

    def _entry_line(self, m: Module, values, line, content: Signal) -> Value:
        """Give a line of an entry, with zeros beyond the slots and rows; return if it is the last.

        Fields of one slot lie side by side, those of the next slot follow.
        """
        last = Signal()
        size = self.config.lanes * WORD_BITS
        slots, rows = range(self.config.chunk), range(self.config.array.columns)
        for section, field in enumerate(_FIELDS):
            bits = Cat(
                Mux(self._used[slot] & self._in_rows[row], elements[slot][field], 0)
                for slot in slots
                for row, elements in zip(rows, self.elements, strict=True)
            )
            lines = -(-len(bits) // size)
            for number in range(lines):
                with m.If((values == section) & (line == number)):
                    m.d.comb += [
                        content.eq(bits[number * size :][:size]),
                        last.eq(number == lines - 1),
                    ]
        return last
