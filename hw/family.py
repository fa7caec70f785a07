"""What families of dataflows have in common."""

from typing import Any

from amaranth.hdl import signed
from amaranth.lib import data, stream
from amaranth.lib import enum as hw_enum
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .matmul_check import checked_layout
from .matmul_events import step_events_layout
from .operand import blocks_layout
from .operand_reader import OperandSignature
from .processing_element import OPERAND_BITS


class Family(hw_enum.Enum, shape=2):
    """Dataflows that share a sequencer."""

    DENSE_OUTPUT = 0
    SPARSE_OUTPUT = 1
    STATIONARY = 2


def columns_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What each column brings to a step: a weight, and which input of the block it wants."""
    columns = config.array.columns
    index_bits = (config.array.block - 1).bit_length()
    return data.StructLayout(
        {
            "weights": data.ArrayLayout(signed(OPERAND_BITS), columns),
            "indices": data.ArrayLayout(index_bits, columns),
        }
    )


def family_members(config: AcceleratorConfig) -> dict[str, Any]:
    """Return the members of a family.

    Members
    -------
    product : stream of `checked_layout`, in
    a, b : the other side of `OperandSignature`
    activations, columns : out; blocks of the rows, and what the columns do with them.
    idle : out; nothing is to be given to the grid.
    events : `step_events_layout`, out; one cycle late.
    """
    array = config.array
    return {
        "product": In(stream.Signature(checked_layout)),
        "a": In(OperandSignature(config, array.rows)),
        "b": In(OperandSignature(config, array.columns)),
        "activations": Out(blocks_layout(config, array.rows)),
        "columns": Out(columns_layout(config)),
        "idle": Out(1),
        "events": Out(step_events_layout(config)),
    }


def step_members() -> dict[str, Any]:
    """Return the members of an output stationary family: the other side of those of `Grid`."""
    return {"step": Out(1), "first": Out(1), "last": Out(1), "ready": In(1)}
