"""Monarch matrices: two block-diagonal factors with a stride permutation between and after.

As ``blockdiag_butterfly_multiply`` of HazyResearch/fly (Dao et al., arXiv 2204.00595).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ButterflyError
from .linear import pad_features
from .projection import Projection
from .validate import (
    finite_tensor,
    require_integer,
    require_last_axis,
    require_matrix,
)


@dataclass(frozen=True)
class MonarchLinear:
    """y = trim(permute(second · permute(first · pad(x)))).

    Parameters
    ----------
    first : [k, q, p]
        k blocks, each from p inputs to q intermediates.
    second : [l, s, r]
        l blocks, each from r intermediates to s outputs; ``l·r = k·q``.
    in_features, out_features : int
        At most ``k·p`` and ``s·l``.

    Intermediate h is row ``h mod q`` of block ``h div q`` of `first`, and column ``h div l`` of
    block ``h mod l`` of `second`; output o is row ``o div l`` of block ``o mod l``.

    Raises
    ------
    ButterflyError
        If the factors do not fit each other or the layer, or are not finite.
    """

    first: NDArray[Any]
    second: NDArray[Any]
    in_features: int
    out_features: int

    def __post_init__(self) -> None:
        for name in ("first", "second"):
            tensor = finite_tensor(f"{name} factor", getattr(self, name))
            if tensor.ndim != 3 or 0 in tensor.shape:
                raise ButterflyError(
                    f"{name} factor must have the 3 axes blocks, outputs, inputs; "
                    f"its shape is {tensor.shape}"
                )
            object.__setattr__(self, name, tensor)
        produced = self.first.shape[0] * self.first.shape[1]
        taken = self.second.shape[0] * self.second.shape[2]
        if produced != taken:
            raise ButterflyError(
                f"second factor must take the {produced} outputs of the first, not {taken}"
            )
        require_integer("in_features", self.in_features, 1, self._inputs)
        require_integer("out_features", self.out_features, 1, self._outputs)

    @property
    def _inputs(self) -> int:
        return self.first.shape[0] * self.first.shape[2]

    @property
    def _outputs(self) -> int:
        return self.second.shape[0] * self.second.shape[1]

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """Return the layer's output [..., out_features] for `x` [..., in_features].

        Raises
        ------
        ButterflyError
            If the last axis of `x` is not `in_features`.
        """
        values = require_last_axis("input of the layer", x, self.in_features)
        axes = values.shape[:-1]
        blocks = pad_features(values, self._inputs).reshape(*axes, self.first.shape[0], -1)
        inner = np.einsum("kqp,...kp->...kq", self.first, blocks)
        inner = inner.reshape(*axes, -1, self.second.shape[0])
        outer = np.einsum("lsr,...rl->...sl", self.second, inner)
        return outer.reshape(*axes, -1)[..., : self.out_features]

    def dense(self) -> NDArray[Any]:
        """Return the weight [out_features, in_features] of the dense layer that this one equals."""
        return self(np.eye(self.in_features)).T


def project_monarch(matrix: ArrayLike, blocks: int) -> Projection[MonarchLinear]:
    """Return the Monarch layer nearest to `matrix` in the Frobenius norm.

    The intermediates that join an input block with a residue of the outputs act on a sub-matrix of
    their own, so singular vectors give the best there is, without iteration.

    Parameters
    ----------
    matrix : [out, in]
    blocks : int
        Of both factors. The intermediates are as wide as the narrower side, N; with more than
        sqrt(N) blocks some sub-matrices have no intermediate and stay zero.

    Raises
    ------
    ButterflyError
        If the matrix is empty, too large or not finite, or `blocks` exceeds its narrower side.
    """
    dense = require_matrix(matrix)
    count = require_integer("blocks", blocks, 1, min(dense.shape))
    outputs, inputs = (-(-axis // count) for axis in dense.shape)
    inner = min(outputs, inputs)
    padded = np.zeros((outputs * count, inputs * count), dtype=dense.dtype)
    padded[: dense.shape[0], : dense.shape[1]] = dense
    tiles = padded.reshape(outputs, count, count, inputs).transpose(2, 1, 0, 3)
    left, values, right = np.linalg.svd(tiles, full_matrices=False)

    intermediate = np.arange(count * inner)
    block, residue = intermediate // inner, intermediate % count
    term = intermediate % inner // count
    weight = np.sqrt(values[block, residue, term])[:, None]
    first = (right[block, residue, term] * weight).reshape(count, inner, inputs)
    second = (left[block, residue, :, term] * weight).reshape(inner, count, outputs)
    layer = MonarchLinear(first, second.transpose(1, 2, 0), dense.shape[1], dense.shape[0])
    norm = float(np.linalg.norm(dense)) or 1.0
    return Projection(layer, (float(np.linalg.norm(layer.dense() - dense)) / norm,))
