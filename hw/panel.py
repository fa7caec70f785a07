"""The panel: all inputs of the rows that a sparse product works on, block by block."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .operand import blocks_layout


class Panel(wiring.Component):
    """A ring of blocks, filled in order and read in any order.

    A row tile's blocks follow each other. While one row tile is read, the blocks of the next are
    written behind it as far as there is room; `release` makes that one the tile that is read.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    room : out; a block may be written.
    write : in; append `blocks`, a block for each row, with `room`.
    block : in; the block of the row tile that is wanted.
    present : out; `block` has been written.
    complete : out; the first `count` blocks have been written.
    release : in; the row tile and its `count` blocks are given up, with `complete`. In this cycle
        `block` may still be read.
    enable : in; read `block`, and move what was read on.
    activations : out; what was read two cycles of `enable` ago.

    Throughput: a block is written and one is read each cycle.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        blocks = config.array.panel_blocks
        layout = blocks_layout(config, config.array.rows)
        super().__init__(
            {
                "room": Out(1),
                "write": In(1),
                "blocks": In(layout),
                "block": In(range(blocks)),
                "present": Out(1),
                "count": In(range(blocks + 1)),
                "complete": Out(1),
                "release": In(1),
                "enable": In(1),
                "activations": Out(layout),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return one memory a row and the pointers of the ring."""
        m = Module()
        array = self.config.array
        base = Signal(range(array.panel_blocks))
        end = Signal(range(array.panel_blocks))
        filled = Signal(range(array.panel_blocks + 1))
        released = Signal.like(filled)
        place = Signal.like(base)
        with m.If(self.release):
            m.d.comb += released.eq(self.count)
            m.d.sync += base.eq(base + self.count)
        with m.If(self.write):
            m.d.sync += end.eq(end + 1)
        m.d.sync += filled.eq(filled + self.write - released)
        m.d.comb += [
            self.room.eq(filled != array.panel_blocks),
            self.present.eq(self.block < filled),
            self.complete.eq(self.count <= filled),
            place.eq(base + self.block),
        ]
        for r in range(array.rows):
            block = Value.cast(self.blocks[r])
            m.submodules[f"row_{r}"] = row = memory.Memory(
                shape=len(block), depth=array.panel_blocks, init=[]
            )
            write, read = row.write_port(), row.read_port()
            m.d.comb += [
                write.en.eq(self.write),
                write.addr.eq(end),
                write.data.eq(block),
                read.en.eq(self.enable),
                read.addr.eq(place),
            ]
            held = Signal(len(block), reset_less=True, name=f"held_{r}")
            with m.If(self.enable):
                m.d.sync += held.eq(read.data)
            m.d.comb += Value.cast(self.activations[r]).eq(held)
        return m
