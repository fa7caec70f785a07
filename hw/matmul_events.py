"""What the array reports of each cycle, to be counted."""

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import data

from .config import AcceleratorConfig

SKIPPED_BITS = 24


def step_events_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What a family of dataflows did in a cycle.

    `active`: it made a step, in which `rows` times `columns` elements multiplied. `operand_stall`:
    it has work but waited for operands. `drain_stall`: it waited for the drain to take the tile
    before. `skipped`: dense steps that a tile which ended did without.
    """
    array = config.array
    return data.StructLayout(
        {
            "rows": range(array.rows + 1),
            "columns": range(array.columns + 1),
            "active": 1,
            "operand_stall": 1,
            "drain_stall": 1,
            "skipped": SKIPPED_BITS,
        }
    )


def matmul_events_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What the array did in a cycle.

    As `step_events_layout`, with `multiplies`, the useful multiply-adds, for rows and columns.
    """
    array = config.array
    return data.StructLayout(
        {
            "multiplies": range(array.rows * array.columns + 1),
            "active": 1,
            "operand_stall": 1,
            "drain_stall": 1,
            "skipped": SKIPPED_BITS,
        }
    )


def limit(left: Signal, size: int) -> Value:
    """Return how many of `size` rows or columns a tile has where `left` are left."""
    return Mux(left < size, left[: size.bit_length()], size)
