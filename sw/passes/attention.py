"""Lower self-attention and its output projection."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..gir import Affine, Buffer, Node, Parallel, Slice
from .build import block, load, matmul, part, quantise, softmax
from .layer import LayerContext, Operand
from .layer_input import LayerInput
from .memory import Memory
from .merged import MergedHeads
from .mix import mix, takes_both_planes
from .tiling import Shape, Span, Tiling

QUERY, KEY, VALUE, PROJECTION, PROJECTION_UNBIASED = range(5)
"""Rows of the scale words of attention."""


@dataclass(frozen=True)
class Sentence:
    """What the attention of one sentence needs besides its rows of the input.

    Parameters
    ----------
    span : Span
    values : Operand
        Of a group of heads, int8 [channels, tokens].
    mask : Buffer or None
        int16 [query rows, tokens], one row in fact; added to the scores.
    """

    span: Span
    values: Operand
    mask: Buffer | None


def query_rows(shape: Shape, tiling: Tiling) -> int:
    """Return the query rows of a block of scores."""
    return min(tiling.query_rows, shape.longest)


def mask_buffer(memory: Memory, shape: Shape, tiling: Tiling, span: Span) -> Buffer | None:
    """Return what the scores of the sentence `span` have to be added; None without a mask."""
    if not shape.masked:
        return None
    rows = query_rows(shape, tiling)
    return memory.declare(memory.broadcast(f"mask{span.name}.copy", rows, span.length))


class AttentionLowering:
    """Lowers one layer's attention.

    The sentences of a batch share the weights and the projections, and each attends to its own
    keys only: no padding, and the result of a sentence does not depend on its neighbours.

    Parameters
    ----------
    context : LayerContext
    x : LayerInput
    """

    def __init__(self, context: LayerContext, x: LayerInput) -> None:
        shape, tiling = context.shape, context.tiling
        self.context, self.x = context, x
        self.fractions = context.layer.fractions
        self.width = tiling.heads * shape.head_width
        self.groups = shape.heads // tiling.heads
        self.group, _ = block(context.name("group"))
        self.masks = [mask_buffer(context.memory, shape, tiling, span) for span in shape.spans]
        self.scales, self._load_scales = context.resident_scales(
            "attention.scales",
            PROJECTION_UNBIASED + 1,
            max(shape.hidden, shape.attended),
        )
        self.merged = MergedHeads(context, self.groups)

    def heads(self) -> list[Node]:
        """Return the nodes up to the int8 context of all heads."""
        shape, name = self.context.shape, self.context.name
        memory, depth = self.context.memory, self.context.tiling.depth
        weights = {
            kind: memory.operand(name(f"{kind}.weights"), self.width, shape.hidden)
            for kind in ("query", "key", "value")
        }
        keys = self._of_all_tokens("keys")
        queries = self._of_all_tokens("queries") if self._joins_queries() else None
        values = [
            Operand(
                memory.operand(name(f"values{span.name}"), self.width, span.length, depth),
                memory.scales(name(f"values{span.name}.scales"), 1, self.width, depth),
            )
            for span in shape.spans
        ]
        operands = (keys, *values) if queries is None else (keys, *values, queries)
        private = [buffer for item in operands for buffer in (item.values, item.scales)]
        buffers = (*weights.values(), *private)
        sentences = list(map(Sentence, shape.spans, values, self.masks))
        body = [
            self._load_weights("key", weights["key"]),
            self._project("key", weights["key"], keys, KEY, self.fractions.key),
            self._load_weights("value", weights["value"]),
            *(self._values(weights["value"], sentence) for sentence in sentences),
            self._load_weights("query", weights["query"]),
            *([] if queries is None else [self._queries(weights["query"], queries)]),
            *(
                self._query_blocks(weights["query"], queries, keys, sentence)
                for sentence in sentences
            ),
        ]
        step = self.width
        group = Parallel(name("group"), 0, shape.attended, step, buffers, tuple(body))
        return [*self._load_scales, group]

    def _load_weights(self, kind: str, target: Buffer) -> Node:
        shape = self.context.shape
        source = self.context.constant(kind, "int8", shape.attended, shape.hidden)
        rows = part(source, self.group * self.width, 0, self.width)
        return load(rows, part(target), self.context.name(kind))

    def _channel_scales(self, row: int, offset: Affine | int = 0) -> Slice:
        return part(self.scales, row, self.group * self.width + offset, 1, self.width)

    def _joins_queries(self) -> bool:
        """Return whether the queries of all sentences are projected together.

        Blocks of the tokens of a batch divide them evenly, those of a sentence may be less than a
        tile.
        """
        lengths, rows = self.context.shape.lengths, self.context.memory.config.array.rows
        return len(lengths) > 1 and any(length % rows for length in lengths)

    def _of_all_tokens(self, name: str) -> Operand:
        """Return room for keys or queries of a group of heads."""
        context, tokens = self.context, self.context.shape.sequence
        memory, depth = context.memory, context.tiling.depth
        return Operand(
            memory.operand(context.name(name), tokens, self.width, depth),
            memory.scales(context.name(f"{name}.scales"), 1, tokens, depth),
        )

    def _queries(self, weights: Buffer, queries: Operand) -> Node:
        return self._project("query", weights, queries, QUERY, self.fractions.query)

    def _project(
        self, kind: str, weights: Buffer, target: Operand, scales: int, fraction: int
    ) -> Node:
        """Multiply all tokens by weights whose scale words are row `scales`, to int8 rows."""
        context = self.context
        rows = min(context.tiling.rows, context.shape.sequence)
        staging = context.memory.results(
            f"{target.values.name}.wide", rows, self.width, context.tiling.depth
        )
        loop = f"{kind}_block"
        first, count = context.tokens(loop)
        wide = part(staging, rows=count)
        b = part(weights), self._channel_scales(scales)
        x, blocks, loads = self.x.read(kind, rows, first, count)
        body: list[Node] = [
            *loads,
            matmul(x, b, wide, fraction, context.name(kind)),
            quantise(wide, target.rows(first, count), fraction, context.name(kind)),
        ]
        return context.token_blocks(loop, (*blocks, staging), body)

    def _values(self, weights: Buffer, sentence: Sentence) -> Node:
        context, fraction, span = self.context, self.fractions.value, sentence.span
        # Channels are rows or columns of tiles: whole tiles of them, whatever the blocks of tokens.
        tile = context.memory.config.array.columns
        step = min(max(context.tiling.rows // tile, 1) * tile, self.width)
        # Ragged numbers of tokens stream, which gives the results column by column.
        is_ragged = any(length % tile for length in context.shape.lengths)
        staging = context.memory.results(
            context.name("values.wide"),
            step,
            context.shape.longest,
            context.tiling.depth,
            by_column=is_ragged,
        )
        loop = context.name(f"value_block{span.name}")
        number, count = block(loop)
        first = number * step
        wide = part(staging, rows=count, columns=span.length)
        channels = part(self.scales, VALUE, self.group * self.width + first, 1, count)
        a = part(weights, first, rows=count), channels
        rows = self.x.value_rows(span.length)
        of_tokens = context.name(f"value_tokens{span.name}")
        place, tokens = block(of_tokens)
        columns = place * rows
        most = self.x.value_rows(context.shape.longest)
        x, blocks, loads = self.x.read("value", most, columns + span.offset, tokens)
        result = part(staging, 0, columns, count, tokens)
        product = matmul(a, x, result, fraction, context.name("value"))
        body: tuple[Node, ...] = (
            Parallel(of_tokens, 0, span.length, rows, blocks, (*loads, product)),
            quantise(wide, sentence.values.rows(first, count), fraction, context.name("value")),
        )
        return Parallel(loop, 0, self.width, step, (staging,), body)

    def _query_blocks(
        self, weights: Buffer, projected: Operand | None, keys: Operand, sentence: Sentence
    ) -> Node:
        """Lower the attention of a sentence; its queries are some of `projected`, if that is given,
        and projected block by block otherwise."""
        context, memory, depth = self.context, self.context.memory, self.context.tiling.depth
        span = sentence.span
        rows = query_rows(context.shape, context.tiling)
        loop = context.name(f"query_block{span.name}")
        number, count = block(loop)
        first = span.offset + number * rows
        mixed = memory.results(context.name("context.wide"), rows, self.width, depth)
        merged, blocks, stores = self.merged.block(rows, self.group, first, count)
        buffers: list[Buffer] = []
        body: list[Node] = []
        if projected is None:
            queries, buffers, body = self._query_block(weights, rows, first, count)
            of_block = queries.rows(0, count)
        else:
            of_block = projected.rows(first, count)
        body += [
            self._head_loop(of_block, keys, sentence, mixed, count),
            quantise(
                part(mixed, rows=count), merged, self.fractions.context, context.name("context")
            ),
            *stores,
        ]
        return Parallel(loop, 0, span.length, rows, (*buffers, mixed, *blocks), tuple(body))

    def _query_block(
        self, weights: Buffer, rows: int, first: Affine, count: Affine
    ) -> tuple[Operand, list[Buffer], list[Node]]:
        """Return the queries of a block of at most `rows` tokens, its buffers, and its nodes."""
        context, memory, depth = self.context, self.context.memory, self.context.tiling.depth
        fraction, name = self.fractions.query, context.name("query")
        wide = memory.results(context.name("queries.wide"), rows, self.width, depth)
        queries = Operand(
            memory.operand(context.name("queries"), rows, self.width, depth),
            memory.scales(context.name("queries.scales"), 1, rows, depth),
        )
        b = part(weights), self._channel_scales(QUERY)
        result = part(wide, rows=count)
        x, blocks, loads = self.x.read("query", rows, first, count)
        nodes: list[Node] = [
            *loads,
            matmul(x, b, result, fraction, name),
            quantise(result, queries.rows(0, count), fraction, name),
        ]
        return queries, [*blocks, wide, queries.values, queries.scales], nodes

    def _head_loop(
        self,
        queries: tuple[Slice, Slice],
        keys: Operand,
        sentence: Sentence,
        mixed: Buffer,
        count: Affine,
    ) -> Node:
        context, memory, depth = self.context, self.context.memory, self.context.tiling.depth
        span, mask = sentence.span, sentence.mask
        width, length, longest = context.shape.head_width, span.length, context.shape.longest
        rows = mixed.rows
        loop = context.name(f"head{span.name}")
        number, _ = block(loop)
        first = number * width
        scores = memory.results(context.name("scores"), rows, longest, depth)
        both = context.shape.planes > 1
        planes = memory.operand(
            context.name("probabilities"), rows * context.shape.planes, longest, depth
        )
        sums = memory.scales(context.name("probabilities.scales"), 1, rows, depth)
        high = part(planes, 0, rows=count, columns=length)
        low = part(planes, rows, rows=count, columns=length) if both else None
        scale = part(sums, columns=count)
        values, query_scales = queries
        query = replace(values, column=first, columns=Affine.of(width)), query_scales
        key = (
            part(keys.values, span.offset, first, length, width),
            part(keys.scales, 0, span.offset, 1, length),
        )
        score = part(scores, rows=count, columns=length)
        masking = None if mask is None else part(mask, rows=count)
        result = part(mixed, 0, first, count, width)
        fraction = self.fractions.context
        head_values = sentence.values.rows(first, width)
        body: list[Node] = [
            matmul(query, key, score, self.fractions.scores, context.name("scores"), masking),
            softmax(score, (high, low), scale, self.fractions.scores, context.name("softmax")),
            *mix(
                (high, low),
                scale,
                head_values,
                result,
                fraction,
                context.name("context"),
                both=takes_both_planes(memory.config.array, length),
            ),
        ]
        return Parallel(loop, 0, self.width, width, (scores, planes, sums), tuple(body))

    def projection(
        self, context: LayerContext, residual: Buffer, *, is_sum: bool = True
    ) -> list[Node]:
        """Return the nodes that add the output projection of a pass to `residual` in place.

        Parameters
        ----------
        context : LayerContext
            Of the pass.
        residual : Buffer
            int16 [tokens of the pass, hidden].
        is_sum : bool
            Whether there is something to add to; otherwise `residual` is overwritten.
        """
        shape, step = context.shape, context.tiling.projection
        product = context.product("projection")
        loop = context.name("projection_block")
        number, channels = block(loop)
        weights = context.memory.operand(
            context.product("projection.weights"), step, shape.attended, context.tiling.depth
        )
        source = context.constant("projection", "int8", shape.hidden, shape.attended)
        first, count = context.tokens("projection_rows")
        merged, offset, loads = self.merged.of_pass(context)
        y = part(residual, first, number * step, count, channels)
        products: list[Node] = []
        for group in range(self.groups):
            columns = group * self.width
            a = (
                part(merged, first + offset, columns, count, self.width),
                part(self.merged.scales, group, first + context.span.offset, 1, count),
            )
            row = PROJECTION if group == 0 else PROJECTION_UNBIASED
            b = (
                part(weights, 0, columns, channels, self.width),
                part(self.scales, row, number * step, 1, channels),
            )
            added = y if is_sum or group else None
            products.append(matmul(a, b, y, self.fractions.input, product, added))
        body: tuple[Node, ...] = (
            load(part(source, number * step, rows=channels), part(weights, rows=channels), product),
            context.token_blocks("projection_rows", (), products),
        )
        return [*loads, Parallel(loop, 0, shape.hidden, step, (weights,), body)]
