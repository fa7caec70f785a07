"""Compresses activations as they are written: the largest of every few, as slots for csOS."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .kept_shape import KEEP_BITS, LOG_GROUP_BITS, kept_shape_layout
from .ports import WritePortSignature, address_width
from .slot_packer import SlotPacker
from .slot_tile_memory import SlotTileMemory
from .slot_tile_writer import SlotTileWriter
from .structured_selector import StructuredSelector


class ActivationCompressor(wiring.Component):
    """Takes the beats of rows of int8 and gives lines of a compressed operand.

    Keeps the N largest magnitudes of every M elements (TASD, Jeong et al., arXiv 2403.07953), so
    that all rows have as many slots, and puts the slots of C rows side by side, C columns of the
    array. Throughput one beat a cycle, and no pause between tiles: `StructuredSelector` picks,
    `SlotPacker` fills entries of a row, `SlotTileMemory` holds two tiles, `SlotTileWriter` writes
    one while the other is filled. `docs/activations.md` draws it.

    Parameters
    ----------
    config : AcceleratorConfig
        With `largest_kept_group` above 0.

    Members
    -------
    clear : in
        Return to the reset state.
    start : in
        A block of `rows` rows begins, whose first tile goes to `address`.
    rows, address : in
        Those of the block; sampled with `start`.
    keep, log_group, shape : in
        N, the logarithm of M, and what `KeptShape` makes of them; stable during a block.
    valid, first, last, elements : in
        A beat, int8 from -127 to 127, zero beyond the row. The first row of a tile comes only if
        fewer than `slot_tile_memory.TILES` tiles have begun and not been written.
    row_taken, tile_written : out
        A row will need nothing more; a tile has been accepted by `write`.
    busy : out
        A tile of the block has not been accepted.
    write : `WritePortSignature`
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._selector = StructuredSelector(config)
        super().__init__(
            {
                "clear": In(1),
                "start": In(1),
                "rows": In(16),
                "address": In(address_width(config)),
                "keep": In(KEEP_BITS),
                "log_group": In(LOG_GROUP_BITS),
                "shape": In(kept_shape_layout(config)),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "elements": In(data.ArrayLayout(signed(8), config.vector_lanes)),
                "row_taken": Out(1),
                "tile_written": Out(1),
                "busy": Out(1),
                "write": Out(WritePortSignature(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the four parts in a row."""
        m = Module()
        m.submodules.selector = selector = self._selector
        m.submodules.packer = packer = SlotPacker(self.config)
        m.submodules.memory = memory = SlotTileMemory(self.config)
        m.submodules.writer = writer = SlotTileWriter(self.config)
        m.d.comb += [part.clear.eq(self.clear) for part in (selector, packer, memory, writer)]
        for part in (selector, packer):
            m.d.comb += [part.keep.eq(self.keep), part.log_group.eq(self.log_group)]
        m.d.comb += [
            selector.valid.eq(self.valid),
            selector.first.eq(self.first),
            selector.last.eq(self.last),
            selector.elements.eq(self.elements),
            packer.input.eq(selector.output),
            memory.input.eq(packer.output),
            memory.start.eq(self.start),
            memory.rows.eq(self.rows),
            memory.number.eq(writer.number),
            memory.release.eq(writer.release),
            writer.start.eq(self.start),
            writer.address.eq(self.address),
            writer.shape.eq(self.shape),
            writer.full.eq(memory.full),
            writer.tile_rows.eq(memory.tile_rows),
            writer.elements.eq(memory.elements),
            self.row_taken.eq(memory.row_taken),
            self.tile_written.eq(writer.written),
        ]
        tiles_left = Signal(16)
        columns = self.config.array.columns
        tiles = ((self.rows - 1)[:16] >> (columns.bit_length() - 1)) + 1
        busy = Signal()
        m.d.comb += self.busy.eq(busy)
        with m.If(self.clear):
            m.d.sync += busy.eq(0)
        with m.Elif(self.start):
            m.d.sync += [tiles_left.eq(tiles), busy.eq(1)]
        with m.Elif(writer.written):
            m.d.sync += [tiles_left.eq(tiles_left - 1), busy.eq(tiles_left != 1)]
        wiring.connect(m, writer.lines, wiring.flipped(self.write.request))
        return m
