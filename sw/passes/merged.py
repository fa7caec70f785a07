"""What the heads give, until the output projection takes it: in the scratchpad or in DRAM."""

from __future__ import annotations

from ..gir import SPILLED, Affine, Buffer, Node, Slice
from .build import load, part, store
from .layer import LayerContext
from .memory import OUTPUT_WINDOW


class MergedHeads:
    """The int8 context of all heads of a layer and its scales, one a token and group of heads.

    The scales stay in the scratchpad. The values do too if `Tiling.keep_context` says so; otherwise
    they lie in DRAM, group by group, and each pass over the tokens loads its own.

    Parameters
    ----------
    context : LayerContext
        Of the layer, all tokens.
    groups : int
        Of heads.
    """

    def __init__(self, context: LayerContext, groups: int) -> None:
        shape, memory = context.shape, context.memory
        self.context, self.groups = context, groups
        self.width = shape.attended // groups
        self.scales = memory.declare(
            memory.scales(context.name("context.scales"), groups, shape.sequence)
        )
        name = context.name("context")
        self.values: Buffer | None = None
        if context.tiling.keep_context:
            self.values = memory.declare(memory.operand(name, shape.sequence, shape.attended))
        else:
            rows = groups * shape.sequence
            self.spilled = memory.dram(f"{name}{SPILLED}", "int8", rows, self.width, OUTPUT_WINDOW)

    def block(
        self, rows: int, group: Affine, first: Affine, count: Affine
    ) -> tuple[tuple[Slice, Slice], tuple[Buffer, ...], list[Node]]:
        """Return where a group's context of `count` tokens goes, at most `rows` of them.

        Returns
        -------
        tuple of Slice
            Values and scales.
        tuple of Buffer
            Private to the block.
        list of Node
            What moves the values on.
        """
        context, width = self.context, self.width
        scales = part(self.scales, group, first, 1, count)
        if self.values is not None:
            return (part(self.values, first, group * width, count, width), scales), (), []
        name = context.name("context")
        staging = context.memory.operand(f"{name}.block", rows, width, context.tiling.depth)
        values = part(staging, rows=count)
        place = part(self.spilled, group * context.shape.sequence + first, 0, count, width)
        return (values, scales), (staging,), [store(values, place, name)]

    def of_pass(self, context: LayerContext) -> tuple[Buffer, int, list[Node]]:
        """Return the context of the tokens of a pass.

        Returns
        -------
        Buffer
            int8 [tokens, hidden].
        int
            Its row of the pass's first token.
        list of Node
            What loads it.
        """
        span, width = context.span, self.width
        if self.values is not None:
            return self.values, span.offset, []
        name, sequence = context.name("context.rows"), context.shape.sequence
        memory = context.memory
        values = memory.declare(memory.operand(name, span.length, context.shape.attended))
        loads: list[Node] = [
            load(
                part(self.spilled, group * sequence + span.offset, 0, span.length, width),
                part(values, 0, group * width, span.length, width),
                context.product("context"),
            )
            for group in range(self.groups)
        ]
        return values, 0, loads
