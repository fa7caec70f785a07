"""What a lowering costs at least, from its nested graph: work of each unit, and instructions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...hw.config import AcceleratorConfig
from ...hw.isa import Opcode, Unit
from ..cost import cycles
from ..errors import NoRoomError
from ..gir import WORD, Buffer, Graph, Level, Node, Operation, Parallel, Slice
from .flows import Times, choose_flow


@dataclass
class Work:
    """Cycles of each unit and the number of instructions, in any order of them.

    Parameters
    ----------
    units : Counter of Unit
    instructions : int
    """

    units: Counter[Unit] = field(default_factory=Counter)
    instructions: int = 0

    def add(self, other: Work, times: int) -> None:
        """Add `other` as often as `times` says."""
        for unit, work in other.units.items():
            self.units[unit] += times * work
        self.instructions += times * other.instructions


def least_work(graph: Graph, config: AcceleratorConfig) -> Work:
    """Return what all instructions of `graph` take, without unrolling it.

    All iterations of a parallel node but the last cover as much of its axis, so that two of them
    tell the sum. No order of the operations takes fewer cycles than the busiest unit works.

    Parameters
    ----------
    graph : Graph
        With or without parallel nodes.
    config : AcceleratorConfig
    """
    buffers = graph.by_name() | {buffer.name: buffer for buffer in _private(graph.body)}
    return _Counting(buffers, config).body(graph.body, {})


def tiles(graph: Graph) -> int:
    """Return the iterations of the outer parallel nodes of a graph."""
    return sum(1 for node in graph.body if isinstance(node, Parallel) for _ in node.iterations())


def largest_operation(graph: Graph) -> tuple[int, str]:
    """Return the scratchpad bytes of what the operation touches that touches most, and its name."""
    buffers = graph.by_name() | {buffer.name: buffer for buffer in _private(graph.body)}
    sizes = {
        name: buffer.size * WORD
        for name, buffer in buffers.items()
        if buffer.level == Level.SCRATCHPAD
    }
    return max(
        (sum(sizes.get(name, 0) for name in {item.buffer for item in _slices(each)}), each.product)
        for each in _operations(graph.body)
    )


def check_operations(graph: Graph, config: AcceleratorConfig) -> None:
    """Check that each operation by itself finds room, before any order is tried.

    Raises
    ------
    NoRoomError
        If one does not.
    """
    needed, product = largest_operation(graph)
    if needed > config.scratchpad.bytes:
        raise NoRoomError(
            f"{product}: needs {needed} bytes of scratchpad; the limit is {config.scratchpad.bytes}"
        )


def _slices(operation: Operation) -> Iterator[Slice]:
    yield from operation.reads.values()
    yield from operation.writes.values()


def _operations(nodes: tuple[Node, ...]) -> Iterator[Operation]:
    for node in nodes:
        if isinstance(node, Operation):
            yield node
        else:
            yield from _operations(node.body)


def _private(nodes: tuple[Node, ...]) -> Iterator[Buffer]:
    for node in nodes:
        if isinstance(node, Parallel):
            yield from node.buffers
            yield from _private(node.body)


class _Counting:
    def __init__(self, buffers: Mapping[str, Buffer], config: AcceleratorConfig) -> None:
        self.buffers, self.config = buffers, config
        self.times = Times(config)

    def body(self, nodes: tuple[Node, ...], values: Mapping[str, int]) -> Work:
        total = Work()
        for node in nodes:
            if isinstance(node, Operation):
                total.add(self._operation(node, values), 1)
            else:
                self._parallel(total, node, values)
        return total

    def _parallel(self, total: Work, node: Parallel, values: Mapping[str, int]) -> None:
        times: Counter[int] = Counter()
        examples: dict[int, dict[str, int]] = {}
        for iteration in node.iterations():
            extent = iteration[f"|{node.loop}|"]
            times[extent] += 1
            examples[extent] = iteration
        for extent, iteration in examples.items():
            total.add(self.body(node.body, {**values, **iteration}), times[extent])

    def _operation(self, operation: Operation, values: Mapping[str, int]) -> Work:
        single = operation.substitute(values, {})
        if single.opcode == Opcode.MATMUL and self.config.array.partial_rows:
            single = choose_flow(single, self.buffers, self.times)
        return Work(Counter({single.unit: cycles(single, self.buffers, self.config)}), 1)
