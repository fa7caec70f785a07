"""Gives the vectors of a compressed matrix in the scratchpad."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bitmap_places import BitmapPlaces
from .byte_expander import ByteExpander, count_ones, expansion_layout
from .compressed_reader import (
    SIZE_BITS,
    CompressedReader,
    index_bits,
    longest_vector,
    matrix_layout,
)
from .config import AcceleratorConfig, ConfigError
from .isa import ErrorCode
from .ports import ReadPortSignature, fault_layout
from .slot_places import SlotPlaces, place_layout
from .stream_buffer import StreamBuffer


def vector_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A useful vector of a bitmap, or a slot.

    `elements`: zero beyond the vector. `indices`: of a slot, in its block; zero in a bitmap.
    `place`: the block, or the number of the vector in its strip. `last`: of its piece. `empty`: the
    piece has no vector; elements and place are zero.
    """
    return data.StructLayout(
        {
            "elements": data.ArrayLayout(signed(8), longest_vector(config)),
            **_tag_layout(config).members,
        }
    )


def _tag_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What does not depend on the values."""
    bits = (config.array.block - 1).bit_length()
    return data.StructLayout(
        {
            "indices": data.ArrayLayout(bits, config.array.columns),
            "place": SIZE_BITS,
            "last": 1,
            "empty": 1,
        }
    )


class CompressedOperand(wiring.Component):
    """Walks compressed matrices and gives their vectors in order.

    A slot is treated as a vector of a bitmap with all elements present.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    matrix : stream of `matrix_layout`, in
    vectors : stream of `vector_layout`, out
    read : read port of the scratchpad
    fault : `fault_layout`, out
        `COMPRESSED_OPERAND` with the first word of the first piece that is wrong; until reset.
        Vectors before the place where it is wrong may still be on offer.

    Latency: where no access is refused, the first vector can be taken 19 cycles after a matrix of
    slots was, or 21 after a bitmap, with ``array.pipelined`` 23 or 26; pieces and matrices are read
    ahead. Throughput: one vector a cycle in pieces of 9 vectors or more, with ``array.pipelined``
    of 10, also where half of all accesses are refused.

    Raises
    ------
    ConfigError
        If the parameters leave out compressed operands.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        if config.array.block == 1:
            raise ConfigError("array.block must be 4, 8 or 16 for compressed operands, not 1")
        self._config = config
        super().__init__(
            {
                "matrix": In(stream.Signature(matrix_layout(config))),
                "vectors": Out(stream.Signature(vector_layout(config))),
                "read": Out(ReadPortSignature(config)),
                "fault": Out(fault_layout),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return reader, finders of places, check and expansion."""
        m = Module()
        m.submodules.reader = reader = CompressedReader(self.config)
        wiring.connect(m, wiring.flipped(self.matrix), reader.matrix)
        wiring.connect(m, reader.read, wiring.flipped(self.read))
        tag = _tag_layout(self.config)
        m.submodules.expander = expander = ByteExpander(longest_vector(self.config), tag)
        wiring.connect(m, reader.values, expander.values)
        places = self._wait(m, "places", self._find_places(m, reader))
        self._check(m, places, reader, expander)

        m.submodules.buffer = buffer = StreamBuffer(vector_layout(self.config))
        wiring.connect(m, buffer.output, wiring.flipped(self.vectors))
        expanded = expander.output
        m.d.comb += [
            buffer.input.valid.eq(expanded.valid),
            expanded.ready.eq(buffer.input.ready),
            buffer.input.payload.elements.eq(expanded.payload.elements),
        ]
        for name in tag.members:
            m.d.comb += buffer.input.payload[name].eq(expanded.payload.tag[name])
        return m

    def _wait(self, m: Module, name: str, given):
        """Return the stream `given`, behind a register if ``array.pipelined``."""
        if not self.config.array.pipelined:
            return given
        m.submodules[f"{name}_buffer"] = buffer = StreamBuffer(given.payload.shape())
        m.d.comb += [
            buffer.input.valid.eq(given.valid),
            buffer.input.payload.eq(given.payload),
            given.ready.eq(buffer.input.ready),
        ]
        return buffer.output

    def _find_places(self, m: Module, reader: CompressedReader):
        """Return the stream of places of either format."""
        m.submodules.slots = slots = SlotPlaces(self.config)
        m.submodules.bitmap = bitmap = BitmapPlaces(self.config)
        pieces, items = reader.pieces, reader.places
        places = stream.Signature(place_layout).create()
        is_bitmap = pieces.payload.bitmap
        # One begins when the other has given all its places.
        m.d.comb += [
            slots.pieces.valid.eq(pieces.valid & ~is_bitmap & ~bitmap.busy),
            bitmap.pieces.valid.eq(pieces.valid & is_bitmap & ~slots.places.valid),
            slots.pieces.payload.eq(pieces.payload),
            bitmap.pieces.payload.eq(pieces.payload),
            pieces.ready.eq(
                (slots.pieces.valid & slots.pieces.ready)
                | (bitmap.pieces.valid & bitmap.pieces.ready)
            ),
            slots.advances.valid.eq(items.valid),
            bitmap.words.valid.eq(items.valid),
            slots.advances.payload.eq(items.payload),
            bitmap.words.payload.eq(items.payload),
            items.ready.eq(slots.advances.ready | bitmap.words.ready),
            places.valid.eq(slots.places.valid | bitmap.places.valid),
            places.payload.eq(Mux(slots.places.valid, slots.places.payload, bitmap.places.payload)),
            slots.places.ready.eq(places.ready),
            bitmap.places.ready.eq(places.ready),
        ]
        return places

    def _join(self, m: Module, places, reader: CompressedReader, done: Signal):
        """Put a place and its selection together; return them in a register until `done`."""
        columns, size = self.config.array.columns, longest_vector(self.config)
        given, selected = places.payload, reader.selections.payload
        joined = Signal(
            data.StructLayout(
                {
                    "place": place_layout,
                    "present": size,
                    "count": range(size + 1),
                    "indices": columns * index_bits(self.config),
                }
            )
        )
        valid, take, selects, present = Signal(), Signal(), Signal(), Signal(size)
        with m.If(selects):
            m.d.comb += present.eq(Mux(given.bitmap, selected[:size], (1 << columns) - 1))
        m.d.comb += [
            selects.eq(~given.empty & ~given.wrong),
            take.eq(places.valid & (reader.selections.valid | ~selects) & (~valid | done)),
            places.ready.eq(take),
            reader.selections.ready.eq(take & selects),
        ]
        with m.If(take):
            m.d.sync += [
                valid.eq(1),
                joined.place.eq(given),
                joined.present.eq(present),
                joined.count.eq(count_ones(present)),
                joined.indices.eq(Mux(given.bitmap | ~selects, 0, selected)),
            ]
        with m.Elif(done):
            m.d.sync += valid.eq(0)
        return valid, joined

    def _check(self, m: Module, places, reader: CompressedReader, expander: ByteExpander) -> None:
        """Hand on what is right, and stop at what is not."""
        layout = expansion_layout(longest_vector(self.config), _tag_layout(self.config))
        origin, vector = reader.origins, stream.Signature(layout).create()
        checked = self._wait(m, "vector", vector)
        m.d.comb += [
            expander.input.valid.eq(checked.valid),
            expander.input.payload.eq(checked.payload),
            checked.ready.eq(expander.input.ready),
        ]
        done, wrong = Signal(), Signal()
        valid, joined = self._join(m, places, reader, done)
        place, values, tag = joined.place, origin.payload.values, vector.payload.tag

        total = Signal(len(values) + 1)
        now = Signal.like(total)
        miscounted = place.bitmap & ((now > values) | (place.last & (now != values)))
        # Only of four bits for eight inputs one says that an index is not among them.
        beyond = Cat(joined.indices[3::4]).any() if self.config.array.block == 8 else 0
        m.d.comb += [
            now.eq(total + joined.count),
            wrong.eq(valid & origin.valid & (place.wrong | miscounted | beyond)),
            vector.valid.eq(valid & origin.valid & ~wrong & ~self.fault.valid),
            vector.payload.present.eq(joined.present),
            vector.payload.count.eq(joined.count),
            vector.payload.last.eq(place.last),
            tag.place.eq(place.place),
            tag.last.eq(place.last),
            tag.empty.eq(place.empty),
            # A wrong vector goes where no other follows it.
            done.eq(valid & origin.valid & ~self.fault.valid & vector.ready),
            origin.ready.eq(done & place.last),
        ]
        for column in range(self.config.array.columns):
            index = joined.indices.word_select(column, index_bits(self.config))
            m.d.comb += tag.indices[column].eq(index)
        with m.If(done):
            m.d.sync += total.eq(Mux(place.last, 0, now))
        with m.If(wrong & ~self.fault.valid):
            m.d.sync += [
                self.fault.valid.eq(1),
                self.fault.code.eq(ErrorCode.COMPRESSED_OPERAND),
                self.fault.index.eq(origin.payload.index),
                self.fault.address.eq(origin.payload.address),
            ]
