"""What can leave the scratchpad where not all fits: copies in DRAM and passes over the tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...hw.config import AcceleratorConfig
from ..errors import CompileError
from ..gir import WORD
from .attention import PROJECTION_UNBIASED
from .feed_forward import CONTRACT_UNBIASED
from .memory import Memory
from .steps import block_rows, divisors, even_blocks, nearest, streams
from .tiling import Shape, Tiling

LENGTHS = 2
"""Numbers of passes that are tried of each kind, the fewest that fit."""


def spilled_options(
    shape: Shape, options: Mapping[str, list[Any]], config: AcceleratorConfig
) -> dict[str, list[Any]]:
    """Return `options` with the values to try where room is short: smaller blocks first."""
    columns = config.array.columns
    query_rows = options["query_rows"]
    if streams(shape.longest, config):
        query_rows = even_blocks(shape.longest, 3, config)
    return {
        **options,
        "prefetch": options["prefetch"][::-1],
        "projection": nearest(divisors(shape.hidden, columns), 4 * columns, 3),
        "contract": nearest(divisors(shape.hidden, columns), 16 * columns, 3),
        "query_rows": query_rows,
    }


def spilled_tilings(
    shape: Shape,
    first: Tiling,
    smallest: Mapping[str, Any],
    fits: Callable[[Tiling], bool],
    config: AcceleratorConfig,
) -> list[Tiling]:
    """Return tilings that fit and do not keep the residual stream, to begin a search with.

    More passes leave more room for weights, but load them more often: as few as fit, and one more.

    Parameters
    ----------
    shape : Shape
    first : Tiling
        With blocks of a good size.
    smallest : mapping
        Fields of the smallest blocks, which are tried where those of `first` do not fit.
    fits : callable
        Whether a tiling fits.
    config : AcceleratorConfig
    """
    lengths = pass_lengths(shape, config)
    streamed = replace(first, keep_residual=False, keep_context=False)
    for spilled in (streamed, replace(streamed, **smallest)):
        found = _fewest_passes(shape, spilled, lengths, fits, config)
        if found:
            # What the context takes is no reason for more passes.
            enough = lengths[: lengths.index(found[0].tokens) + 1]
            kept = replace(spilled, keep_context=True)
            return [*_fewest_passes(shape, kept, enough, fits, config), *found]
    return []


def _fewest_passes(
    shape: Shape,
    tiling: Tiling,
    lengths: Sequence[int],
    fits: Callable[[Tiling], bool],
    config: AcceleratorConfig,
) -> list[Tiling]:
    """Return `tiling` with the longest passes of `lengths` that fit, in `LENGTHS` ways."""
    found: list[Tiling] = []
    for tokens in lengths:
        rows = pass_rows(shape, tokens, config)[0]
        divided = replace(tiling, tokens=tokens, rows=rows)
        if least(shape, divided, config) <= config.scratchpad.bytes and fits(divided):
            found.append(divided)
        if len(found) == LENGTHS:
            break
    return found


def pass_lengths(shape: Shape, config: AcceleratorConfig) -> list[int]:
    """Return the tokens of one pass, of two passes, and so on; 0 stands for all."""
    rows = config.array.rows
    grain = 1 if streams(shape.sequence, config) else rows
    most = -(-shape.sequence // rows)
    lengths = (-(-shape.sequence // (passes * grain)) * grain for passes in range(1, most + 1))
    return [length if length < shape.sequence else 0 for length in dict.fromkeys(lengths)]


def pass_rows(shape: Shape, tokens: int, config: AcceleratorConfig) -> list[int]:
    """Return rows of a block to try in passes of `tokens` tokens."""
    return block_rows(tokens or shape.sequence, 2, config)


def least(shape: Shape, tiling: Tiling, config: AcceleratorConfig) -> int:
    """Return the bytes after attention that `tiling` does not do without, whatever its blocks."""
    tokens = tiling.tokens or shape.sequence
    return _least(shape, tokens, shape.sequence if tiling.keep_context else tokens, config)


def _least(shape: Shape, tokens: int, held: int, config: AcceleratorConfig) -> int:
    """Return the bytes that passes of `tokens` tokens need if the context of `held` is kept.

    The output projection holds the context, the residual stream of the tokens of a pass, and some
    weights; the feed-forward part holds that stream, its int8 copy and some weights of either
    product, and the context if another pass needs it.
    """
    memory = Memory(config)
    columns = min(shape.hidden, config.array.columns)
    chunk = min(shape.intermediate, config.axi_bytes)
    context = (
        memory.operand("context", held, shape.hidden),
        memory.scales("context.scales", 1, shape.sequence),
        memory.scales("attention.scales", PROJECTION_UNBIASED + 1, shape.hidden),
    )
    residual = memory.results("residual", tokens, shape.hidden)
    projection = (*context, residual, memory.operand("projection", columns, shape.hidden))
    feed_forward = (
        *(context if held > tokens else ()),
        residual,
        memory.operand("hidden", tokens, shape.hidden),
        memory.scales("expand.scales", 1, shape.intermediate),
        memory.scales("contract.scales", CONTRACT_UNBIASED + 1, shape.hidden),
        memory.operand("expand", chunk, shape.hidden),
        memory.operand("contract", columns, chunk),
    )
    return max(
        sum(buffer.size for buffer in buffers) * WORD for buffers in (projection, feed_forward)
    )


def holds_input(shape: Shape, config: AcceleratorConfig) -> bool:
    """Return whether the int8 input of all tokens may find room beside the rest of attention."""
    return _least_attention(shape, shape.sequence, config) <= config.scratchpad.bytes


def _least_attention(shape: Shape, held: int, config: AcceleratorConfig) -> int:
    """Return the bytes that attention does not do without if the input of `held` tokens is there.

    The queries of a head are projected beside that input and the keys and values.
    """
    memory, width = Memory(config), shape.head_width
    buffers = (
        memory.operand("input", held, shape.hidden),
        memory.scales("input.scales", 1, shape.sequence),
        memory.scales("attention.scales", PROJECTION_UNBIASED + 1, shape.hidden),
        memory.scales("context.scales", 1, shape.sequence),
        memory.operand("keys", shape.sequence, width),
        memory.operand("values", width, shape.longest),
        memory.operand("query.weights", width, shape.hidden),
    )
    return sum(buffer.size for buffer in buffers) * WORD


def check_least(shape: Shape, config: AcceleratorConfig) -> None:
    """Refuse what no tiling can fit, without a search.

    Raises
    ------
    CompileError
        If it is so.
    """
    tokens = pass_lengths(shape, config)[-1]
    parts = {
        "attention": _least_attention(shape, min(shape.sequence, config.array.rows), config),
        "after attention": _least(shape, tokens, tokens or shape.sequence, config),
    }
    for part, needed in parts.items():
        if needed > config.scratchpad.bytes:
            raise CompileError(
                f"{part}: needs at least {needed} bytes of scratchpad for {shape.sequence} tokens "
                f"of {shape.hidden} channels; the limit is {config.scratchpad.bytes}"
            )
