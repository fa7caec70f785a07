"""One operand of the array: chunks of lines in, a vector of bytes a step out."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig, ConfigError
from .ports import WORD_BITS, line_layout
from .processing_element import OPERAND_BITS, PLANE_BITS

CHUNKS = 2
"""Chunks that an operand buffers, besides the one in use."""


def lines_in_chunk(config: AcceleratorConfig) -> int:
    """Largest number of lines that a chunk of either operand takes in either orientation."""
    return max(config.chunk // WORD_BYTES, config.chunk // config.lanes)


def blocks_layout(config: AcceleratorConfig, vector: int) -> data.ArrayLayout:
    """A block of inputs for each of `vector` rows or columns of the array."""
    return data.ArrayLayout(data.ArrayLayout(signed(OPERAND_BITS), config.array.block), vector)


def lows_layout(vector: int) -> data.ArrayLayout:
    """The lower plane of a wide step."""
    return data.ArrayLayout(PLANE_BITS, vector)


def write_layout(config: AcceleratorConfig, vector: int) -> data.StructLayout:
    """Where a line belongs.

    `index` counts the lines of a chunk. Not transposed, lane r of the line holds eight steps of
    element r. Transposed, lane l holds eight elements of step l, and `part` is the place in a
    word where the tile begins, in units of the vector, if the vector is shorter than a word.
    """
    return data.StructLayout(
        {
            "index": range(lines_in_chunk(config)),
            "transposed": 1,
            "part": range(max(1, WORD_BYTES // vector)),
            "last": 1,
        }
    )


def is_gathered(config: AcceleratorConfig) -> bool:
    """Return whether there is a flow that gathers places of K, with operand A."""
    return config.array.block > 1 and config.array.partial_rows > 0


def fill_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Where the steps of one element belong that are given at once.

    They are ``part``·lanes and following of the chunk, or all where a chunk is as long as there
    are lanes. `last`: the chunk is complete.
    """
    return data.StructLayout(
        {
            "element": range(config.array.rows),
            "part": range(config.chunk // config.lanes),
            "last": 1,
        }
    )


class FillSignature(wiring.Signature):
    """Steps of single elements, seen from who gives them.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    room : a chunk may be begun.
    begin : a chunk is begun; the next cycle that has room has it for another one.
    write : `steps` belong to `place`, a `fill_layout`, of the chunk that was begun first.
    place, steps
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "room": In(1),
                "begin": Out(1),
                "write": Out(1),
                "place": Out(fill_layout(config)),
                "steps": Out(data.ArrayLayout(OPERAND_BITS, config.lanes)),
            }
        )


class Operand(wiring.Component):
    """Gathers chunks of K in either orientation and hands them out step by step.

    A line lies in registers where its bytes belong, whichever way it was read, so neither
    orientation costs a cycle more. A complete chunk moves on to a second register set, and from
    there to the set in use, which shifts by one step a cycle. A wide chunk has half the steps: its
    second half is the lower plane of the first.

    Parameters
    ----------
    config : AcceleratorConfig
    vector : int
        Elements of a step: rows or columns of the array, a power of two from 2 to the lanes.
    gathered : bool
        Whether steps of single elements are written as well; `vector` is the rows of the array.

    Members
    -------
    write : in; `line` belongs to `place`, a `write_layout`.
    available : out; a chunk is complete and waits.
    take : in; put the chunk that waits in use. Its first step is in `elements` in the next cycle.
    step : in; go on to the next step of the chunk in use.
    elements : signed(8) [vector], out
    lows : [7] [vector], out, only if ``array.wide_rows``; the lower plane, if the chunk is wide.
    step_block : in; go on by ``array.block`` steps.
    blocks : signed(8) [vector][block], out; the next ``array.block`` steps of each element.
    fill : in, only if `gathered`; `fill_steps`, a byte a lane, belong to `fill_place`, a
        `fill_layout`. Not with `write`, nor between the lines of a chunk.

    A chunk is available two cycles after its last line or its last steps were written.

    Raises
    ------
    ConfigError
        If `vector` is out of range, or not the rows of the array though `gathered`.
    """

    def __init__(self, config: AcceleratorConfig, vector: int, *, gathered: bool = False) -> None:
        if gathered and vector != config.array.rows:
            raise ConfigError(
                f"vector must be array.rows = {config.array.rows} to be gathered, not {vector!r}"
            )
        if not 2 <= vector <= config.lanes or vector & (vector - 1):
            raise ConfigError(
                f"vector must be a power of two from 2 to {config.lanes}, not {vector!r}"
            )
        self._config = config
        self._vector = vector
        self._gathered = gathered
        members: dict[str, Any] = {
            "line": In(line_layout(config)),
            "write": In(1),
            "place": In(write_layout(config, vector)),
            "available": Out(1),
            "take": In(1),
            "step": In(1),
            "elements": Out(data.ArrayLayout(signed(OPERAND_BITS), vector)),
            "step_block": In(1),
            "blocks": Out(blocks_layout(config, vector)),
        }
        if config.array.wide_rows:
            members["lows"] = Out(lows_layout(vector))
        if gathered:
            members |= {
                "fill": In(1),
                "fill_place": In(fill_layout(config)),
                "fill_steps": In(data.ArrayLayout(OPERAND_BITS, config.lanes)),
            }
        super().__init__(members)

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    @property
    def vector(self) -> int:
        """Elements of a step."""
        return self._vector

    @property
    def gathered(self) -> bool:
        """Whether steps of single elements are written as well."""
        return self._gathered

    def elaborate(self, platform: object) -> Module:
        """Return the three register sets."""
        m = Module()
        filled = Signal()
        move = Signal()
        completed = self.write & self.place.last
        if self.gathered:
            completed = completed | (self.fill & self.fill_place.last)
        m.d.comb += move.eq(filled & (~self.available | self.take))
        m.d.sync += [
            filled.eq(completed | (filled & ~move)),
            self.available.eq(move | (self.available & ~self.take)),
        ]

        chunk_bits = OPERAND_BITS * self.config.chunk
        block_bits = OPERAND_BITS * self.config.array.block
        for element in range(self.vector):
            filling = Signal(chunk_bits, reset_less=True, name=f"filling_{element}")
            waiting = Signal(chunk_bits, reset_less=True, name=f"waiting_{element}")
            using = Signal(chunk_bits, reset_less=True, name=f"using_{element}")
            with m.If(self.write):
                with m.If(self.place.transposed):
                    self._write_transposed(m, filling, element)
                with m.Else():
                    index = self.place.index
                    m.d.sync += filling.word_select(index, WORD_BITS).eq(self.line[element])
            if self.gathered:
                self._fill(m, filling, element)
            with m.If(move):
                m.d.sync += waiting.eq(filling)
            with m.If(self.take):
                m.d.sync += using.eq(waiting)
            # What follows the last step means nothing.
            with m.Elif(self.step):
                m.d.sync += using[:-OPERAND_BITS].eq(using[OPERAND_BITS:])
            with m.Elif(self.step_block):
                m.d.sync += using[:-block_bits].eq(using[block_bits:])
            m.d.comb += [
                self.elements[element].eq(using[:OPERAND_BITS].as_signed()),
                Value.cast(self.blocks[element]).eq(using[:block_bits]),
            ]
            if self.config.array.wide_rows:
                m.d.comb += self.lows[element].eq(using.bit_select(chunk_bits // 2, PLANE_BITS))
        return m

    def _fill(self, m: Module, filling: Signal, element: int) -> None:
        """Let the steps of `element` be given alone."""
        steps = Value.cast(self.fill_steps)
        with m.If(self.fill & (self.fill_place.element == element)):
            m.d.sync += filling.word_select(self.fill_place.part, len(steps)).eq(steps)

    def _write_transposed(self, m: Module, filling: Signal, element: int) -> None:
        """Gather the byte of `element` from each lane."""
        words = [self.line[lane] for lane in range(self.config.lanes)]
        if self.vector < WORD_BYTES:
            place = Signal(range(WORD_BYTES), name=f"byte_{element}")
            m.d.comb += place.eq(self.place.part * self.vector + element)
            steps = Cat(word.word_select(place, OPERAND_BITS) for word in words)
        else:
            place = element % WORD_BYTES
            steps = Cat(word.word_select(place, OPERAND_BITS) for word in words)
        if self.config.lanes < self.config.chunk:
            m.d.sync += filling.word_select(self.place.index, len(steps)).eq(steps)
        elif self.vector > WORD_BYTES:
            with m.If(self.place.index == element // WORD_BYTES):
                m.d.sync += filling.eq(steps)
        else:
            m.d.sync += filling.eq(steps)
