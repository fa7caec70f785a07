"""How many slots and words N of every M activations take, from the instruction alone."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .compressed_reader import index_bits
from .config import WORD_BYTES, AcceleratorConfig
from .ports import WORD_BITS

KEEP_BITS = 5
LOG_GROUP_BITS = 3

BLOCK_SLOT_BITS = 5
"""Bits of the slots of a block, 1 to 16."""


def slot_bits(config: AcceleratorConfig) -> int:
    """Bits of the slots of a tile."""
    return config.vector.kept_slots.bit_length()


def tile_word_bits(config: AcceleratorConfig) -> int:
    """Bits of the words of a tile: eight values and at most eight fields more a word."""
    return slot_bits(config) + config.array.columns.bit_length()


def kept_shape_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The slots of a tile and of a block, the words of a tile and of its sections."""
    words = tile_word_bits(config)
    return data.StructLayout(
        {
            "slots": slot_bits(config),
            "block_slots": BLOCK_SLOT_BITS,
            "advance_words": words,
            "index_words": words,
            "value_words": words,
            "tile_words": words,
        }
    )


class KeptShape(wiring.Component):
    """Works out `kept_shape_layout`; four cycles after the inputs.

    Parameters
    ----------
    config : AcceleratorConfig
        With a selector: `largest_kept_group` is not 0.

    Members
    -------
    columns, keep, log_group : in
        Those of the instruction.
    legal : out
        M is from 2 to the largest group, N from 1 to M, and the slots have room in the selector.
        Two cycles after the inputs.
    shape : out, `kept_shape_layout`
        Right where `legal`.
    """

    LATENCY = 4

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "columns": In(16),
                "keep": In(KEEP_BITS),
                "log_group": In(LOG_GROUP_BITS),
                "legal": Out(1),
                "shape": Out(kept_shape_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return a pipeline with one small multiplier."""
        m = Module()
        config, shape = self.config, self.shape
        largest = config.largest_kept_group.bit_length() - 1
        block = config.array.block.bit_length() - 1
        known = (self.log_group >= 1) & (self.log_group <= largest)
        group_size = (1 << self.log_group)[: KEEP_BITS + 1]
        fits = (self.keep >= 1) & (self.keep <= group_size)
        choices = [log if 1 <= log <= largest else 1 for log in range(1 << LOG_GROUP_BITS)]
        last_group = Array((self.columns - 1)[:16] >> log for log in choices)[self.log_group]
        groups, slots = Signal(16), Signal(16 + KEEP_BITS)
        legal = Signal(2)
        per_block = Array(self.keep << (block - log) for log in choices)[self.log_group]
        m.d.sync += [
            groups.eq(last_group + 1),
            slots.eq(groups * self.keep),
            legal[0].eq(known & fits),
            legal[1].eq(legal[0]),
            shape.block_slots.eq(per_block),
            shape.slots.eq(slots),
        ]
        m.d.comb += self.legal.eq(legal[1] & (slots <= config.vector.kept_slots))
        columns = config.array.columns
        parts = {
            "advance_words": WORD_BYTES,
            "index_words": WORD_BITS // (columns * index_bits(config)),
            "value_words": WORD_BYTES // columns,
        }
        for name, in_word in parts.items():
            m.d.sync += shape[name].eq(self._words(shape.slots, name, in_word))
        m.d.comb += shape.tile_words.eq(
            shape.advance_words + shape.index_words + shape.value_words + 1
        )
        return m

    def _words(self, slots: Signal, name: str, in_word: int):
        """Return the words of a section of `slots`, of which a word holds `in_word`."""
        if in_word:
            return (slots + (in_word - 1)) >> (in_word.bit_length() - 1)
        columns = self.config.array.columns
        width = WORD_BYTES if name == "value_words" else index_bits(self.config)
        return slots << (columns * width // WORD_BITS).bit_length() - 1
