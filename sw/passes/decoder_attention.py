"""Lower a decoder's attention: keys and values of new tokens, then groups of heads over the cache.

Queries lie head under head, [heads · tokens, head width], so that the heads which share a key head
are rows of one product. The cache goes through the scratchpad in blocks of tokens, each used by all
heads of the group. The last tokens of the cache, those that share an aligned stretch with the new
ones, are kept with these in the `tail`.
"""

from __future__ import annotations

from collections.abc import Callable

from ..decoder_quantise import ROTATION_FRACTION
from ..gir import Affine, Buffer, Move, Node, Operation, Parallel, Slice
from .build import block, load, matmul, multiply, part, quantise, softmax, store
from .decoder_layer import DecoderContext
from .layer import Operand
from .mix import mix, takes_both_planes


class DecoderAttention:
    """Lowers the attention of one layer in one step.

    Parameters
    ----------
    context : DecoderContext
    x : Operand
        The normalised input, int8 [tokens, hidden].
    rotations : Buffer
        (cosine, sine) of each pair of a head, int16 [tokens, head width].
    """

    def __init__(self, context: DecoderContext, x: Operand, rotations: Buffer) -> None:
        model, step, memory = context.model, context.step, context.memory
        self.context, self.x, self.rotations = context, x, rotations
        self.width, self.tokens = model.head_width, step.tokens
        self.cache = context.cache()
        rows = step.tail + step.tokens
        name = context.name
        self.keys = Operand(
            memory.declare(memory.operand(name("tail.keys"), rows, model.key_width)),
            memory.declare(memory.scales(name("tail.scales"), model.key_heads, rows)),
        )
        # One channel more than there are values, and a scale that is known: see `quantise`.
        self.values = Operand(
            memory.declare(memory.operand(name("tail.values"), rows, model.key_width + 1)),
            memory.declare(memory.scales(name("tail.unused"), 1, step.tokens)),
        )
        self.merged = context.operand("context", model.heads * step.tokens, self.width)
        self.value_scales, self._load_value_scales = context.resident(
            "value.scale", "scale", 1, self.width
        )

    def nodes(self, residual: Buffer) -> list[Node]:
        """Return the nodes of the attention, which adds its result to `residual` in place."""
        projection = self._projection(residual)
        return [
            self._load_value_scales,
            *self._load_tail(),
            self._new_keys(),
            *self._new_values(),
            *self._append(),
            self._groups(),
            *projection,
        ]

    def _load_tail(self) -> list[Move]:
        model, step, cache = self.context.model, self.context.step, self.cache
        if not step.tail:
            return []
        label, width = self.context.label("cache"), model.key_width
        return [
            load(
                part(source, step.aligned, 0, step.tail, width),
                part(target, 0, 0, step.tail, width),
                label,
            )
            for source, target in (
                (cache.keys, self.keys.values),
                (cache.values, self.values.values),
            )
        ] + [
            load(
                part(cache.scales, 0, step.aligned, columns=step.tail),
                part(self.keys.scales, 0, 0, columns=step.tail),
                label,
            )
        ]

    def rotate(self, wide: Buffer, fraction: int, label: str) -> Operation:
        """Return the node that turns the pairs of one head, [tokens, head width], in place."""
        fractions = (fraction, ROTATION_FRACTION, fraction)
        turns = part(self.rotations)
        return multiply(part(wide), turns, part(wide), fractions, label, is_complex=True)

    def _new_keys(self) -> Node:
        context, fraction, tail = self.context, self.context.fractions.key, self.context.step.tail
        wide = context.memory.results(
            context.name("keys.wide"), self.tokens, self.width, context.tiling.depth
        )
        loop = context.name("key_head")
        head, _ = block(loop)
        target = (
            part(self.keys.values, tail, head * self.width, self.tokens, self.width),
            part(self.keys.scales, head, tail, 1, self.tokens),
        )
        label = context.label("key")
        body = (
            context.product("key", self.x, head * self.width, self.width, wide, fraction),
            self.rotate(wide, fraction, label),
            quantise(part(wide), target, fraction, label),
        )
        return Parallel(loop, 0, context.model.key_heads, 1, (wide,), body)

    def _new_values(self) -> list[Node]:
        context, fraction, tail = self.context, self.context.fractions.value, self.context.step.tail
        width = context.model.key_width + 1
        wide = context.memory.declare(
            context.memory.results(context.name("values.wide"), self.tokens, width)
        )
        target = (
            part(self.values.values, tail, rows=self.tokens),
            part(self.values.scales),
        )
        return [
            context.product("value", self.x, 0, width, wide, fraction),
            quantise(part(wide), target, fraction, context.label("value")),
        ]

    def _append(self) -> list[Move]:
        """Store the new tokens; scale words from an aligned one on, where the bus can begin."""
        model, step, cache = self.context.model, self.context.step, self.cache
        label, width = self.context.label("cache"), model.key_width
        count = step.tail + step.tokens
        return [
            store(
                part(source, step.tail, 0, step.tokens, width),
                part(target, step.past, 0, step.tokens, width),
                label,
            )
            for source, target in (
                (self.keys.values, cache.keys),
                (self.values.values, cache.values),
            )
        ] + [
            store(part(self.keys.scales), part(cache.scales, 0, step.aligned, columns=count), label)
        ]

    def _groups(self) -> Node:
        context, model = self.context, self.context.model
        loop = context.name("key_group")
        group, _ = block(loop)
        step = context.tiling.key_heads
        return Parallel(loop, 0, model.key_heads, step, (), (self._group(group * step),))

    def _group(self, first_key: Affine) -> Node:
        """Return the attention of the query heads that share some key heads from `first_key` on."""
        context, tiling, model = self.context, self.context.tiling, self.context.model
        loop = context.name("query_group")
        number, _ = block(loop)
        heads = HeadGroup(self, first_key, first_key * model.group + number * tiling.heads)
        return Parallel(loop, 0, model.group, tiling.heads, heads.buffers, tuple(heads.nodes()))

    def _projection(self, residual: Buffer) -> list[Node]:
        context, model, tiling = self.context, self.context.model, self.context.tiling
        kind, label = "projection", context.label("projection")
        scales, load_scales = context.resident("projection.scales", "scale", 1, model.hidden)
        source = context.constant(kind, "int8", model.query_width, model.hidden)
        step = min(tiling.outputs, model.hidden)
        weights = context.memory.operand(
            context.name("projection.weights"), self.width, step, tiling.depth
        )
        head, _ = block(context.name("projection_head"))
        number, count = block(context.name("projection_tile"))
        first = number * step
        b = part(weights, columns=count), part(scales, 0, first, columns=count)
        y = part(residual, 0, first, columns=count)
        a = self.merged.rows(head * self.tokens, self.tokens)
        body = (
            load(part(source, head * self.width, first, self.width, count), b[0], label),
            matmul(a, b, y, context.fractions.residual, label, y, b_transposed=True),
        )
        tiles = Parallel(context.name("projection_tile"), 0, model.hidden, step, (weights,), body)
        heads = Parallel(context.name("projection_head"), 0, model.heads, 1, (), (tiles,))
        return [load_scales, heads]


