"""Butterfly instructions beside dense products, and beside a published accelerator's own model.

Both comparisons are by multiplier: cycles of machines of unequal size are multiplied by their
numbers of multipliers over one number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..hw.butterfly_unit import MULTIPLIERS
from ..hw.config import AcceleratorConfig
from ..hw.isa import Axis
from ..sw.frontend.synthetic_fabnet import BASE_EXPANDED, BASE_FEATURES
from ..sw.sparsity.dataflow import Dataflow
from .butterfly import ButterflyCase, TooLargeError, fits, measure_butterfly
from .gemm import GemmCase, measure_gemm

FABNET_MULTIPLIERS = 640
FABNET_EFFICIENCY = 0.85
FABNET_LENGTHS = (128, 256, 512, 1024)
DENSE_SIZES = tuple(64 << place for place in range(7))


def butterfly_multipliers(config: AcceleratorConfig) -> int:
    """Return the multipliers of the butterfly unit."""
    return MULTIPLIERS * config.butterfly.lanes * config.butterfly.stages


def fabnet_cycles(n: int, vectors: int) -> int:
    """Return the cycles of transforms of n points in the model of Fan et al., MICRO 2022.

    A vector takes ``n / (2 · BU) · log2 n`` cycles of BU units of four multipliers, of which 85 %
    are used; 640 multipliers are 160 units.
    """
    units = FABNET_MULTIPLIERS // MULTIPLIERS
    pairs = vectors * n // 2 * (n.bit_length() - 1)
    return round(pairs / units / FABNET_EFFICIENCY)


@dataclass(frozen=True)
class Transform:
    """The transforms of one layer of a FABNet block.

    Parameters
    ----------
    name : str
    mode : str
        Of `butterfly.MODES`.
    n, vectors : int
    axis : Axis
    """

    name: str
    mode: str
    n: int
    vectors: int
    axis: Axis


def fabnet_layers(tokens: int) -> Iterator[Transform]:
    """Yield the butterfly layers of FABNet-Base's blocks for a sequence of `tokens`."""
    points = _power(BASE_FEATURES)
    stacks = -(-BASE_EXPANDED // points)
    hidden = Axis.HIDDEN
    yield Transform("mixing of features", "fft", points, tokens, hidden)
    yield Transform("mixing of tokens", "fft", tokens, BASE_FEATURES, Axis.TOKENS)
    yield Transform("Q, K, V and O, each", "bpmm", points, tokens, hidden)
    yield Transform("feed-forward, up", "bpmm", points, stacks * tokens, hidden)
    yield Transform("feed-forward, down", "bpmm", _power(BASE_EXPANDED), tokens, hidden)


def _power(size: int) -> int:
    return 1 << (size - 1).bit_length()


def measure_fabnet(
    layer: Transform, tokens: int, config: AcceleratorConfig, library: Path
) -> dict[str, Any]:
    """Return the record of a layer, operands resident.

    As many vectors are an instruction as the scratchpad holds; instructions of one size are
    measured once.

    Returns
    -------
    dict
        ``bench, preset, case, mode, n, tokens, cycles, ideal_cycles, utilization, multipliers,
        cycles_at_640, reference_cycles, speedup``; the reference is `fabnet_cycles`.

    Raises
    ------
    TooLargeError
        If not even one vector a lane fits the scratchpad.
    ValueError
        If the Verilog differs from the golden model.
    """
    part = _largest_part(layer, config)
    counts = {part: layer.vectors // part, layer.vectors % part: 1}
    cycles = ideal = 0
    for vectors, count in counts.items():
        if vectors:
            case = ButterflyCase(layer.mode, layer.n, vectors, layer.axis)
            record = measure_butterfly(case, config, library)
            cycles += count * record["cycles"]
            ideal += count * record["ideal_cycles"]
    multipliers = butterfly_multipliers(config)
    scaled = round(cycles * multipliers / FABNET_MULTIPLIERS)
    reference = fabnet_cycles(layer.n, layer.vectors)
    return {
        "bench": "butterfly",
        "preset": config.name,
        "case": f"S={tokens}, {layer.name}",
        "mode": layer.mode,
        "n": layer.n,
        "tokens": layer.vectors,
        "cycles": cycles,
        "ideal_cycles": ideal,
        "utilization": round(ideal / cycles, 4),
        "multipliers": multipliers,
        "cycles_at_640": scaled,
        "reference_cycles": reference,
        "speedup": round(reference / scaled, 4),
    }


def _largest_part(layer: Transform, config: AcceleratorConfig) -> int:
    """Return the vectors of an instruction: whole turns, or all."""
    vectors = layer.vectors
    turn = config.butterfly.lanes * (4 if layer.axis == Axis.TOKENS else 1)
    while not fits(ButterflyCase(layer.mode, layer.n, vectors, layer.axis), config):
        if vectors <= turn:
            raise TooLargeError(f"{layer.name}: {turn} vectors of {layer.n} points do not fit")
        vectors = -(-vectors // 2 // turn) * turn
    return vectors


def measure_dense(n: int, tokens: int, config: AcceleratorConfig, library: Path) -> dict[str, Any]:
    """Return the record of a butterfly product [n, n] beside a dense one, operands resident.

    Returns
    -------
    dict
        ``bench, preset, case, mode, n, tokens, cycles, ideal_cycles, utilization, multipliers,
        dense_cycles, dense_multipliers, speedup, ideal_speedup``; `speedup` is that of as many
        multipliers, `ideal_speedup` the ratio of multiplications.

    Raises
    ------
    TooLargeError
        If the operands do not fit the scratchpad.
    ValueError
        If the Verilog differs from the golden model.
    """
    found = measure_butterfly(ButterflyCase("bpmm", n, tokens, Axis.HIDDEN), config, library)
    case = GemmCase("dense", tokens, n, n)
    dense = measure_gemm(case, Dataflow.DENSE_OUTPUT, config, library, (0, ""))
    if dense["mismatches"]:
        raise ValueError(f"dense product {n}: the Verilog differs from the golden model")
    multipliers = butterfly_multipliers(config)
    dense_multipliers = config.array.rows * config.array.columns
    work = found["cycles"] * multipliers
    return {
        "bench": "butterfly",
        "preset": config.name,
        "case": f"{n} x {n}, {tokens} tokens",
        "mode": "bpmm",
        "n": n,
        "tokens": tokens,
        "cycles": found["cycles"],
        "ideal_cycles": found["ideal_cycles"],
        "utilization": found["utilization"],
        "multipliers": multipliers,
        "dense_cycles": dense["cycles"],
        "dense_multipliers": dense_multipliers,
        "speedup": round(dense["cycles"] * dense_multipliers / work, 3),
        "ideal_speedup": round(n / (2 * (n.bit_length() - 1)), 3),
    }
