"""Unroll parallel nodes: every iteration gets its own copies of the buffers declared in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..errors import CompileError
from ..gir import Buffer, Graph, Node, Operation, Parallel, changed


def expand(graph: Graph) -> Graph:
    """Return `graph` without parallel nodes.

    A buffer of a parallel node becomes one buffer an iteration, numbered in program order across
    all parallel nodes that declare it.

    Raises
    ------
    CompileError
        If two parallel nodes declare different buffers of the same name.
    """
    expander = _Expander()
    body = tuple(expander.walk(graph.body, {}, {}))
    return replace(graph, buffers=graph.buffers + tuple(expander.copies), body=body)


class _Expander:
    def __init__(self) -> None:
        self.copies: list[Buffer] = []
        self._declared: dict[str, Buffer] = {}
        self._counts: dict[str, int] = {}

    def walk(
        self, body: tuple[Node, ...], values: Mapping[str, int], names: Mapping[str, str]
    ) -> Iterator[Operation]:
        for node in body:
            if isinstance(node, Operation):
                yield node.substitute(values, names)
            else:
                yield from self._unroll(node, values, names)

    def _unroll(
        self, node: Parallel, values: Mapping[str, int], names: Mapping[str, str]
    ) -> Iterator[Operation]:
        for iteration in node.iterations():
            private = {buffer.name: self._copy(buffer) for buffer in node.buffers}
            yield from self.walk(node.body, {**values, **iteration}, {**names, **private})

    def _copy(self, buffer: Buffer) -> str:
        if self._declared.setdefault(buffer.name, buffer) != buffer:
            raise CompileError(f"buffer {buffer.name} is declared twice, differently")
        number = self._counts.get(buffer.name, 0)
        self._counts[buffer.name] = number + 1
        self.copies.append(changed(buffer, name=f"{buffer.name}.{number}"))
        return self.copies[-1].name
