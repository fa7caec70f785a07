"""Holds the slots of rows until a tile of them can be written side by side."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .block_queue import BLOCK_MEMORY
from .config import AcceleratorConfig
from .slot_packer import entries, entry_layout
from .tally import tally

TILES = 2
"""Tiles there is room for: one is written while the next one is filled."""


def tile_entry_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """The elements of one entry of every row of a tile."""
    return data.ArrayLayout(entry_layout(config)["elements"].shape, config.array.columns)


class SlotTileMemory(wiring.Component):
    """A memory for each row of a tile, written row by row and read at one entry of all rows.

    Throughput an entry in and an entry of all rows out a cycle. Entries beyond `kept_slots` are
    dropped.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Return to the reset state.
    start : in
        A block of `rows` rows begins; the one before has left.
    rows : in
    input : in, `entry_layout`
        The caller sees to it that the first row of a tile comes only when there is room.
    row_taken : out
        A row is complete.
    full : out
        A tile is complete.
    tile_rows : out
        The rows of the oldest one that is.
    number : in
        Entry of it to be read.
    elements : out, `tile_entry_layout`
        A cycle later.
    release : in
        The oldest tile has been read.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "start": In(1),
                "rows": In(16),
                "input": In(entry_layout(config)),
                "row_taken": Out(1),
                "full": Out(1),
                "tile_rows": Out(range(config.array.columns + 1)),
                "number": In(range(entries(config))),
                "elements": Out(tile_entry_layout(config)),
                "release": In(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object):
        """Return the memories and the counters of rows and tiles."""
        m = Module()
        columns, count = self.config.array.columns, entries(self.config)
        row, left = Signal(range(columns)), Signal(16)
        filled, drained = Signal(), Signal()
        tile_rows = [Signal.like(self.tile_rows, name=f"tile_rows_{tile}") for tile in range(TILES)]
        tile_ends = Signal()
        tiles = tally(m, "tiles", TILES, tile_ends, self.release)
        m.d.comb += [
            self.full.eq(tiles.some),
            self.row_taken.eq(self.input.valid & self.input.last),
            tile_ends.eq(self.row_taken & ((row == columns - 1) | (left == 1))),
            self.tile_rows.eq(Mux(drained, tile_rows[1], tile_rows[0])),
        ]
        m.d.sync += [
            filled.eq(filled ^ tile_ends),
            drained.eq(drained ^ self.release),
            left.eq(Mux(self.start, self.rows, left - self.row_taken)),
        ]
        with m.If(self.row_taken):
            m.d.sync += row.eq(Mux(tile_ends, 0, row + 1))
        for tile, rows in enumerate(tile_rows):
            with m.If(tile_ends & (filled == tile)):
                m.d.sync += rows.eq(row + 1)

        bits = (count - 1).bit_length()
        beyond = self.input.number >= count
        for number, elements in enumerate(self.elements):
            width = len(elements.as_value())
            memory = Memory(shape=width, depth=TILES * count, init=[], attrs=BLOCK_MEMORY)
            m.submodules[f"row_{number}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(Cat(self.input.number[:bits], filled)),
                write.data.eq(self.input.elements.as_value()),
                write.en.eq(self.input.valid & (row == number) & ~beyond),
                read.addr.eq(Cat(self.number, drained)),
                read.en.eq(1),
                elements.as_value().eq(read.data),
            ]
        return ResetInserter(self.clear)(m)
