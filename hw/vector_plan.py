"""What the parts of the vector unit share: the decoded instruction and the tag of a beat."""

from amaranth import signed
from amaranth.lib import data
from amaranth.lib import enum as hw_enum

from .config import AcceleratorConfig
from .isa import Activation
from .kept_shape import KEEP_BITS, LOG_GROUP_BITS, kept_shape_layout
from .ports import address_width

ROWS_AHEAD = 8
"""Rows that pass one runs ahead of pass two, which hides the latency of the row scalars."""

ROW_SLOTS = 2 * ROWS_AHEAD
"""Rows in flight: what is known of a row is kept in the slot of its number modulo this."""

ELEMENTS_PER_WORD = 4
"""Int16 elements of one word."""

MAXIMUM_NORMALISE_COLUMNS = 8192

EPSILON_PRODUCT_BITS = 46


REACH_BITS = 17
"""Bits of the last element of a causal row that takes part."""


def line_beats(config: AcceleratorConfig) -> int:
    """Return the beats of a line of int16: one for each element of a word, or more."""
    return ELEMENTS_PER_WORD * config.lanes // config.vector_lanes


class Operation(hw_enum.Enum, shape=2):
    """What the unit is doing."""

    QUANTISE = 0
    SOFTMAX = 1
    NORMALISE = 2
    MULTIPLY = 3


def is_wide(plan: data.View):
    """Return whether elements of Y are int16; then there are no scale words."""
    return (plan.operation == Operation.NORMALISE) | (plan.operation == Operation.MULTIPLY)


def plan_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A checked instruction with all that its rows have in common.

    `beats` and `lines` of a row of int16 are less one; `tail` has a bit for each element of a
    row's last beat. If `causal`, `reach` is the last element of row 0 that takes part.
    `table_shift` aligns a magnitude for the tables. `result_shift` is the shift of the product
    with the gain, or of the interpolated value (in SOFTMAX before the integer part of the exponent
    is added). `ratio_shift` is that of the product with the row's ratio before the row's own part
    is subtracted, or of four times the product with W. `numerator` is divided by the root;
    `epsilon_product` is N · epsilon. The parameters are those of NORMALISE, or W. `kept` has a
    meaning where `keep` is not 0, and that only in QUANTISE and SOFTMAX.
    """
    address = address_width(config)
    return data.StructLayout(
        {
            "operation": Operation,
            "activation": Activation,
            "complex": 1,
            "two_planes": 1,
            "causal": 1,
            "reach": 16,
            "root_mean_square": 1,
            "x_fraction": signed(8),
            "table_shift": 4,
            "result_shift": 5,
            "ratio_shift": 6,
            "numerator": 17,
            "epsilon_product": EPSILON_PRODUCT_BITS,
            "rows": 16,
            "columns": 16,
            "beats": 16,
            "lines": 16,
            "tail": config.vector_lanes,
            "x_address": address,
            "x_pitch": 16,
            "y_address": address,
            "y_pitch": 16,
            "plane_words": 16,
            "scale_address": address,
            "parameter_address": address,
            "parameter_pitch": 16,
            "keep": KEEP_BITS,
            "log_group": LOG_GROUP_BITS,
            "kept": kept_shape_layout(config),
        }
    )


def tag_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What goes with a beat of elements.

    Its pass, its row's slot, whether it is the first or last of its row, and which part of its
    line it is.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "second": 1,
            "slot": range(ROW_SLOTS),
            "first": 1,
            "last": 1,
            "part": range(line_beats(config)),
        }
    )


def ends_line(tag: data.View):
    """Return whether the beat of `tag` is the last one of its line."""
    return tag.last | tag.part.all()
