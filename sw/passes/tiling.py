"""What a lowering can choose, and the sizes that it has to cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

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
    tokens : int
        Tokens that go through the output projection and the feed-forward part at a time, which
        loads their weights once for each pass; 0: all.
    contract : int
        Output channels a block of the feed-forward part's second product; 0: all.
    critical_path : bool
        How operations are ordered, as `schedule` takes it.
    keep_context : bool
        Whether what attention gives stays in the scratchpad until it is projected; otherwise each
        pass over the tokens loads its rows of it.
    keep_input : bool
        Whether the int8 input of a layer stays in the scratchpad until attention is done;
        otherwise each projection loads it block by block, for each group of heads.
    """

    heads: int
    query_rows: int
    rows: int
    chunk: int
    projection: int
    depth: int = 2
    prefetch: int = 16384
    keep_residual: bool = True
    tokens: int = 0
    contract: int = 0
    critical_path: bool = False
    keep_context: bool = True
    keep_input: bool = True

    def passes(self, shape: Shape) -> list[Span]:
        """Return the tokens of each pass."""
        step = self.tokens or shape.sequence
        starts = range(0, shape.sequence, step)
        return spans([min(step, shape.sequence - start) for start in starts])


@dataclass(frozen=True)
class Span:
    """A sentence among the tokens of a batch, or the tokens of a pass.

    Parameters
    ----------
    name : str
        What tells it from the others; empty if there is one only.
    offset : int
        Its first token.
    length : int
        Its tokens.
    """

    name: str
    offset: int
    length: int


def spans(lengths: Sequence[int]) -> list[Span]:
    """Return spans of `lengths` tokens, one after the other."""
    if len(lengths) == 1:
        return [Span("", 0, lengths[0])]
    starts = accumulate(lengths, initial=0)
    return [
        Span(f"_{number}", start, length)
        for number, (start, length) in enumerate(zip(starts, lengths, strict=False))
    ]


@dataclass(frozen=True)
class Shape:
    """Sizes that a lowering needs.

    Parameters
    ----------
    sequence : int
        Tokens of all sentences together.
    hidden, heads, intermediate : int
    activation : Activation
    lengths : tuple of int
        Tokens of each sentence; one sentence of all tokens if left out.
    masked : bool
        Whether an input tells which keys count.
    norm_first : bool
        Whether norms come before attention and the feed-forward part instead of after the sums.
    head_channels : int
        Channels of a head; as many as the heads share of the hidden ones if left out.
    planes : int
        Planes of 7 bits in which a probability is given, 2 or 1.
    """

    sequence: int
    hidden: int
    heads: int
    intermediate: int
    activation: Activation
    lengths: tuple[int, ...] = ()
    masked: bool = False
    norm_first: bool = False
    head_channels: int = 0
    planes: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", self.lengths or (self.sequence,))

    @property
    def longest(self) -> int:
        """Tokens of the longest sentence."""
        return max(self.lengths)

    @property
    def spans(self) -> list[Span]:
        """The sentences, one after the other."""
        return spans(self.lengths)

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.head_channels or self.hidden // self.heads

    @property
    def attended(self) -> int:
        """Channels of all heads together."""
        return self.heads * self.head_width

    @classmethod
    def of(cls, config: BertConfig, lengths: int | Sequence[int], masked: bool = False) -> Shape:
        """Return the sizes of an encoder of `config` for sentences of `lengths` tokens."""
        tokens = (lengths,) if isinstance(lengths, int) else tuple(lengths)
        return cls(
            sum(tokens),
            config.hidden,
            config.heads,
            config.intermediate,
            Activation[config.activation.upper()],
            tokens,
            masked,
            config.norm_first,
            config.head_channels,
        )
