"""What the lowering of a decoder step can choose, and the sizes that it has to cover."""

from __future__ import annotations

from dataclasses import dataclass

from ..frontend.llama import LlamaConfig

ALIGNMENT = 8
"""Tokens of the cache that begin at a word whatever is counted: probabilities in bytes, scores in
int16, scale words at a beat of the bus."""


@dataclass(frozen=True)
class DecoderTiling:
    """How a decoder step is cut.

    Parameters
    ----------
    channels : int
        Rows of query, key, value weights a LOAD; a divisor of a head's channels.
    outputs : int
        Output channels of the projection a LOAD.
    chunk : int
        Hidden channels of the feed-forward part a block.
    key_heads : int
        Key heads whose cache is loaded together; a divisor of their number.
    heads : int
        Query heads of a key head at a time; all of them where `key_heads` is above 1.
    key_block : int
        Tokens of the cache a LOAD; a multiple of `ALIGNMENT`.
    rows : int
        Tokens of a block in a norm.
    depth : int
        Copies of a block of weights or results that may be in use at a time.
    prefetch : int
        Cycles of array work that a LOAD may run ahead of its first use.
    critical_path : bool
        How operations are ordered, as `schedule` takes it.
    """

    channels: int
    outputs: int
    chunk: int
    key_heads: int
    heads: int
    key_block: int
    rows: int
    depth: int = 2
    prefetch: int = 16384
    critical_path: bool = False


@dataclass(frozen=True)
class Step:
    """`tokens` further tokens after `past` ones, whose keys and values are in DRAM.

    Parameters
    ----------
    past : int
        A multiple of `ALIGNMENT`, unless there is one token only.
    tokens : int
    first : int
        The first of the tokens in the program's input.
    """

    past: int
    tokens: int
    first: int

    @property
    def total(self) -> int:
        """Tokens after the step."""
        return self.past + self.tokens

    @property
    def tail(self) -> int:
        """Past tokens that share a stretch of `ALIGNMENT` with the new ones."""
        return self.past % ALIGNMENT

    @property
    def aligned(self) -> int:
        """Past tokens before the tail."""
        return self.past - self.tail


@dataclass(frozen=True)
class DecoderShape:
    """Sizes of a program: those of the model, the steps that it takes, and those of the cache.

    Parameters
    ----------
    model : LlamaConfig
    steps : tuple of Step
        One after the other.
    capacity : int
        Tokens that the cache has room for.
    """

    model: LlamaConfig
    steps: tuple[Step, ...]
    capacity: int

    @property
    def tokens(self) -> int:
        """Tokens of all steps."""
        return sum(step.tokens for step in self.steps)

    @property
    def past(self) -> int:
        """Tokens in the cache before the first step."""
        return self.steps[0].past

    @property
    def total(self) -> int:
        """Tokens in the cache after the last step."""
        return self.steps[-1].total


def split(past: int, tokens: int, block: int) -> tuple[Step, ...]:
    """Return the steps of `tokens` tokens after `past` ones, of at most `block` tokens each."""
    return tuple(
        Step(past + first, min(block, tokens - first), first) for first in range(0, tokens, block)
    )
