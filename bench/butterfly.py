"""Butterfly products and Fourier transforms with resident operands, beside half precision.

Everything is loaded before the BUTTERFLY instructions of a case, so that the hardware's counter
`butterfly_busy` holds their cycles and nothing else: from the moment the unit takes the first one,
with its checks, until the last result is in the scratchpad.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hw.butterfly_order import Pass, pack_growths, pass_cycles, plan_passes
from ..hw.butterfly_unit import MULTIPLIERS
from ..hw.config import AcceleratorConfig
from ..hw.isa import Axis, BlockExponent, ButterflyMode, Opcode
from ..sw.instruction import Value
from ..sw.program import Program
from ..verif.benches.butterfly_operations import coefficient_words
from ..verif.devices.library import MemorySettings
from ..verif.golden.butterfly import growths, real_factor
from ..verif.program_builder import Builder
from .execute import Execution, run_golden, run_rtl
from .half_precision import half_butterfly, half_fourier
from .measure import mismatches

MODES = {
    "bpmm": ButterflyMode.REAL,
    "fft": ButterflyMode.FOURIER,
    "ifft": ButterflyMode.INVERSE_FOURIER,
    "hierarchical": ButterflyMode.REAL,
}
"""`hierarchical` is a product of tiles of n points on vectors of `HIERARCHICAL_POINTS`."""

HIERARCHICAL_POINTS = 1024
SIZES = tuple(64 << k for k in range(8))
TILES = (16, 32, 64)
AMPLITUDE = 32767


class TooLargeError(ValueError):
    """The operands of a case do not fit the scratchpad."""


@dataclass(frozen=True)
class ButterflyCase:
    """Equal transforms of `tokens` vectors each.

    Parameters
    ----------
    mode : str
        Of `MODES`.
    n : int
        Points, a power of two from 4 to 8192.
    tokens : int
        Vectors: rows on the axis HIDDEN, columns on TOKENS.
    axis : Axis
    instructions : int
        How many follow each other; all read the same X and write the same Y.
    """

    mode: str
    n: int
    tokens: int
    axis: Axis
    instructions: int = 1

    @property
    def blocks(self) -> int:
        """Transforms of a vector."""
        return max(1, HIERARCHICAL_POINTS // self.n) if self.mode == "hierarchical" else 1

    @property
    def points(self) -> int:
        """Points of a vector."""
        return self.n * self.blocks

    @property
    def log_points(self) -> int:
        """Binary logarithm of n."""
        return self.n.bit_length() - 1

    @property
    def is_complex(self) -> bool:
        """Whether numbers have imaginary parts."""
        return MODES[self.mode] != ButterflyMode.REAL

    @property
    def text(self) -> str:
        """Mode, n, vectors, axis, and how many instructions if there are several."""
        times = f" {self.instructions} times" if self.instructions > 1 else ""
        return f"{self.mode} {self.n} x {self.tokens} {self.axis.name.lower()}{times}"


class ButterflyProgram:
    """The program of a case, what it should compute, and what it did.

    Parameters
    ----------
    case : ButterflyCase
    config : AcceleratorConfig
    seed : int
        Of the numbers.

    Raises
    ------
    TooLargeError
        If the operands do not fit the scratchpad.
    """

    def __init__(self, case: ButterflyCase, config: AcceleratorConfig, seed: int = 1) -> None:
        self.case = case
        self.config = config
        numbers = np.random.default_rng(seed)
        shape = (case.tokens, case.points)
        self.x = np.rint(numbers.uniform(-AMPLITUDE, AMPLITUDE, (2, *shape))).astype(np.int16)
        if not case.is_complex:
            self.x[1] = 0
        angle = numbers.uniform(0, 2 * np.pi, (case.log_points, case.points // 2))
        rows = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        self.matrices: NDArray[np.float64] = np.moveaxis(np.array(rows), (0, 1), (2, 3))
        self.builder = Builder(config)
        self._build()
        if self.builder.scratchpad_words > config.scratchpad_words:
            raise TooLargeError(
                f"{case.text}: operands take {self.builder.scratchpad_words} words, the "
                f"scratchpad has {config.scratchpad_words}"
            )
        self.program: Program = self.builder.program()

    def _build(self) -> None:
        case, builder = self.case, self.builder
        tokens = case.axis == Axis.TOKENS
        values: dict[str, Value] = {
            "mode": MODES[case.mode],
            "axis": case.axis,
            "bit_reversed": int(case.is_complex),
            "log_points": case.log_points,
            "stages": case.log_points,
            "vectors": case.tokens,
            "blocks": case.blocks,
            "x_headroom": -1,
            "y_blocks": 1,
            "exponent": -case.log_points if case.mode == "ifft" else 0,
        }
        planes = [part.T if tokens else part for part in self.x]
        x = builder.load("real", planes[0])
        y, plane = x, 0
        if case.is_complex:
            imaginary = builder.load("imaginary", planes[1])
            plane = imaginary.address - x.address
            rows, columns = planes[0].shape
            y = builder.block(rows, columns, "int16")
            second = builder.block(rows, columns, "int16")
            assert second.address - y.address == plane
        else:
            self._load_coefficients(values)
            if case.instructions > 1:
                rows, columns = planes[0].shape
                y = builder.block(rows, columns, "int16")
        exponents = builder.block(self._turns(), 1, "uint64", pitch=1)
        builder.emit(
            Opcode.BUTTERFLY,
            **values,
            plane_words=plane,
            x_address=x.address,
            x_pitch=x.pitch,
            y_address=y.address,
            y_pitch=y.pitch,
            work_address=y.address,
            y_exponent_address=exponents.address,
        )
        builder.repeat(case.instructions - 1)
        builder.store("y_real", y)
        if case.is_complex:
            builder.store("y_imaginary", second)
        builder.store("exponents", exponents)

    def _load_coefficients(self, values: dict[str, Value]) -> None:
        case = self.case
        factors = [real_factor(matrix, index) for index, matrix in enumerate(self.matrices)]
        bits = [
            growth
            for each in self._passes()
            for growth in growths(factors[each.first : each.first + len(each.bits)])
        ]
        values["growths"] = pack_growths(bits)
        values["exponent"] = sum(factor.exponent for factor in factors)
        table = np.stack([factor.coefficients for factor in factors])
        words = coefficient_words(values, self.config, table)
        lines = words.reshape(-1, self.config.lanes)
        block = self.builder.load("coefficients", lines, pitch=self.config.lanes)
        values["coefficient_address"] = block.address
        assert len(factors) == case.log_points

    def _lanes(self) -> int:
        """Return the vectors of a turn."""
        return self.config.butterfly.lanes * (4 if self.case.axis == Axis.TOKENS else 1)

    def _turns(self) -> int:
        return -(-self.case.tokens // self._lanes())

    def _passes(self) -> list[Pass]:
        case = self.case
        return plan_passes(
            self.config.butterfly.stages,
            case.log_points,
            0,
            case.log_points,
            tokens=case.axis == Axis.TOKENS,
            bit_reversed=case.is_complex,
        )

    def pass_cycles(self) -> int:
        """Return the cycles that the passes take at one pair a lane a cycle."""
        case = self.case
        words = case.points if case.axis == Axis.TOKENS else case.points // 4
        turns = case.instructions * self._turns()
        return turns * sum(pass_cycles(each, words) for each in self._passes())

    def result(self, outputs: Mapping[str, NDArray]) -> NDArray[np.complex128]:
        """Return what the machine computed, [tokens, points]."""
        tokens = self.case.axis == Axis.TOKENS
        planes = [outputs["y_real"].astype(float)]
        if self.case.is_complex:
            planes.append(outputs["y_imaginary"].astype(float))
        planes = [plane.T if tokens else plane for plane in planes]
        y = planes[0] + 1j * (planes[1] if len(planes) > 1 else 0)
        lanes = self._lanes()
        for turn, word in enumerate(outputs["exponents"][:, 0]):
            exponent = BlockExponent.from_bits(int(word)).exponent
            y[turn * lanes : (turn + 1) * lanes] *= 2.0**exponent
        return y

    def references(self) -> tuple[NDArray, NDArray]:
        """Return the exact result and that of half precision, [tokens, points]."""
        case = self.case
        x = self.x[0].astype(float) + 1j * self.x[1]
        # Half precision gets numbers that it can hold.
        scaled = x / (AMPLITUDE + 1)
        if case.is_complex:
            inverse = case.mode == "ifft"
            half = half_fourier(scaled, inverse)
            return (np.fft.ifft if inverse else np.fft.fft)(x), half * (AMPLITUDE + 1)
        exact = half_butterfly(x.real, self.matrices, np.float64)
        halved = half_butterfly(scaled.real, self.matrices, np.float16)
        return exact, halved * (AMPLITUDE + 1)


def fits(case: ButterflyCase, config: AcceleratorConfig) -> bool:
    """Tell whether the operands of a case fit the scratchpad."""
    # Both planes of X and Y, or X, perhaps Y, and the coefficients.
    planes = 4 if case.is_complex else 1 + (case.instructions > 1)
    numbers = case.tokens * case.points * planes
    words = numbers // 4
    if not case.is_complex:
        copies = 4 if case.axis == Axis.TOKENS else 1
        words += copies * case.log_points * case.points // 2
    if words > config.scratchpad_words:
        return False
    try:
        ButterflyProgram(case, config)
    except TooLargeError:
        return False
    return True


def decibels(exact: NDArray, found: NDArray) -> float:
    """Return the ratio of signal to noise in decibels."""
    noise = float(np.sum(np.abs(exact - found) ** 2))
    signal = float(np.sum(np.abs(exact) ** 2))
    return 10 * float(np.log10(signal / max(noise, signal * 1e-30)))


def measure_butterfly(
    case: ButterflyCase, config: AcceleratorConfig, library: Path, seed: int = 1
) -> dict[str, Any]:
    """Run a case on the simulated Verilog and return its record.

    Raises
    ------
    TooLargeError
        If the operands do not fit the scratchpad.
    ValueError
        If the Verilog differs from the golden model.
    """
    built = ButterflyProgram(case, config, seed)
    inputs = built.builder.inputs
    found: Execution = run_rtl(built.program, inputs, MemorySettings(), library)
    expected = run_golden(built.program, inputs)
    wrong, _ = mismatches(expected.outputs, found.outputs)
    if wrong:
        raise ValueError(f"{case.text}: {wrong} results differ from those of the golden model")
    multipliers = MULTIPLIERS * config.butterfly.lanes * config.butterfly.stages
    multiplies = found.counters["butterfly_multiplies"]
    cycles = found.counters["butterfly_busy"]
    exact, half = built.references()
    return {
        "bench": "butterfly",
        "preset": config.name,
        "case": case.text,
        "cycles": cycles,
        "ideal_cycles": -(-multiplies // multipliers),
        "utilization": round(multiplies / (multipliers * cycles), 4),
        "mode": case.mode,
        "n": case.n,
        "tokens": case.tokens,
        "axis": case.axis.name.lower(),
        "instructions": case.instructions,
        "pass_efficiency": round(built.pass_cycles() / cycles, 4),
        "snr_db": round(decibels(exact, built.result(found.outputs)), 1),
        "fp16_snr_db": round(decibels(exact, half), 1),
        "saturated": found.counters["butterfly_saturated"],
    }
