"""What the parts of the butterfly unit know of an instruction, and of a pass over the lanes."""

from typing import Any

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum

from .butterfly_format import SCALE_BITS, Mode
from .butterfly_order import FOLDED, MAXIMUM_TURNS, WORD_BITS
from .config import AcceleratorConfig, ButterflyConfig
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


def words_held(config: ButterflyConfig) -> int:
    """Return how many words a lane wait before or behind the chain.

    That is four groups of the largest kind: one is used while the next one waits and another one is
    on its way, which takes longer than a group is used.
    """
    return 32 if config.stages > 1 else 16


def slot_bits(config: ButterflyConfig) -> int:
    """Bits of the place of a word that waits."""
    return (words_held(config) - 1).bit_length()


def place_bits(config: ButterflyConfig) -> int:
    """Bits of the place of a number in words that wait: its number in the word is lowest."""
    return slot_bits(config) + WORD_BITS


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
    `tail`: the number of the last turn, and of the last lane in use there. `depends`: it reads what
    the instruction before may still have to write.
    """
    return data.StructLayout(
        {
            "fields": Butterfly,
            "words": COUNT_BITS,
            "x_words": COUNT_BITS,
            "y_words": COUNT_BITS,
            "last_turn": TURN_BITS,
            "tail": range(config.butterfly.lanes),
            "depends": 1,
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


def _turn_members(config: AcceleratorConfig) -> dict[str, Any]:
    address = address_width(config)
    factors = most_factors(config)
    return {
        "source": access_layout(config),
        "target": access_layout(config),
        "groups": INDEX_BITS,
        "window": 4,
        "wide": 1,
        "tokens": 1,
        "log_points": 4,
        "last_lane": range(config.butterfly.lanes),
        "reversal": Reversal,
        "reverses": 1,
        "selections": data.ArrayLayout(selection_layout, factors),
        "result": selection_layout,
        "result_bit": 3,
        "inverse": 1,
        "modes": data.ArrayLayout(Mode, factors),
        "scales": data.ArrayLayout(signed(SCALE_BITS), factors),
        "log_strides": data.ArrayLayout(unsigned(4), factors),
        "factors": 2,
        "lines": INDEX_BITS,
        "coefficients": address,
        "planes": 1,
        "adds": 1,
    }


_WALK = ("groups", "window", "wide")
_USED = {
    "reader": (*_WALK, "source", "reversal", "reverses", "tokens", "log_points", "last_lane"),
    "coefficients": ("lines", "coefficients", "factors"),
    "feeder": (
        *_WALK,
        "planes",
        "reversal",
        "selections",
        "tokens",
        "inverse",
        "modes",
        "scales",
        "log_strides",
        "factors",
    ),
    "collector": ("groups", "wide", "planes", "result"),
    "writer": (*_WALK, "target", "result_bit", "adds", "last_lane"),
}

WORKERS = tuple(_USED)
"""Who works on a turn."""


def turn_layout(config: AcceleratorConfig, worker: str | None = None) -> data.StructLayout:
    """One pass over the vectors of one turn, or what one of `WORKERS` needs of it.

    Members
    -------
    source, target : `access_layout`
    groups : one less than how many there are.
    window : place of the window in the number of a word.
    wide : a pass of three factors, with groups of eight words.
    tokens, log_points, inverse : of the instruction
    last_lane : the last lane in use.
    reversal, reverses : how words of the source lie in local numbers, and whether their numbers are
        reversed.
    selections : of the pair at each factor
    result : selection of the results
    result_bit : bit of the local number in which the results of a beat differ.
    modes, scales, log_strides : of each factor
    factors : how many there are.
    lines, coefficients : one less than the lines of each factor, and the first of them.
    planes : the source has imaginary parts; for the collector, the target.
    adds : what is written is added to what is there.
    """
    members = _turn_members(config)
    names = members if worker is None else _USED[worker]
    return data.StructLayout({name: members[name] for name in names})