UseOfBlock = Callable[[Buffer, Affine, Affine], tuple[tuple[Buffer, ...], list[Node]]]
"""From a block of the cache, its first token and its tokens to further buffers and nodes."""


class HeadGroup:
    """Lowers the heads that are worked on together.

    Parameters
    ----------
    attention : DecoderAttention
    first_key, first_head : Affine
        The first key head and the first query head.
    """

    def __init__(self, attention: DecoderAttention, first_key: Affine, first_head: Affine) -> None:
        context = attention.context
        memory, tiling, depth = context.memory, context.tiling, context.tiling.depth
        self.attention, self.context = attention, context
        self.first_key, self.first_head = first_key, first_head
        self.width, self.tokens, self.total = attention.width, attention.tokens, context.step.total
        self.shared = tiling.heads * self.tokens
        """Rows of queries that share a key head."""
        self.rows = tiling.key_heads * self.shared
        name, rows = context.name, self.rows
        self.queries = Operand(
            memory.operand(name("queries"), rows, self.width, depth),
            memory.scales(name("queries.scales"), 1, rows, depth),
        )
        self.scores = memory.results(name("scores"), rows, self.total, depth)
        self.planes = memory.operand(name("probabilities"), 2 * rows, self.total, depth)
        self.sums = memory.scales(name("probabilities.scales"), 1, rows, depth)
        self.mixed = memory.results(name("context.wide"), rows, self.width, depth)
        self.key_head, _ = block(name("shared_key"))

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """What is private to the group."""
        own = self.queries.values, self.queries.scales
        return (*own, self.scores, self.planes, self.sums, self.mixed)

    def nodes(self) -> list[Node]:
        """Return the nodes from the queries to the int8 context."""
        context, tail = self.context, self.attention
        first = self.first_key + self.key_head
        column = first * self.width
        count, aligned = context.step.tail + self.tokens, context.step.aligned
        keys = (
            part(tail.keys.values, 0, column, columns=self.width),
            part(tail.keys.scales, first, rows=1),
        )
        values = part(tail.values.values, 0, column, columns=self.width)
        return [
            self._query_heads(),
            *self._cache_blocks("keys", self._score_block),
            self._each_key_head([self._score(keys, aligned, count)]),
            *self._probabilities(),
            self._each_key_head(self._mix(values, aligned, count, begins=True)),
            *self._cache_blocks("values", self._mix_block),
            self._each_key_head([self._quantise_context()]),
        ]

    def _each_key_head(self, body: list[Node]) -> Node:
        loop = self.context.name("shared_key")
        return Parallel(loop, 0, self.context.tiling.key_heads, 1, (), tuple(body))

    def _shared_rows(self, offset: int = 0) -> Affine:
        return self.key_head * self.shared + offset

    def _query_heads(self) -> Node:
        context, fraction = self.context, self.context.fractions.query
        loop = context.name("query_head")
        head, _ = block(loop)
        wide = context.memory.results(
            context.name("queries.wide"), self.tokens, self.width, context.tiling.depth
        )
        first = (self.first_head + head) * self.width
        label = context.label("query")
        target = self.queries.rows(head * self.tokens, self.tokens)
        body = (
            context.product("query", self.attention.x, first, self.width, wide, fraction),
            self.attention.rotate(wide, fraction, label),
            quantise(part(wide), target, fraction, label),
        )
        count = context.tiling.key_heads * context.tiling.heads
        return Parallel(loop, 0, count, 1, (wide,), body)

    def _cache_blocks(self, kind: str, use: UseOfBlock) -> list[Node]:
        """Return the loop over blocks of the cache, each loaded for all key heads of the group."""
        context, tiling = self.context, self.context.tiling
        if not context.step.aligned:
            return []
        rows = min(tiling.key_block, context.step.aligned)
        columns = tiling.key_heads * self.width
        loop = context.name(f"{kind}.block")
        number, count = block(loop)
        values = context.memory.operand(context.name(f"{kind}.past"), rows, columns, tiling.depth)
        source = getattr(self.attention.cache, kind)
        first, column = number * rows, self.first_key * self.width
        target = part(values, rows=count)
        body = [load(part(source, first, column, count, columns), target, context.label("cache"))]
        buffers, more = use(values, first, count)
        return [Parallel(loop, 0, context.step.aligned, rows, (values, *buffers), (*body, *more))]

    def _score_block(
        self, values: Buffer, first: Affine, count: Affine
    ) -> tuple[tuple[Buffer, ...], list[Node]]:
        context, key_heads = self.context, self.context.tiling.key_heads
        scales = context.memory.scales(
            context.name("keys.past.scales"), key_heads, values.rows, context.tiling.depth
        )
        source = part(self.attention.cache.scales, self.first_key, first, key_heads, count)
        keys = (
            part(values, 0, self.key_head * self.width, count, self.width),
            part(scales, self.key_head, 0, 1, count),
        )
        return (scales,), [
            load(source, part(scales, columns=count), context.label("cache")),
            self._each_key_head([self._score(keys, first, count)]),
        ]

    def _mix_block(
        self, values: Buffer, first: Affine, count: Affine
    ) -> tuple[tuple[Buffer, ...], list[Node]]:
        b = part(values, 0, self.key_head * self.width, count, self.width)
        return (), [self._each_key_head(self._mix(b, first, count, begins=False))]

    def _score(
        self, keys: tuple[Slice, Slice], column: Affine | int, count: Affine | int
    ) -> Operation:
        row = self._shared_rows()
        y = part(self.scores, row, column, self.shared, count)
        fraction, label = self.context.fractions.scores, self.context.label("scores")
        return matmul(self.queries.rows(row, self.shared), keys, y, fraction, label)

    def _probabilities(self) -> list[Node]:
        """Return the softmax: of all heads of a key head, or one by one with a causal mask."""
        context, tokens = self.context, self.tokens
        masked = tokens > 1
        loop = context.name("masked_head" if masked else "shared_key")
        rows = tokens if masked else self.shared
        number, _ = block(loop)
        first = number * rows
        planes = (
            part(self.planes, first, rows=rows),
            part(self.planes, first + self.rows, rows=rows),
        )
        node = softmax(
            part(self.scores, first, rows=rows),
            planes,
            part(self.sums, 0, first, columns=rows),
            context.fractions.scores,
            context.label("softmax"),
            context.step.past + 1 if masked else None,
        )
        return [Parallel(loop, 0, self.rows // rows, 1, (), (node,))]

    def _mix(
        self, values: Slice, column: Affine | int, count: Affine | int, *, begins: bool
    ) -> list[Node]:
        """Return the products of both planes of probabilities with `values`, added up."""
        context, row, tiling = self.context, self._shared_rows(), self.context.tiling
        longest = max(tiling.key_block, context.step.tail + self.tokens)
        y = part(self.mixed, row, rows=self.shared)
        sums = part(self.sums, 0, row, 1, self.shared)
        high, low = (
            part(self.planes, first, column, self.shared, count) for first in (row, row + self.rows)
        )
        return mix(
            (high, low),
            sums,
            (values, part(self.attention.value_scales)),
            y,
            context.fractions.context,
            context.label("context"),
            both=takes_both_planes(context.memory.config.array, longest),
            adds=not begins,
            b_transposed=True,
        )

    def _quantise_context(self) -> Operation:
        context, row = self.context, self._shared_rows()
        first = self.first_head * self.tokens + row
        return quantise(
            part(self.mixed, row, rows=self.shared),
            self.attention.merged.rows(first, self.shared),
            context.fractions.context,
            context.label("context"),
        )
