"""What a program's metadata says about it, for reports and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import index
from typing import Any

from ..hw.config import AcceleratorConfig
from ..hw.isa import Opcode
from .cost import cycles
from .gir import WORD, Buffer, Graph, Level, Operation, words
from .passes.tiling import Shape, Tiling


def describe(
    graph: Graph, shape: Shape, tiling: Tiling, layers: Sequence[int], config: AcceleratorConfig
) -> dict[str, Any]:
    """Return the metadata of the program that `graph` becomes.

    Returns
    -------
    dict
        - ``layers``, ``sequence_length``, ``hidden``, ``heads``, ``intermediate``: its shape;
        - ``tiling``: how it is cut;
        - ``labels``: for each instruction but END, the product or step that it belongs to;
        - ``products``: for each matrix product ``name, layer, count, m, n, k, ideal_cycles,
          instructions``; `count` products of ``[m, k]`` by ``[k, n]``, `ideal_cycles` is their
          multiply-adds over those of the array in a cycle, `instructions` are indices;
        - ``ideal_cycles``: of all products;
        - ``array_cycles``: multiply cycles of all MATMULs by the cost model, second planes of
          probabilities and partial tiles included;
        - ``compulsory_bytes``: constants, input and output, each once;
        - ``loaded_bytes``, ``stored_bytes``: what the instructions move.
    """
    operations = graph.operations()
    buffers = graph.by_name()
    products = [product for number in layers for product in _products(graph, shape, number, config)]
    matmuls = [item for item in operations if item.opcode == Opcode.MATMUL]
    moved = {
        opcode: sum(_bytes(item, buffers) for item in operations if item.opcode == opcode)
        for opcode in (Opcode.LOAD, Opcode.STORE)
    }
    return {
        "layers": list(layers),
        "sequence_length": shape.sequence,
        "hidden": shape.hidden,
        "heads": shape.heads,
        "intermediate": shape.intermediate,
        "tiling": asdict(tiling),
        "labels": [item.product for item in operations],
        "products": products,
        "ideal_cycles": sum(product["ideal_cycles"] for product in products),
        "array_cycles": sum(cycles(item, buffers, config) for item in matmuls),
        "compulsory_bytes": sum(
            buffer.rows * buffer.row_words * WORD
            for buffer in graph.buffers
            if buffer.level == Level.DRAM and not buffer.name.endswith(".spilled")
        ),
        "loaded_bytes": moved[Opcode.LOAD],
        "stored_bytes": moved[Opcode.STORE],
    }


def _bytes(operation: Operation, buffers: Mapping[str, Buffer]) -> int:
    source = operation.reads["source"]
    return index(source.rows) * words(index(source.columns), buffers[source.buffer].dtype) * WORD


def _products(
    graph: Graph, shape: Shape, number: int, config: AcceleratorConfig
) -> list[dict[str, Any]]:
    tokens, hidden, wide = shape.sequence, shape.hidden, shape.intermediate
    sizes = {
        "query": (1, tokens, hidden, hidden),
        "key": (1, tokens, hidden, hidden),
        "value": (1, hidden, tokens, hidden),
        "scores": (shape.heads, tokens, tokens, shape.head_width),
        "context": (shape.heads, tokens, shape.head_width, tokens),
        "projection": (1, tokens, hidden, hidden),
        "expand": (1, tokens, wide, hidden),
        "contract": (1, tokens, hidden, wide),
    }
    return [
        {
            "name": name,
            "layer": number,
            "count": count,
            "m": m,
            "n": n,
            "k": k,
            "ideal_cycles": count * m * n * k / (config.array.rows * config.array.columns),
            "instructions": [
                place
                for place, item in enumerate(graph.operations())
                if item.opcode == Opcode.MATMUL and item.product == f"{number}.{name}"
            ],
        }
        for name, (count, m, n, k) in sizes.items()
    ]
