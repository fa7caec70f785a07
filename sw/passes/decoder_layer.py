"""What the parts of a decoder layer's lowering share."""

from __future__ import annotations

from dataclasses import dataclass

from ...hw.isa import Norm
from ..decoder_quantise import DecoderFractions, QuantisedDecoderLayer
from ..frontend.llama import LlamaConfig
from ..gir import Affine, Buffer, Node, Operation, Parallel
from .build import block, load, matmul, normalise, part, quantise
from .decoder_tiling import DecoderShape, DecoderTiling, Step
from .layer import Operand
from .memory import CACHE_WINDOW, Memory


@dataclass(frozen=True)
class Cache:
    """A layer's cache in DRAM.

    Parameters
    ----------
    keys, values : Buffer
        int8 [capacity, key heads · head width].
    scales : Buffer
        Scale words of the keys, [key heads, capacity].
    """

    keys: Buffer
    values: Buffer
    scales: Buffer


@dataclass(frozen=True)
class DecoderContext:
    """One layer's lowering in one step: sizes, choices, numbers, and a prefix for its names."""

    shape: DecoderShape
    step: Step
    tiling: DecoderTiling
    memory: Memory
    position: int
    number: int
    layer: QuantisedDecoderLayer

    @property
    def model(self) -> LlamaConfig:
        """Sizes of the model."""
        return self.shape.model

    @property
    def fractions(self) -> DecoderFractions:
        """Fraction bits of the results."""
        return self.layer.fractions

    def label(self, name: str) -> str:
        """Return `name` with the layer's number before it, as products are called."""
        return f"{self.number}.{name}"

    def name(self, name: str) -> str:
        """Return `name` with the layer's and the step's number before it."""
        return f"{self.number}.{self.position}.{name}"

    def constant(self, name: str, dtype: str, rows: int, columns: int) -> Buffer:
        """Declare a matrix of the layer's in DRAM."""
        return self.memory.dram(self.label(name), dtype, rows, columns)

    def resident(self, name: str, dtype: str, rows: int, columns: int) -> tuple[Buffer, Operation]:
        """Return a constant in the scratchpad, and the node that loads it."""
        source = self.constant(name, dtype, rows, columns)
        place = self.memory.scales if dtype == "scale" else self.memory.results
        target = self.memory.declare(place(self.name(f"{name}.copy"), rows, columns))
        return target, load(part(source), part(target), self.label(name))

    def operand(self, name: str, rows: int, columns: int) -> Operand:
        """Declare an int8 matrix in the scratchpad with a scale a row."""
        memory, name = self.memory, self.name(name)
        return Operand(
            memory.declare(memory.operand(name, rows, columns)),
            memory.declare(memory.scales(f"{name}.scales", 1, rows)),
        )

    def cache(self) -> Cache:
        """Declare the layer's cache in DRAM."""
        capacity, width = self.shape.capacity, self.model.key_width

        def declare(name: str, dtype: str, rows: int, columns: int) -> Buffer:
            return self.memory.dram(self.label(name), dtype, rows, columns, CACHE_WINDOW)

        return Cache(
            declare("cache.keys", "int8", capacity, width),
            declare("cache.values", "int8", capacity, width),
            declare("cache.scales", "scale", self.model.key_heads, capacity),
        )

    def norm(self, name: str, x: Buffer, fraction: int) -> tuple[Operand, list[Node]]:
        """Return the rows of `x`, normalised and quantised, and the nodes that make them."""
        hidden, tokens = self.model.hidden, self.step.tokens
        parameters, load_parameters = self.resident(name, "int16", 2, hidden)
        result = self.operand(f"{name}.result", tokens, hidden)
        rows = min(self.tiling.rows, tokens)
        wide = self.memory.results(self.name(f"{name}.wide"), rows, hidden, self.tiling.depth)
        loop = self.name(f"{name}.rows")
        number, count = block(loop)
        staging = part(wide, rows=count)
        body = (
            normalise(
                part(x, number * rows, rows=count),
                part(parameters),
                staging,
                fraction,
                self.layer.epsilon,
                self.label(name),
                Norm.ROOT_MEAN_SQUARE,
            ),
            quantise(staging, result.rows(number * rows, count), fraction, self.label(name)),
        )
        return result, [load_parameters, Parallel(loop, 0, tokens, rows, (wide,), body)]

    def product(
        self, kind: str, x: Operand, first: Affine | int, width: int, y: Buffer, fraction: int
    ) -> Node:
        """Return the product of `x` with `width` rows of the weights `kind` from `first` on.

        The weights pass through the scratchpad in blocks of `tiling.channels` rows; `y` is int16
        [tokens, width].
        """
        step = min(self.tiling.channels, width)
        outputs, inputs = self.weights_shape(kind)
        source = self.constant(kind, "int8", outputs, inputs)
        scales_source = self.constant(f"{kind}.scales", "scale", 1, outputs)
        depth = self.tiling.depth
        weights = self.memory.operand(self.name(f"{kind}.weights"), step, inputs, depth)
        scales = self.memory.scales(self.name(f"{kind}.scales.copy"), 1, step, depth)
        loop = self.name(f"{kind}.tile")
        number, count = block(loop)
        row = first + number * step
        b = part(weights, rows=count), part(scales, columns=count)
        target = part(y, 0, number * step, self.step.tokens, count)
        body = (
            load(part(source, row, rows=count), b[0], self.label(kind)),
            load(part(scales_source, 0, row, columns=count), b[1], self.label(kind)),
            matmul(x.all(), b, target, fraction, self.label(kind)),
        )
        return Parallel(loop, 0, width, step, (weights, scales), body)

    def weights_shape(self, kind: str) -> tuple[int, int]:
        """Return the shape of a weight matrix in DRAM."""
        weight = getattr(self.layer, kind).weight
        return weight.shape[0], weight.shape[1]
