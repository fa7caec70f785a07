"""What the parts of the butterfly unit know of an instruction, and of a pass over the lanes."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum

from .butterfly_format import Mode
from .butterfly_order import FOLDED, MAXIMUM_TURNS
from .config import AcceleratorConfig
from .isa import Butterfly
from .ports import address_width

INDEX_BITS = 15
"""Bits of the number of a word of a vector, or of a row."""

COUNT_BITS = INDEX_BITS + 1
"""Bits of how many there are."""

TURN_BITS = (MAXIMUM_TURNS - 1).bit_length()

HEADROOM_BITS = 5
EXPONENT_BITS = 18
"""Bits of an exponent while an instruction runs, enough for any sum."""

LOCAL_BITS = 5
"""Most bits of a local number, see `hw.butterfly_order.Pass`."""

BEAT_BITS = LOCAL_BITS - 1

VALUE = BEAT_BITS
"""The selection of a bit of a local number that is first or second of the pair."""

WORDS_HELD = 32
"""Words a lane that wait before or behind the chain.

Four groups of a folded pass: one is used while the next one waits and another one is on its way,
which takes longer than a group is used.
"""

selection_layout = data.ArrayLayout(unsigned(3), LOCAL_BITS)
"""For each bit of a local number the bit of the beat that it is, or `VALUE`."""


class Reversal(enum.Enum, shape=2):
    """How the points of a word of X lie in local numbers."""

    NONE = 0
    LONG = 1
    """A reversal of 16 points or more on the axis HIDDEN."""
    EIGHT = 2
    FOUR = 3


def plan_layout(config: AcceleratorConfig) -> data.StructLayout:
    """An instruction and what follows from it, the same for all passes.

    `words`, `x_words`, `y_words`: words of a vector on HIDDEN, rows on TOKENS. `last_turn` and
    `tail`: the number of the last turn, and of the last lane in use there.
    """
    return data.StructLayout(
        {
            "fields": Butterfly,
            "words": COUNT_BITS,
            "x_words": COUNT_BITS,
            "y_words": COUNT_BITS,
            "last_turn": TURN_BITS,
            "tail": range(config.butterfly.lanes),
        }
    )


def access_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Where the words of a vector lie: word u of lane l at ``base + u·step + l·pitch``.

    `imaginary` is the base of the second plane; `planes` tells whether it is used. Words from
    `limit` on are no part of the matrix.
    """
    address = address_width(config)
    return data.StructLayout(
        {
            "base": address,
            "imaginary": address,
            "planes": 1,
            "step": 16,
            "pitch": 16,
            "limit": COUNT_BITS,
        }
    )


def most_factors(config: AcceleratorConfig) -> int:
    """Return how many factors a pass has at most."""
    return FOLDED if config.butterfly.stages > 1 else 1


def turn_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One pass over the vectors of one turn.

    Members
    -------
    source, target : `access_layout`
    groups : one less than how many there are.
    window : place of the window in the number of a word.
    wide : a pass of three factors, with groups of eight words.
    reversal, reverses : how words of the source lie in local numbers, and whether their numbers are
        reversed.
    selections : of the pair at each factor
    result : selection of the results
    result_bit : bit of the local number in which the results of a beat differ.
    modes, scales, log_strides : of each factor
    factors : how many there are.
    lines, coefficients : one less than the lines of each factor, and the first of them.
    last : the pass writes Y.
    turn, is_tail : number of the turn, and whether it is the last one.
    shift : to the right before Y is written, less `LOWEST_SHIFT`.
    """
    address = address_width(config)
    factors = most_factors(config)
    return data.StructLayout(
        {
            "source": access_layout(config),
            "target": access_layout(config),
            "groups": INDEX_BITS,
            "window": 4,
            "wide": 1,
            "reversal": Reversal,
            "reverses": 1,
            "selections": data.ArrayLayout(selection_layout, factors),
            "result": selection_layout,
            "result_bit": 3,
            "modes": data.ArrayLayout(Mode, factors),
            "scales": data.ArrayLayout(signed(3), factors),
            "log_strides": data.ArrayLayout(unsigned(4), factors),
            "factors": 2,
            "lines": INDEX_BITS,
            "coefficients": address,
            "last": 1,
            "turn": TURN_BITS,
            "is_tail": 1,
            "shift": 5,
        }
    )
