"""Walks the pieces of compressed matrices: headers, sections, and the lines that hold them."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib import enum as hw_enum
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .ports import INDEX_BITS, WORD_BITS, ReadPortSignature, address_width
from .response_tags import ResponseTags
from .section_reader import SectionReader, item_count_bits
from .stream_buffer import StreamBuffer

ADVANCE_BITS = 8
"""Bits that say how many blocks to go on before a slot."""

SIZE_BITS = 16
"""Bits of the sizes of a matrix, of which a piece has one as its length."""

VECTOR_COUNT_BITS = 16
"""Bits of a strip's header that count useful vectors; the number of values follows."""


class Kind(hw_enum.Enum, shape=2):
    """Formats, as far as they have sections of different items."""

    SLOTS = 0
    BITMAP_OF_COLUMNS = 1
    BITMAP_OF_ROWS = 2


class Section(hw_enum.Enum, shape=2):
    """What a line belongs to."""

    PLACES = 0
    SELECTIONS = 1
    VALUES = 2
    HEADER = 3


def index_bits(config: AcceleratorConfig) -> int:
    """Bits of an index in memory."""
    return 2 if config.array.block == 4 else 4


def longest_vector(config: AcceleratorConfig) -> int:
    """Elements of the longer of both vectors; an item of values has as many bytes."""
    return max(config.array.rows, config.array.columns)


def section_widths(config: AcceleratorConfig) -> tuple[tuple[int, int, int], ...]:
    """Bits of an item of each `Section` but the header, by `Kind`.

    Places are advances or words of vector bits; selections are the indices of a slot or the
    element bits of a vector.
    """
    rows, columns = config.array.rows, config.array.columns
    values = WORD_BYTES * longest_vector(config)
    return (
        (ADVANCE_BITS, WORD_BITS, WORD_BITS),
        (columns * index_bits(config), columns, rows),
        (values, values, values),
    )


def matrix_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A compressed matrix of an instruction.

    `address`: its first word. `words`: all it has. `bitmap`: two-stage bitmap, else slots.
    `pieces`: strips or tiles, at least 1. `passes`: how often it is walked, at least 1. `length`:
    vectors of a strip, or blocks of a tile, at least 1. `rows`: a vector of a bitmap has one
    element a row of the array, else one a column. `index`: of the instruction.
    """
    return data.StructLayout(
        {
            "address": address_width(config),
            "words": address_width(config) + 1,
            "bitmap": 1,
            "pieces": SIZE_BITS,
            "passes": SIZE_BITS,
            "length": SIZE_BITS,
            "rows": 1,
            "index": INDEX_BITS,
        }
    )


def piece_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A piece for who finds the places of its `count` vectors; see `matrix_layout`.

    `wrong`: its header is, or its end.
    """
    return data.StructLayout(
        {"bitmap": 1, "length": SIZE_BITS, "count": item_count_bits(config), "wrong": 1}
    )


