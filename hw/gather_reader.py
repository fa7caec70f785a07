"""Gathers the inputs at given places of K, to stream past packed stationary weights."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig, ConfigError
from .gather_walk import GatherWalk, gather_layout, place_layout
from .operand import FillSignature, fill_layout, is_gathered
from .ports import ReadPortSignature, address_width, line_layout
from .processing_element import OPERAND_BITS
from .response_tags import ResponseTags
from .scratchpad import Scratchpad

__all__ = ["GatherReader", "gather_layout", "place_layout"]

_BYTE_BITS = (WORD_BYTES - 1).bit_length()


def _tag_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Which byte of each word goes where; `fresh`: the words are those of another line."""
    fill = fill_layout(config)
    return data.StructLayout(
        {
            "element": fill["element"].shape,
            "part": fill["part"].shape,
            "last": 1,
            "byte": _BYTE_BITS,
            "fresh": 1,
        }
    )


class GatherReader(wiring.Component):
    """Fills operand A with the inputs at the places of stationary tiles, chunk by chunk.

    All rows of A pass each tile. For each part of a chunk of them a line, eight places by as many
    rows as there are lanes, is read once for all successive places in it and gives a place a cycle.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    operand : stream of `gather_layout`, in; once a product.
    places : stream of `place_layout`, in; up to R a tile. Those of the next tile are taken while
        the rows of A pass the one before.
    read : read port of the scratchpad
    fill : `FillSignature`, out. Elements of the operand beyond the places of a tile, and steps
        beyond the rows of A, keep what they held.
    idle : out; whatever was announced has been filled in.

    Throughput: a place a cycle, also if each has a line of its own, as long as no access is
    refused. Latency: eight cycles from the last place of a tile to the column of its first.

    Raises
    ------
    ConfigError
        If the parameters leave out compressed operands or stationary flows.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        if not is_gathered(config):
            raise ConfigError(
                "array.block must be at least 4 and array.partial_rows at least 16 to gather, not "
                f"{config.array.block} and {config.array.partial_rows}"
            )
        self._config = config
        super().__init__(
            {
                "operand": In(stream.Signature(gather_layout(config))),
                "places": In(stream.Signature(place_layout)),
                "read": Out(ReadPortSignature(config)),
                "fill": Out(FillSignature(config)),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the walk over places, the requests, and the choice of bytes."""
        m = Module()
        m.submodules.walk = walk = GatherWalk(self.config)
        m.submodules.tags = tags = ResponseTags(_tag_layout(self.config))
        wiring.connect(m, wiring.flipped(self.operand), walk.operand)
        wiring.connect(m, wiring.flipped(self.places), walk.places)
        m.d.comb += [walk.room.eq(self.fill.room), self.fill.begin.eq(walk.begin)]
        waiting = self._request(m, walk.picks, tags)
        self._choose(m, tags)
        under_way = Signal(range(Scratchpad.READ_LATENCY + 2))
        with m.If(tags.accepted):
            m.d.sync += under_way.eq(Scratchpad.READ_LATENCY + 1)
        with m.Elif(under_way != 0):
            m.d.sync += under_way.eq(under_way - 1)
        m.d.comb += self.idle.eq(walk.idle & ~waiting & (under_way == 0))
        return m

    def _request(self, m: Module, picks, tags: ResponseTags) -> Signal:
        """Ask for the line of a pick, or let the pick follow the line before; return it waits."""
        pick = picks.payload
        waiting = Signal()
        address, pitch = Signal(address_width(self.config)), Signal(16)
        tag = Signal(_tag_layout(self.config))
        request = self.read.request
        m.d.comb += [
            request.valid.eq(waiting & tag.fresh),
            request.payload.address.eq(address),
            request.payload.pitch.eq(pitch),
            tags.request.eq(tag),
            tags.accepted.eq(waiting & (~tag.fresh | request.ready)),
            picks.ready.eq(~waiting | tags.accepted),
        ]
        with m.If(picks.ready):
            m.d.sync += [
                waiting.eq(picks.valid),
                address.eq(pick.address + pick.k[_BYTE_BITS:]),
                pitch.eq(pick.pitch),
                tag.element.eq(pick.element),
                tag.part.eq(pick.part),
                tag.last.eq(pick.last),
                tag.byte.eq(pick.k[:_BYTE_BITS]),
                tag.fresh.eq(pick.fresh),
            ]
        return waiting

    def _choose(self, m: Module, tags: ResponseTags) -> None:
        """Keep the line that came last, and give a byte of each of its words."""
        line = Signal(line_layout(self.config), reset_less=True)
        tag = Signal(_tag_layout(self.config), reset_less=True)
        with m.If(tags.valid & tags.response.fresh):
            m.d.sync += line.eq(self.read.response.payload)
        m.d.sync += [self.fill.write.eq(tags.valid), tag.eq(tags.response)]
        place = self.fill.place
        m.d.comb += [
            place.element.eq(tag.element),
            place.part.eq(tag.part),
            place.last.eq(tag.last),
        ]
        for lane in range(self.config.lanes):
            m.d.comb += self.fill.steps[lane].eq(line[lane].word_select(tag.byte, OPERAND_BITS))
