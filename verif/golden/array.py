"""Model of the array unit: executes MATMUL on the scratchpad, in any of its flows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...sw.instruction import Instruction
from .compressed_product import CompressedProduct
from .matmul import from_planes, matmul
from .matmul_check import Places, check_matmul, is_compressed
from .operands import read_scales
from .scratchpad import Scratchpad


class Work(NamedTuple):
    """What a product took, as the counters of the registers have it.

    Attributes
    ----------
    multiplies : int
        Rows times columns of use, over all steps.
    skipped : int
        Steps of the dense flow that a sparse one did without.
    """

    multiplies: int
    skipped: int


def execute(instruction: Instruction, scratchpad: Scratchpad) -> Work:
    """Execute MATMUL and return what it took.

    Raises
    ------
    Fault
        As `check_matmul`, then `COMPRESSED_OPERAND` with the first word of the piece of the
        compressed operand that is malformed. The array may have written earlier tiles by then;
        the model has written none.
    """
    places = check_matmul(instruction, scratchpad)
    a, b, work = _operands(instruction, places, scratchpad)
    turned = instruction["y_transposed"]
    residual = places.residual.read(scratchpad) if places.residual else None
    result = matmul(
        a,
        b,
        read_scales(places.row_scales, scratchpad),
        read_scales(places.column_scales, scratchpad),
        instruction["fraction"],
        residual.T if turned and residual is not None else residual,
        accumulator_width=scratchpad.config.array.accumulator_width,
    )
    places.y.write(scratchpad, result.T if turned else result)
    return work


def _operands(
    instruction: Instruction, places: Places, scratchpad: Scratchpad
) -> tuple[NDArray[np.integer], NDArray[np.integer], Work]:
    """Return A [m, k], B [n, k] and what their product takes."""
    flow = instruction["flow"]
    m, n, k = (instruction[name] for name in "mnk")
    work = Work(m * n * k, 0)
    operands = []
    for name, place in (("a", places.a), ("b", places.b)):
        if is_compressed(flow, name):
            product = CompressedProduct(scratchpad.config, flow, m, n, k)
            pieces = product.pieces(place, scratchpad)
            operands.append(product.expand(pieces))
            work = Work(product.multiplies(pieces), product.skipped(pieces))
        else:
            values = place.read(scratchpad)
            operands.append(values.T if instruction[f"{name}_transposed"] else values)
    a, b = operands
    return from_planes(a, places.low.read(scratchpad)) if places.low else a, b, work