def origin_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A piece for who checks it: its first word, instruction, and bytes of values in a bitmap."""
    return data.StructLayout(
        {
            "address": address_width(config),
            "index": INDEX_BITS,
            "values": address_width(config) + 3,
        }
    )


class CompressedReader(wiring.Component):
    """Gives the sections of a matrix, piece by piece.

    The header of the next piece is read, and its lines are asked for, while a piece is taken. The
    walk stops at a piece that is wrong; of that one sections may be given, or not.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    matrix : stream of `matrix_layout`, in
    read : read port of the scratchpad
    pieces : stream of `piece_layout`, out
    origins : stream of `origin_layout`, out
        The same pieces, for who comes later.
    places, selections, values : streams of the items of `section_widths`, out

    Where no access is refused, a piece takes a cycle for each of its vectors, but at least 9, and
    10 if ``array.pipelined``.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        places, selections, values = map(max, section_widths(config))
        super().__init__(
            {
                "matrix": In(stream.Signature(matrix_layout(config))),
                "read": Out(ReadPortSignature(config)),
                "pieces": Out(stream.Signature(piece_layout(config))),
                "origins": Out(stream.Signature(origin_layout(config))),
                "places": Out(stream.Signature(places)),
                "selections": Out(stream.Signature(selections)),
                "values": Out(stream.Signature(values)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the walk, the section readers and the choice of the next line."""
        m = Module()
        m.submodules.tags = tags = ResponseTags(Section)
        sections = []
        for section, widths in zip(Section, section_widths(self.config), strict=False):
            reader = SectionReader(self.config, widths)
            m.submodules[section.name.lower()] = reader
            items = getattr(self, section.name.lower())
            m.d.comb += [
                reader.arrived.eq(tags.valid & (tags.response == section)),
                reader.line.eq(self.read.response.payload),
                items.valid.eq(reader.items.valid),
                items.payload.eq(reader.items.payload),
                reader.items.ready.eq(items.ready),
            ]
            sections.append(reader)
        header = stream.Signature(address_width(self.config)).create()
        self._choose_line(m, tags, [header, *(reader.request for reader in reversed(sections))])
        self._walk(m, tags, header, sections)
        return m

    def _choose_line(self, m: Module, tags: ResponseTags, requests: list) -> None:
        """Ask for the line of the first of `requests`; they belong to the last `Section` first."""
        port = self.read.request
        tag = Signal(Section)
        free = Signal()
        m.d.comb += [
            free.eq(~port.valid | port.ready),
            port.payload.pitch.eq(1),
            tags.accepted.eq(port.valid & port.ready),
            tags.request.eq(tag),
        ]
        taken = 0
        for request in requests:
            m.d.comb += request.ready.eq(free & ~taken)
            taken = taken | request.valid
        with m.If(free):
            m.d.sync += port.valid.eq(taken)
            for section, request in zip(Section, reversed(requests), strict=True):
                # Later ones come first.
                with m.If(request.valid):
                    m.d.sync += [port.payload.address.eq(request.payload), tag.eq(section)]

    def _walk(self, m: Module, tags: ResponseTags, header_request, sections: list) -> None:
        """Read headers and hand their sections to the readers."""
        m.submodules.piece_buffer = pieces = StreamBuffer(piece_layout(self.config))
        m.submodules.origin_buffer = origins = StreamBuffer(origin_layout(self.config))
        wiring.connect(m, pieces.output, wiring.flipped(self.pieces))
        wiring.connect(m, origins.output, wiring.flipped(self.origins))

        matrix = Signal(matrix_layout(self.config))
        kind, section = Signal(Kind), Signal(Section)
        pieces_left, passes_left = Signal(SIZE_BITS), Signal(SIZE_BITS)
        pointer, first = Signal.like(matrix.address), Signal.like(matrix.address)
        # Large enough for any counts that `_measure` does not refuse.
        used = Signal(len(matrix.words) + 5)
        header = Signal(WORD_BITS)
        piece, origin = pieces.input.payload, origins.input.payload
        items, words = Signal(item_count_bits(self.config)), Signal(len(used))
        pipelined = self.config.array.pipelined
        # The section that is measured: the next one, if that takes a cycle.
        measured = Signal(Section) if pipelined else section
        next_items, next_words = Signal.like(items), Signal.like(words)
        oversized = self._measure(m, header, matrix, kind, measured, next_items, next_words)

        def keep_measure() -> None:
            if pipelined:
                m.d.sync += [
                    items.eq(next_items),
                    words.eq(next_words),
                    measured.eq(measured.as_value() + 1),
                ]

        if not pipelined:
            m.d.comb += [items.eq(next_items), words.eq(next_words)]

        last_piece = pieces_left == 1
        m.d.comb += [
            header_request.payload.eq(pointer),
            piece.bitmap.eq(matrix.bitmap),
            piece.length.eq(matrix.length),
            piece.count.eq(Mux(matrix.bitmap, header[:VECTOR_COUNT_BITS], header)),
            piece.wrong.eq(
                oversized | (used > matrix.words) | (last_piece & (used != matrix.words))
            ),
            origin.address.eq(first),
            origin.index.eq(matrix.index),
            origin.values.eq(header[VECTOR_COUNT_BITS:]),
        ]
        for reader in sections:
            m.d.comb += [
                reader.span.payload.address.eq(pointer),
                reader.span.payload.kind.eq(kind),
                reader.span.payload.items.eq(items),
            ]

        def begin_walk(description) -> None:
            m.d.sync += [
                pieces_left.eq(description.pieces),
                pointer.eq(description.address),
                used.eq(0),
            ]
            m.next = "HEADER"

        with m.FSM():
            with m.State("IDLE"):
                given = self.matrix.payload
                m.d.comb += self.matrix.ready.eq(1)
                m.d.sync += [
                    matrix.eq(given),
                    kind.eq(Mux(given.bitmap, Mux(given.rows, *_BITMAPS), Kind.SLOTS)),
                    passes_left.eq(given.passes),
                ]
                with m.If(self.matrix.valid):
                    begin_walk(given)
            with m.State("HEADER"):
                m.d.comb += header_request.valid.eq(1)
                m.d.sync += [
                    first.eq(pointer),
                    section.eq(Section.PLACES),
                    measured.eq(Section.PLACES),
                ]
                with m.If(header_request.ready):
                    m.d.sync += [pointer.eq(pointer + 1), used.eq(used + 1)]
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += header.eq(self.read.response.payload[0])
                with m.If(tags.valid & (tags.response == Section.HEADER)):
                    m.next = "MEASURE" if pipelined else "SECTION"
            if pipelined:
                with m.State("MEASURE"):
                    keep_measure()
                    m.next = "SECTION"
            with m.State("SECTION"):
                readers = Array(reader.span.ready for reader in sections)
                for number, reader in enumerate(sections):
                    chosen = section.as_value() == number
                    m.d.comb += reader.span.valid.eq(chosen & items.any())
                with m.If(~items.any() | readers[section.as_value()]):
                    m.d.sync += [
                        pointer.eq(pointer + words),
                        used.eq(used + words),
                        section.eq(section.as_value() + 1),
                    ]
                    keep_measure()
                    with m.If(section == Section.VALUES):
                        m.next = "PIECE"
            with m.State("PIECE"):
                m.d.comb += [
                    pieces.input.valid.eq(origins.input.ready),
                    origins.input.valid.eq(pieces.input.ready),
                ]
                with m.If(pieces.input.ready & origins.input.ready):
                    m.d.sync += pieces_left.eq(pieces_left - 1)
                    with m.If(piece.wrong):
                        m.next = "STOPPED"
                    with m.Elif(~last_piece):
                        m.next = "HEADER"
                    with m.Elif(passes_left != 1):
                        m.d.sync += passes_left.eq(passes_left - 1)
                        begin_walk(matrix)
                    with m.Else():
                        m.next = "IDLE"
            with m.State("STOPPED"):
                pass

    def _measure(self, m: Module, header, matrix, kind, section, items, words):
        """Drive items and words of a section of a piece; return that nothing can hold the piece."""
        columns = self.config.array.columns
        # A slot has at least 5 bytes, a value one; so bits above make more than the scratchpad.
        capacity_bits = address_width(self.config)
        slots = header[: capacity_bits + 1]
        useful, values = header[:VECTOR_COUNT_BITS], header[VECTOR_COUNT_BITS:]
        values = values[: capacity_bits + 3]
        widths = section_widths(self.config)
        # What is counted, and how many bits each of it has.
        contents = [
            [(slots, widths[0][0]), (matrix.length, 1), (matrix.length, 1)],
            list(zip((slots, useful, useful), widths[1], strict=True)),
            [(slots, 8 * columns), (values, 8), (values, 8)],
        ]
        for number, (of_kinds, item_widths) in enumerate(zip(contents, widths, strict=True)):
            for of_kind, item_width, (count, width) in zip(
                Kind, item_widths, of_kinds, strict=True
            ):
                with m.If((section.as_value() == number) & (kind == of_kind)):
                    m.d.comb += [
                        items.eq(_units(count, width, item_width)),
                        words.eq(_units(count, width, WORD_BITS)),
                    ]
        return Mux(
            matrix.bitmap,
            header[VECTOR_COUNT_BITS + len(values) :].any(),
            header[len(slots) :].any(),
        )


_BITMAPS = (Kind.BITMAP_OF_ROWS, Kind.BITMAP_OF_COLUMNS)


def _units(count, width: int, unit: int):
    """Return how many units hold `count` times `width` bits; both are powers of two."""
    if width >= unit:
        return count << (width // unit).bit_length() - 1
    per_unit = unit // width
    return (count + per_unit - 1) >> per_unit.bit_length() - 1
