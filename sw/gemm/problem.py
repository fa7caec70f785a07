"""A product to be compiled: the matrices, the flow, and which operand plays which role."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..scale import ScaleVector
from ..sparsity.dataflow import Dataflow
from .flows import INPUT_STATIONARY, SPARSE_FLOWS, compresses_a, compresses_b

Role = Literal["a", "b"]
"""Operands of the instruction."""

RESULT_BITS = 15
"""Magnitude bits of a result."""

LARGEST_ACTIVATION = 128


@dataclass(frozen=True)
class Gemm:
    """``Y[m, n] = activations · weightsᵀ`` on one flow.

    Parameters
    ----------
    weights : int8 [n, k]
    weight_scales : float64 [n]
        What one unit of each row of the weights stands for.
    activations : int8 [m, k]
        Input of the program, or constants where they are the compressed operand.
    flow : Dataflow
    swapped : bool
        Exchange the roles of weights and activations: sparse flows compress the activations.
    """

    weights: NDArray[np.int8]
    weight_scales: NDArray[np.float64]
    activations: NDArray[np.int8]
    flow: Dataflow
    swapped: bool = False

    @property
    def m(self) -> int:
        """Rows of activations."""
        return len(self.activations)

    @property
    def n(self) -> int:
        """Outputs."""
        return len(self.weights)

    @property
    def k(self) -> int:
        """Inputs."""
        return self.weights.shape[1]

    @property
    def weights_role(self) -> Role:
        """The operand that the weights are; the activations are the other."""
        return "a" if (self.flow in INPUT_STATIONARY) != self.swapped else "b"

    @property
    def y_transposed(self) -> bool:
        """Whether the instruction's result is ``Yᵀ``, so that it has to be written transposed."""
        return self.weights_role == "a"

    @property
    def compressed_role(self) -> Role | None:
        """The operand that is compressed."""
        if compresses_a(self.flow):
            return "a"
        return "b" if compresses_b(self.flow) else None

    @property
    def compresses_activations(self) -> bool:
        """Whether the activations are constants of the program."""
        return self.flow in SPARSE_FLOWS and self.swapped

    def operand(self, role: Role) -> NDArray[np.int8]:
        """Return the matrix that operand `role` of the instruction is, [rows, k]."""
        return self.weights if role == self.weights_role else self.activations

    def name(self, role: Role) -> str:
        """Return the name of operand `role`'s DRAM buffers."""
        return "weights" if role == self.weights_role else "input"

    def scales(self, role: Role) -> ScaleVector:
        """Return the scale words of operand `role`; activations have a scale of 1.

        Raises
        ------
        ValueError
            If a scale does not fit a scale word.
        """
        if role == self.weights_role:
            return ScaleVector.from_float(self.weight_scales)
        return ScaleVector.from_float(np.ones(self.m))

    @cached_property
    def fraction(self) -> int:
        """Fraction bits of the result: as many as no int8 activations can saturate."""
        sums = np.abs(self.weights.astype(np.int64)).sum(axis=1)
        largest = float(np.max(sums * LARGEST_ACTIVATION * self.weight_scales))
        if largest == 0:
            return 0
        # frexp: largest < 2^power, so that 15 - power fraction bits stay below 2^15.
        return RESULT_BITS - int(np.frexp(largest)[1])
