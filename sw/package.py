"""Put instructions, constants and tensors together in a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from ..hw.config import INSTRUCTION_BYTES, AcceleratorConfig
from .errors import CompileError
from .gir import SPILLED, WORD, Buffer, Graph, Level
from .instruction import Dram
from .passes.constants import pack
from .passes.emit import emit
from .passes.memory import CACHE_WINDOW, INPUT_WINDOW, OUTPUT_WINDOW, WEIGHT_WINDOW
from .program import Program, Segment, Window
from .tensor import Tensor


def package(
    graph: Graph,
    constants: Mapping[str, NDArray],
    fractions: tuple[int, int],
    metadata: Mapping[str, Any],
    config: AcceleratorConfig,
    *,
    cached: tuple[Sequence[Tensor], Sequence[Tensor]] = ((), ()),
) -> Program:
    """Return the program of an allocated and synchronised `graph`.

    Window 0 holds constants and code, window 1 the input, window 2 the output, and window 3 what
    a program keeps for the next one.

    Parameters
    ----------
    graph : Graph
    constants : mapping of str to array
        By DRAM buffer.
    fractions : tuple of int
        Fraction bits of input and output.
    metadata : mapping
    config : AcceleratorConfig
    cached : tuple of sequence of Tensor
        Further inputs and outputs, in window 3.

    Raises
    ------
    CompileError
        If the machine has too few windows.
    """
    needed = 1 + (CACHE_WINDOW if any(cached) else OUTPUT_WINDOW)
    if config.controller.windows < needed:
        raise CompileError(
            f"memory: needs {needed} windows; controller.windows is {config.controller.windows}"
        )
    code = b"".join(instruction.encode() for instruction in emit(graph))
    ends = {window: _end(graph, window) for window in range(needed)}
    code_offset = -(-ends[WEIGHT_WINDOW] // INSTRUCTION_BYTES) * INSTRUCTION_BYTES
    buffers = graph.by_name()
    segments = tuple(
        Segment(WEIGHT_WINDOW, _offset(buffers[name]), pack(values, buffers[name]))
        for name, values in constants.items()
    )
    spills = any(buffer.name.endswith(SPILLED) for buffer in graph.buffers)
    kept = [Window("cache", ends[CACHE_WINDOW], writable=True)] if any(cached) else []
    return Program(
        config=config,
        code=code,
        code_address=Dram(WEIGHT_WINDOW, code_offset),
        windows=(
            Window("program", code_offset + INSTRUCTION_BYTES + len(code)),
            Window("input", ends[INPUT_WINDOW]),
            Window("output", ends[OUTPUT_WINDOW], readable=spills, writable=True),
            *kept,
        ),
        segments=segments,
        inputs=(
            *(
                _tensor(buffers[name], fraction)
                for name, fraction in (("input", fractions[0]), ("mask", 0))
                if name in buffers
            ),
            *cached[0],
        ),
        outputs=(_tensor(buffers["output"], fractions[1]), *cached[1]),
        metadata=metadata,
    )


def _offset(buffer: Buffer) -> int:
    assert buffer.address is not None
    return buffer.address * WORD


def _end(graph: Graph, window: int) -> int:
    ends = (
        _offset(buffer) + buffer.space * WORD
        for buffer in graph.buffers
        if buffer.level == Level.DRAM and buffer.window == window
    )
    return max(ends, default=0)


def _tensor(buffer: Buffer, fraction: int) -> Tensor:
    shape = (buffer.rows, buffer.columns)
    stride = buffer.pitch * WORD
    return Tensor(
        buffer.name, buffer.window, _offset(buffer), shape, buffer.dtype, stride, fraction
    )
