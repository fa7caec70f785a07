"""The dataflows as the front end sees them: which instruction, and which operand lies where."""

from __future__ import annotations

from collections.abc import Mapping

from ...hw import isa
from ..sparsity.dataflow import Dataflow

INSTRUCTION_FLOW: Mapping[Dataflow, isa.Flow] = {
    Dataflow.DENSE_OUTPUT: isa.Flow.DENSE_OUTPUT_STATIONARY,
    Dataflow.DENSE_WEIGHT: isa.Flow.DENSE_WEIGHT_STATIONARY,
    Dataflow.DENSE_INPUT: isa.Flow.DENSE_INPUT_STATIONARY,
    Dataflow.SPARSE_OUTPUT: isa.Flow.SPARSE_OUTPUT_STATIONARY,
    Dataflow.COLUMN_SPARSE_OUTPUT: isa.Flow.COLUMN_SPARSE_OUTPUT_STATIONARY,
    Dataflow.SPARSE_WEIGHT: isa.Flow.SPARSE_WEIGHT_STATIONARY,
    Dataflow.SPARSE_INPUT: isa.Flow.SPARSE_INPUT_STATIONARY,
}
"""The value of the instruction's field `flow`."""

DENSE_FLOWS = (Dataflow.DENSE_OUTPUT, Dataflow.DENSE_WEIGHT, Dataflow.DENSE_INPUT)
"""Flows without a compressed operand."""

SPARSE_FLOWS = tuple(flow for flow in Dataflow if flow not in DENSE_FLOWS)
"""Flows with one."""

INPUT_STATIONARY = (Dataflow.DENSE_INPUT, Dataflow.SPARSE_INPUT)
"""Flows in which operand A of the instruction holds the weights, unless they are swapped."""

DENSE_TWIN: Mapping[Dataflow, Dataflow] = {
    Dataflow.SPARSE_OUTPUT: Dataflow.DENSE_OUTPUT,
    Dataflow.COLUMN_SPARSE_OUTPUT: Dataflow.DENSE_OUTPUT,
    Dataflow.SPARSE_WEIGHT: Dataflow.DENSE_WEIGHT,
    Dataflow.SPARSE_INPUT: Dataflow.DENSE_INPUT,
}
"""The dense flow that keeps the same operand in the array."""


def is_stationary(flow: Dataflow) -> bool:
    """Return whether rows stream past a stationary tile: at most `array.partial_rows` of them."""
    return INSTRUCTION_FLOW[flow] in isa.STATIONARY_FLOWS


def compresses_a(flow: Dataflow) -> bool:
    """Return whether operand A of the instruction is compressed."""
    return INSTRUCTION_FLOW[flow] in isa.COMPRESSED_A_FLOWS


def compresses_b(flow: Dataflow) -> bool:
    """Return whether operand B of the instruction is compressed."""
    return INSTRUCTION_FLOW[flow] in isa.COMPRESSED_B_FLOWS
