"""Addresses of one operand, tile by tile and chunk by chunk."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .ports import address_width


class Move(enum.Enum, shape=2):
    """Where an operand goes on."""

    CHUNK = 0
    """The next chunk of the tile."""
    TILE = 1
    """The first chunk of the next tile."""
    SAME_TILE = 2
    """The first chunk of this tile."""
    FIRST_TILE = 3
    """The first chunk of the first tile."""


class OperandWalk(wiring.Component):
    """Follows a matrix in steps of tiles (rows, or columns if transposed) and chunks (K).

    Parameters
    ----------
    config : AcceleratorConfig
    vector : int
        Elements of a tile: rows or columns of the array.

    Members
    -------
    base, pitch, transposed : in; the matrix. They stay while it is walked.
    halved : in; chunks have half the steps, of all operands of the product. It stays likewise.
    start : in; go to the first chunk of the first tile.
    advance : in; go where `move` says.
    address : out; word of the first line of the chunk.
    part : out; place of the tile in its word, in units of `vector`, if transposed.
    """

    def __init__(self, config: AcceleratorConfig, vector: int) -> None:
        self._config = config
        self._vector = vector
        self._parts = max(1, WORD_BYTES // vector)
        width = address_width(config)
        super().__init__(
            {
                "base": In(width),
                "pitch": In(16),
                "transposed": In(1),
                "halved": In(1),
                "start": In(1),
                "advance": In(1),
                "move": In(Move),
                "address": Out(width),
                "part": Out(range(self._parts)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    @property
    def vector(self) -> int:
        """Elements of a tile."""
        return self._vector

    def elaborate(self, platform: object) -> Module:
        """Return a pointer to the tile and one to the chunk."""
        m = Module()
        width = len(self.address)
        tile = Signal(width)
        next_tile = Signal(width)
        next_part = Signal.like(self.part)
        whole_stride = Signal(width + 1)
        chunk_stride = Signal(width)
        chunk = self.config.chunk
        m.d.comb += [
            whole_stride.eq(Mux(self.transposed, self.pitch * chunk, chunk // WORD_BYTES)),
            chunk_stride.eq(Mux(self.halved, whole_stride >> 1, whole_stride)),
            # A word holds several tiles if a tile is shorter: the carry out of `part` counts.
            Cat(next_part, next_tile).eq(Cat(self.part, tile) + self._tile_stride()),
        ]
        with m.If(self.start | (self.advance & (self.move == Move.FIRST_TILE))):
            m.d.sync += [tile.eq(self.base), self.address.eq(self.base), self.part.eq(0)]
        with m.Elif(self.advance), m.Switch(self.move):
            with m.Case(Move.CHUNK):
                m.d.sync += self.address.eq(self.address + chunk_stride)
            with m.Case(Move.TILE):
                m.d.sync += [tile.eq(next_tile), self.address.eq(next_tile)]
                m.d.sync += self.part.eq(next_part)
            with m.Case(Move.SAME_TILE):
                m.d.sync += self.address.eq(tile)
        return m

    def _tile_stride(self):
        """Return the distance of tiles, in units of a word's parts."""
        across = max(1, self.vector // WORD_BYTES)
        return Mux(self.transposed, across, self.pitch * self.vector * self._parts)
