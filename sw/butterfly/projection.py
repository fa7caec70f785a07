"""What a projection on a structured form returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Layer = TypeVar("Layer")


@dataclass(frozen=True)
class Projection(Generic[Layer]):
    """A structured layer and how far it is from the matrix that it stands for.

    Parameters
    ----------
    layer : Layer
    errors : tuple of float
        Relative errors ``|layer - matrix| / |matrix|`` in the Frobenius norm: of the start, then
        after each sweep.
    """

    layer: Layer
    errors: tuple[float, ...]

    @property
    def relative_error(self) -> float:
        """Relative error of the layer."""
        return self.errors[-1]
