"""Decomposition of a tensor in a sum of N:M terms.

TASD (Jeong et al., arXiv 2403.07953): each term keeps the N largest magnitudes of every M
consecutive elements of what the terms before it left, the residual. A product distributes over the
terms, so they accumulate in the same outputs, and a term costs N/M of the multiply-adds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from .errors import SparsityError
from .prune import largest_of_groups

GROUP_SIZES = (2, 4, 8, 16)
"""Values of M: the divisors of a block of csOS."""


@dataclass(frozen=True, order=True)
class Term:
    """N of every M elements.

    Parameters
    ----------
    n, m : int
        M is one of `GROUP_SIZES`, N from 1 to M.

    Raises
    ------
    SparsityError
        If one is out of range.
    """

    n: int
    m: int

    def __post_init__(self) -> None:
        if self.m not in GROUP_SIZES:
            known = ", ".join(map(str, GROUP_SIZES))
            raise SparsityError(f"term {self}: M must be one of {known}, not {self.m}")
        if not 1 <= self.n <= self.m:
            raise SparsityError(f"term {self}: N must be from 1 to {self.m}, not {self.n}")

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"

    @property
    def share(self) -> float:
        """Multiply-adds over those of a dense product."""
        return self.n / self.m


Series = tuple[Term, ...]
"""Terms in the order in which they take from the residual."""


def parse_series(text: str) -> Series:
    """Read a series such as ``4:8+1:8``.

    Raises
    ------
    SparsityError
        If the text is no series, or a term out of range.
    """
    terms = [re.fullmatch(r"\s*(\d{1,4}):(\d{1,4})\s*", part, re.ASCII) for part in text.split("+")]
    if any(term is None for term in terms):
        raise SparsityError(f"a series is N:M terms joined by +, such as 4:8+1:8, not {text!r}")
    return tuple(Term(int(term[1]), int(term[2])) for term in terms if term)


def format_series(series: Iterable[Term]) -> str:
    """Return the text that `parse_series` reads."""
    return "+".join(map(str, series))


def merge_series(series: Iterable[Term]) -> Series:
    """Join neighbours of one M, which changes no decomposition.

    N1:M and then N2:M is (N1 + N2):M, at most M:M. Terms of one M with another between them are
    left alone: they take from different residuals.
    """
    merged = ((m, sum(term.n for term in group)) for m, group in groupby(series, lambda t: t.m))
    return tuple(Term(min(n, m), m) for m, n in merged)


def multiply_add_share(series: Iterable[Term]) -> float:
    """Return the multiply-adds of all terms over those of a dense product."""
    return sum(term.share for term in series)


def check_block(series: Iterable[Term], block: int) -> None:
    """Refuse a term that the array's blocks cannot hold.

    Parameters
    ----------
    block : int
        Inputs of a block of csOS.

    Raises
    ------
    SparsityError
        If an M is no divisor of `block`.
    """
    for term in series:
        if block % term.m:
            raise SparsityError(f"term {term}: M must divide the block of {block}, not {term.m}")


@dataclass(frozen=True)
class Decomposition:
    """A tensor as a sum of terms.

    Parameters
    ----------
    series : Series
    terms : tuple of arrays
        One a term, shape and dtype of the tensor; no two are non-zero at the same place.
    residual : array
        What no term took.
    """

    series: Series
    terms: tuple[NDArray, ...]
    residual: NDArray

    @property
    def approximation(self) -> NDArray:
        """The sum of the terms."""
        total = np.zeros_like(self.residual)
        for term in self.terms:
            total += term
        return total

    @property
    def share(self) -> float:
        """Multiply-adds over those of a dense product."""
        return multiply_add_share(self.series)

    @property
    def dropped_nonzeros(self) -> int:
        """Non-zeros that no term took."""
        return int(np.count_nonzero(self.residual))

    @property
    def dropped_magnitude(self) -> float:
        """Sum of the magnitudes that no term took."""
        return _magnitude(self.residual)

    @property
    def dropped_share(self) -> float:
        """`dropped_magnitude` over the magnitude of the tensor; 0 for a tensor of zeros."""
        total = _magnitude(self.approximation) + self.dropped_magnitude
        return self.dropped_magnitude / total if total else 0.0

    @property
    def padding(self) -> int:
        """Zeros that fill up the last group of each row, for the largest M that needs them."""
        return max(-self.residual.shape[-1] % term.m for term in self.series)


def decompose(tensor: NDArray, series: Iterable[Term], what: str = "weights") -> Decomposition:
    """Decompose `tensor` along its last axis.

    Parameters
    ----------
    tensor : [..., k], integers or floats
        A row that M does not divide counts as filled up with zeros; see `Decomposition.padding`.
    series : Series
    what : str
        Name of the tensor in messages.

    Raises
    ------
    SparsityError
        If the tensor has no elements or one that is not finite, or the series no terms.
    """
    series = tuple(series)
    if not series:
        raise SparsityError(f"{what}: a series must have at least 1 term, not 0")
    if tensor.ndim == 0 or tensor.size == 0:
        shape = list(tensor.shape)
        raise SparsityError(f"{what}: must have at least 1 element along an axis, not {shape}")
    if not np.issubdtype(tensor.dtype, np.number) or not np.all(np.isfinite(tensor)):
        raise SparsityError(f"{what}: must be finite numbers (dtype {tensor.dtype})")
    zero = np.zeros((), tensor.dtype)
    terms = []
    residual = tensor
    for term in series:
        taken = largest_of_groups(residual, term.n, term.m)
        terms.append(np.where(taken, residual, zero))
        residual = np.where(taken, zero, residual)
    return Decomposition(series, tuple(terms), residual)


def _magnitude(tensor: NDArray) -> float:
    return float(np.abs(tensor.astype(np.float64)).sum())
