"""What a lowering can choose, and the sizes that it has to cover."""

from __future__ import annotations

from dataclasses import dataclass

from ...hw.isa import Activation
from ..frontend.bert import BertConfig


@dataclass(frozen=True)
class Tiling:
    """How a layer is cut.

    Parameters
    ----------
    heads : int
        Heads a group, a divisor of the number of heads.
    query_rows : int
        Query rows a block of scores.
    rows : int
        Tokens a block elsewhere.
    chunk : int
        Hidden channels of the feed-forward part a block.
    projection : int
        Output channels a block of the output projection.
    depth : int
        Copies of a block of weights or of results that may be in use at a time.
    prefetch : int
        Cycles of array work that a LOAD may run ahead of its first use.
    keep_residual : bool
        Whether the layer's input stays in the scratchpad during attention; otherwise it is loaded
        again for the sum after it.
    """

    heads: int
    query_rows: int
    rows: int
    chunk: int
    projection: int
    depth: int = 2
    prefetch: int = 16384
    keep_residual: bool = True


@dataclass(frozen=True)
class Shape:
    """Sizes that a lowering needs.

    Parameters
    ----------
    sequence, hidden, heads, intermediate : int
    activation : Activation
    """

    sequence: int
    hidden: int
    heads: int
    intermediate: int
    activation: Activation

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.hidden // self.heads

    @classmethod
    def of(cls, config: BertConfig, sequence: int) -> Shape:
        """Return the sizes of an encoder of `config` for `sequence` tokens."""
        activation = Activation[config.activation.upper()]
        return cls(sequence, config.hidden, config.heads, config.intermediate, activation)
