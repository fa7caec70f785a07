"""Walks the places of stationary tiles, chunk after chunk of the rows that pass them."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .buffered_queue import BufferedQueue
from .config import WORD_BYTES, AcceleratorConfig
from .operand import fill_layout
from .ports import address_width

OPERANDS_AHEAD = 4
"""Products whose A may be announced before the product at work is over."""

_LISTS = 2

place_layout = data.StructLayout({"k": 16, "last": 1, "final": 1})
"""A place of K, that of the next row of a stationary tile.

`last`: of its tile. `final`, with `last`: of the last tile of its product.
"""


def gather_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A of one product: `rows` rows from word `address` on, not transposed."""
    return data.StructLayout({"address": address_width(config), "pitch": 16, "rows": 16})


def pick_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A place of some rows of A.

    The rows begin at word `address`. `element`, `part`, `last`: see `fill_layout`. `fresh`: the
    place lies in another word than the pick before, or the rows are others.
    """
    fill = fill_layout(config)
    return data.StructLayout(
        {
            "address": address_width(config),
            "pitch": 16,
            "k": 16,
            "fresh": 1,
            "element": fill["element"].shape,
            "part": fill["part"].shape,
            "last": 1,
        }
    )


class GatherWalk(wiring.Component):
    """Gives every place of a tile for each part of each chunk of the rows of A.

    There are two lists of places: one is walked while the other takes the places of the next tile.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    operand : stream of `gather_layout`, in; once a product.
    places : stream of `place_layout`, in; up to R a tile.
    room, begin : see `FillSignature`.
    picks : stream of `pick_layout`, out
    idle : out; nothing is announced and no pick is offered.

    Throughput: a pick a cycle, between tiles no pause. Latency: two cycles from the last place of
    the first tile to its first pick.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "operand": In(stream.Signature(gather_layout(config))),
                "places": In(stream.Signature(place_layout)),
                "room": In(1),
                "begin": Out(1),
                "picks": Out(stream.Signature(pick_layout(config))),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the queue of operands, the lists and the loops over them."""
        m = Module()
        rows = self.config.array.rows
        m.submodules.operands = operands = BufferedQueue(
            width=gather_layout(self.config).size, depth=OPERANDS_AHEAD
        )
        m.submodules.lists = lists = Memory(
            shape=data.StructLayout({"k": 16, "fresh": 1}), depth=_LISTS * rows, init=[]
        )
        lasts = Array(Signal(range(rows), name=f"last_{n}") for n in range(_LISTS))
        finals = Array(Signal(name=f"final_{n}") for n in range(_LISTS))
        complete = Array(Signal(name=f"complete_{n}") for n in range(_LISTS))
        m.d.comb += [
            operands.w_data.eq(self.operand.payload),
            operands.w_en.eq(self.operand.valid),
            self.operand.ready.eq(operands.w_rdy),
            self.idle.eq((operands.level == 0) & ~self.picks.valid),
        ]
        self._collect(m, lists.write_port(), lasts, finals, complete)
        self._walk(m, operands, lists.read_port(), lasts, finals, complete)
        return m

    def _collect(self, m: Module, write, lasts, finals, complete) -> None:
        """Write places to the lists in turn."""
        number, index = Signal(range(_LISTS)), Signal(range(self.config.array.rows))
        previous = Signal(16)
        place = self.places.payload
        word_bits = (WORD_BYTES - 1).bit_length()
        another_word = place.k[word_bits:] != previous[word_bits:]
        m.d.comb += [
            self.places.ready.eq(~complete[number]),
            write.en.eq(self.places.valid & self.places.ready),
            write.addr.eq(number * self.config.array.rows + index),
            write.data.k.eq(place.k),
            write.data.fresh.eq((index == 0) | another_word),
        ]
        with m.If(write.en):
            m.d.sync += [index.eq(index + 1), previous.eq(place.k)]
        with m.If(write.en & place.last):
            m.d.sync += [
                index.eq(0),
                number.eq(number + 1),
                lasts[number].eq(index),
                finals[number].eq(place.final),
                complete[number].eq(1),
            ]

    def _walk(self, m: Module, operands, read, lasts, finals, complete) -> None:
        """Walk places inside parts inside chunks inside tiles."""
        config = self.config
        operand = data.View(gather_layout(config), operands.r_data)
        number, index = Signal(range(_LISTS)), Signal(range(config.array.rows))
        part = Signal(self.picks.payload.part.shape())
        beginning = Signal(init=1)
        next_address, next_rows = Signal(address_width(config)), Signal(16)
        address, rows = Signal(address_width(config)), Signal(16)
        last_place, last_rows, last_part = Signal(), Signal(), Signal()
        offered, advance, tile_ends = Signal(), Signal(), Signal()
        m.d.comb += [
            address.eq(Mux(beginning, operand.address, next_address)),
            rows.eq(Mux(beginning, operand.rows, next_rows)),
            last_place.eq(index == lasts[number]),
            last_rows.eq(rows <= config.lanes),
            last_part.eq(part == config.chunk // config.lanes - 1),
            offered.eq(complete[number] & operands.r_rdy & (self.room | index.any() | part.any())),
            advance.eq(offered & (~self.picks.valid | self.picks.ready)),
            self.begin.eq(advance & (index == 0) & (part == 0)),
            tile_ends.eq(last_place & last_rows),
            operands.r_en.eq(advance & tile_ends & finals[number]),
            read.en.eq(advance),
            read.addr.eq(number * config.array.rows + index),
        ]
        with m.If(advance):
            m.d.sync += [
                beginning.eq(tile_ends),
                next_address.eq(address),
                next_rows.eq(rows),
                index.eq(index + 1),
            ]
            with m.If(last_place):
                m.d.sync += [
                    next_address.eq(address + operand.pitch * config.lanes),
                    next_rows.eq(rows - config.lanes),
                    index.eq(0),
                    part.eq(Mux(last_part | last_rows, 0, part + 1)),
                ]
            with m.If(tile_ends):
                m.d.sync += [complete[number].eq(0), number.eq(number + 1)]

        pick = self.picks.payload
        held = Signal.like(pick)
        m.d.comb += [pick.eq(held), pick.k.eq(read.data.k), pick.fresh.eq(read.data.fresh)]
        with m.If(advance):
            m.d.sync += [
                held.address.eq(address),
                held.pitch.eq(operand.pitch),
                held.element.eq(index),
                held.part.eq(part),
                held.last.eq(last_place & (last_part | last_rows)),
                self.picks.valid.eq(1),
            ]
        with m.Elif(self.picks.ready):
            m.d.sync += self.picks.valid.eq(0)
