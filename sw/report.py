"""What a program's metadata says about it, for reports and benchmarks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import index
from typing import Any

from ..hw.config import AcceleratorConfig
from ..hw.isa import Opcode
from .cost import cycles
from .gir import Graph, Level, Operation
from .passes.tiling import Shape, Tiling
from .profile import bytes_moved, compulsory_bytes


def describe(
    graph: Graph, shape: Shape, tiling: Tiling, layers: Sequence[int], config: AcceleratorConfig
) -> dict[str, Any]:
    """Return the metadata of the program that `graph` becomes.

    Returns
    -------
    dict
        - ``layers``, ``sequence_length``, ``hidden``, ``heads``, ``intermediate``: its shape;
        - ``lengths``: the tokens of each sentence, ``masked``: whether there is a mask;
        - ``tiling``: how it is cut;
        - ``labels``: for each instruction but END, the product or step that it belongs to;
        - ``products``: for each matrix product ``name, layer, count, m, n, k, ideal_cycles,
          instructions``; `count` products of ``[m, k]`` by ``[k, n]``, `ideal_cycles` is their
          multiply-adds over those of the array in a cycle, `instructions` are indices; sentences
          of one length share an entry where each has its own product;
        - ``ideal_cycles``: of all products;
        - ``array_cycles``: multiply cycles of all MATMULs by the cost model, second planes of
          probabilities and partial tiles included;
        - ``compulsory_bytes``: constants, input and output, each once;
        - ``loaded_bytes``, ``stored_bytes``: what the instructions move.

        `profile.profile` adds what is expected to happen when.
    """
    operations = graph.operations()
    buffers = graph.by_name()
    products = [product for number in layers for product in _products(graph, shape, number, config)]
    matmuls = [item for item in operations if item.opcode == Opcode.MATMUL]
    moved = {
        opcode: sum(bytes_moved(item, buffers) for item in operations if item.opcode == opcode)
        for opcode in (Opcode.LOAD, Opcode.STORE)
    }
    return {
        "layers": list(layers),
        "sequence_length": shape.sequence,
        "lengths": list(shape.lengths),
        "masked": shape.masked,
        "hidden": shape.hidden,
        "heads": shape.heads,
        "intermediate": shape.intermediate,
        "tiling": asdict(tiling),
        "labels": [item.product for item in operations],
        "products": products,
        "ideal_cycles": sum(product["ideal_cycles"] for product in products),
        "array_cycles": sum(cycles(item, buffers, config) for item in matmuls),
        "compulsory_bytes": sum(
            compulsory_bytes(buffer) for buffer in graph.buffers if buffer.level == Level.DRAM
        ),
        "loaded_bytes": moved[Opcode.LOAD],
        "stored_bytes": moved[Opcode.STORE],
    }


@dataclass(frozen=True)
class _Size:
    """`count` products of ``[m, k]`` by ``[k, n]``; `axis` is the one that sentences differ in."""

    name: str
    count: int
    m: int
    n: int
    k: int
    axis: str = ""

    def holds(self, operation: Operation) -> bool:
        """Return whether `operation` is a part of it, if it is of the same name."""
        sizes = {"n": operation.writes["y"].columns, "k": operation.reads["a"].columns}
        return not self.axis or index(sizes[self.axis]) == getattr(self, self.axis)


def _sizes(shape: Shape) -> list[_Size]:
    tokens, hidden, wide = shape.sequence, shape.hidden, shape.intermediate
    sizes = [
        _Size("query", 1, tokens, hidden, hidden),
        _Size("key", 1, tokens, hidden, hidden),
    ]
    for length, sentences in sorted(Counter(shape.lengths).items()):
        heads = sentences * shape.heads
        sizes += [
            _Size("value", sentences, hidden, length, hidden, "n"),
            _Size("scores", heads, length, length, shape.head_width, "n"),
            _Size("context", heads, length, shape.head_width, length, "k"),
        ]
    return [
        *sizes,
        _Size("projection", 1, tokens, hidden, hidden),
        _Size("expand", 1, tokens, wide, hidden),
        _Size("contract", 1, tokens, hidden, wide),
    ]


def _products(
    graph: Graph, shape: Shape, number: int, config: AcceleratorConfig
) -> list[dict[str, Any]]:
    matmuls = [
        (place, item)
        for place, item in enumerate(graph.operations())
        if item.opcode == Opcode.MATMUL
    ]
    elements = config.array.rows * config.array.columns
    return [
        {
            "name": size.name,
            "layer": number,
            "count": size.count,
            "m": size.m,
            "n": size.n,
            "k": size.k,
            "ideal_cycles": size.count * size.m * size.n * size.k / elements,
            "instructions": [
                place
                for place, item in matmuls
                if item.product == f"{number}.{size.name}" and size.holds(item)
            ],
        }
        for size in _sizes(shape)
    ]
