"""Reads the lines of both operands from the scratchpad, chunk by chunk."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .operand import (
    CHUNKS,
    FillSignature,
    Operand,
    blocks_layout,
    is_gathered,
    lines_in_chunk,
    lows_layout,
)
from .ports import ReadPortSignature, address_width
from .processing_element import OPERAND_BITS
from .response_tags import ResponseTags


def burst_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The lines of one operand that hold a chunk.

    Line i begins at ``address + i``, or, where a chunk takes more steps than there are lanes,
    at ``address + i·lanes·pitch`` if transposed. Of a `wide` chunk, which is not transposed, lines
    of the upper plane take turns with those of the lower one, from `low_address` on; both count
    in `lines`. Only with ``array.wide_rows``.
    """
    shortest = min(config.array.rows, config.array.columns)
    members: dict[str, Any] = {
        "address": address_width(config),
        "pitch": 16,
        "transposed": 1,
        "part": range(max(1, WORD_BYTES // shortest)),
        "lines": range(lines_in_chunk(config) + 1),
    }
    if config.array.wide_rows:
        members |= {"wide": 1, "low_address": address_width(config)}
    return data.StructLayout(members)


def lines_of(config: AcceleratorConfig, steps: Value, transposed: Value, vector: int) -> Value:
    """Return the lines that hold the steps of a chunk: none is read beyond the last step."""
    columns = (steps + config.lanes - 1) // config.lanes * max(1, vector // WORD_BYTES)
    return Mux(transposed, columns, words_of(steps))


def words_of(steps: Value) -> Value:
    """Return the words that hold so many steps of an element."""
    return (steps + WORD_BYTES - 1) // WORD_BYTES


class OperandSignature(wiring.Signature):
    """One operand, seen from its reader.

    Parameters
    ----------
    config : AcceleratorConfig
    vector : int
        Elements of a step: rows or columns of the array.

    Members
    -------
    bursts : stream of `burst_layout`; a chunk each
    available : a chunk waits.
    take, step, step_block, elements, lows, blocks : see `Operand`.
    """

    def __init__(self, config: AcceleratorConfig, vector: int) -> None:
        members: dict[str, Any] = {
            "bursts": In(stream.Signature(burst_layout(config))),
            "available": Out(1),
            "take": In(1),
            "step": In(1),
            "elements": Out(data.ArrayLayout(signed(OPERAND_BITS), vector)),
            "step_block": In(1),
            "blocks": Out(blocks_layout(config, vector)),
        }
        if config.array.wide_rows:
            members["lows"] = Out(lows_layout(vector))
        super().__init__(members)


def _tag_layout(config: AcceleratorConfig) -> data.StructLayout:
    burst = burst_layout(config)
    return data.StructLayout(
        {
            "is_b": 1,
            "index": range(lines_in_chunk(config)),
            "part": burst["part"].shape,
            "transposed": 1,
            "last": 1,
        }
    )


class OperandReader(wiring.Component):
    """Asks for lines and keeps the two operand buffers filled.

    A chunk is asked for as soon as there will be room for it, one line a cycle; where both
    operands wait, A and B take turns, A first.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    a, b : `OperandSignature` of the rows and of the columns
    read : read port of the scratchpad
    fill : the other side of `FillSignature`, only where flows gather places of K: chunks of A that
        come from elsewhere. No burst of A is given from the first of them until all have been
        filled in.

    Latency: chunks of n lines, A and B together, that wait for room and are not refused are
    available n + `Scratchpad.READ_LATENCY` + 2 cycles after the `take` that gives them room,
    and one more if ``array.pipelined``.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        members: dict[str, Any] = {
            "a": Out(OperandSignature(config, config.array.rows)),
            "b": Out(OperandSignature(config, config.array.columns)),
            "read": Out(ReadPortSignature(config)),
        }
        if is_gathered(config):
            members["fill"] = In(FillSignature(config))
        super().__init__(members)

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the request registers and the buffers."""
        m = Module()
        array = self.config.array
        m.submodules.tags = tags = ResponseTags(_tag_layout(self.config))
        self._request(m, tags)
        place = tags.response
        for is_b, (name, vector) in enumerate((("a", array.rows), ("b", array.columns))):
            port = getattr(self, name)
            gathered = is_gathered(self.config) and not is_b
            m.submodules[name] = operand = Operand(self.config, vector, gathered=gathered)
            if gathered:
                m.d.comb += [
                    operand.fill.eq(self.fill.write),
                    operand.fill_place.eq(self.fill.place),
                    operand.fill_steps.eq(self.fill.steps),
                ]
            m.d.comb += [
                operand.line.eq(self.read.response.payload),
                operand.write.eq(tags.valid & (place.is_b == is_b)),
                operand.place.index.eq(place.index),
                operand.place.part.eq(place.part),
                operand.place.transposed.eq(place.transposed),
                operand.place.last.eq(place.last),
                operand.take.eq(port.take),
                operand.step.eq(port.step),
                operand.step_block.eq(port.step_block),
                port.available.eq(operand.available),
                port.elements.eq(operand.elements),
                port.blocks.eq(operand.blocks),
            ]
            if self.config.array.wide_rows:
                m.d.comb += port.lows.eq(operand.lows)
        return m

    def _request(self, m: Module, tags: ResponseTags) -> None:
        """Walk the lines of a burst; the next one of each operand waits meanwhile."""
        current = Signal(burst_layout(self.config))
        requesting, load, load_b = Signal(), Signal(), Signal()
        is_b = Signal(init=1)
        index = Signal(range(lines_in_chunk(self.config)))

        request = self.read.request
        accepted = request.valid & request.ready
        last = current.lines == index + 1
        m.d.comb += [
            request.valid.eq(requesting),
            request.payload.address.eq(current.address),
            request.payload.pitch.eq(current.pitch),
            tags.accepted.eq(accepted),
            tags.request.is_b.eq(is_b),
            tags.request.index.eq(index),
            tags.request.part.eq(current.part),
            tags.request.transposed.eq(current.transposed),
            tags.request.last.eq(last),
        ]
        stride = 1
        if self.config.lanes < self.config.chunk:
            stride = Mux(current.transposed, current.pitch * self.config.lanes, 1)
        with m.If(accepted):
            m.d.sync += [current.address.eq(current.address + stride), index.eq(index + 1)]
        if self.config.array.wide_rows:
            self._alternate(m, tags, current, index, accepted)

        free = ~requesting | (accepted & last)
        gathered = is_gathered(self.config)
        begun = self.fill.begin if gathered else 0
        eligible_a, burst_a, room_a = self._wait(m, "a", self.a, load & ~load_b, begun)
        eligible_b, burst_b, _ = self._wait(m, "b", self.b, load & load_b, 0)
        if gathered:
            m.d.comb += self.fill.room.eq(room_a & (~requesting | is_b))
        m.d.comb += [
            load.eq(free & (eligible_a | eligible_b)),
            load_b.eq(eligible_b & (~is_b | ~eligible_a)),
        ]
        with m.If(load):
            m.d.sync += [index.eq(0), requesting.eq(1), is_b.eq(load_b)]
            m.d.sync += current.eq(Mux(load_b, burst_b, burst_a))
        with m.Elif(accepted & last):
            m.d.sync += requesting.eq(0)

    def _alternate(
        self, m: Module, tags: ResponseTags, current, index: Signal, accepted: Value
    ) -> None:
        """Take the lines of both planes in turns; those of the lower one are the second half."""
        is_low, line = index[0], index[1:]
        half = self.config.chunk // WORD_BYTES // 2
        with m.If(current.wide):
            m.d.comb += tags.request.index.eq(line + Mux(is_low, half, 0))
            with m.If(accepted):
                m.d.sync += [
                    current.address.eq(current.low_address),
                    current.low_address.eq(current.address + 1),
                ]

    def _wait(self, m: Module, name: str, port, load, begun: ValueLike):
        """Keep the next burst of an operand.

        Return that it may be asked for, the burst, and that there is none but room for a chunk.
        """
        burst = Signal(burst_layout(self.config), name=f"burst_{name}")
        waiting = Signal(name=f"waiting_{name}")
        # Chunks asked for, or begun elsewhere, and not yet taken.
        chunks = Signal(range(CHUNKS + 1), name=f"chunks_{name}")
        m.d.sync += chunks.eq(chunks + load + begun - port.take)
        m.d.comb += port.bursts.ready.eq(~waiting)
        with m.If(load):
            m.d.sync += waiting.eq(0)
        with m.Elif(port.bursts.valid & ~waiting):
            m.d.sync += [burst.eq(port.bursts.payload), waiting.eq(1)]
        room = chunks < CHUNKS
        early = 0 if self.config.array.pipelined else port.take
        return waiting & (room | early), burst, ~waiting & room
