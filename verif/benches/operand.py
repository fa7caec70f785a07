"""Bench of an operand: chunks written in any of the ways, taken and stepped through at any time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, Timer
from numpy.typing import NDArray

from ...hw.config import WORD_BYTES
from ...hw.operand import CHUNKS, fill_layout, write_layout
from ..golden.softmax import PLANE_BITS
from ..parameters import generator, parameters
from .requantise import pack
from .unit import configuration, reset

Write = dict[str, int]


class Writer:
    """Cuts chunks, int8 [vector, chunk], in what is written in a cycle."""

    def __init__(self, config, random):
        self.config = config
        self.vector = parameters()["vector"]
        self.random = random
        self.place = write_layout(config, self.vector)
        self.ways = [self._along, self._across]
        if parameters()["gathered"]:
            self.ways.append(self._fill)

    def writes(self, chunk: NDArray[np.int8]) -> list[Write]:
        """Return the writes of a chunk, in a way that is drawn."""
        return list(self.random.choice(self.ways)(chunk))

    def _line(self, lanes, index, last, *, transposed, part=0) -> Write:
        """Return a line whose lanes begin with the bytes of `lanes`; all others are random."""
        words = np.frombuffer(self.random.randbytes(self.config.line_bytes), dtype=np.int8)
        words = words.reshape(self.config.lanes, WORD_BYTES).copy()
        first = part * self.vector
        words[: lanes.shape[0], first : first + lanes.shape[1]] = lanes
        fields = {"index": index, "transposed": transposed, "part": part, "last": last}
        line = int.from_bytes(words.tobytes(), "little")
        return {"write": 1, "line": line, "place": self.place.const(fields).as_bits()}

    def _along(self, chunk) -> Iterator[Write]:
        words = chunk.shape[1] // WORD_BYTES
        for index in range(words):
            part = chunk[:, index * WORD_BYTES :][:, :WORD_BYTES]
            yield self._line(part, index, index == words - 1, transposed=0)

    def _across(self, chunk) -> Iterator[Write]:
        steps = self.config.lanes
        word = min(self.vector, WORD_BYTES)
        pieces = [
            chunk[element : element + word, step : step + steps].T
            for step in range(0, chunk.shape[1], steps)
            for element in range(0, self.vector, word)
        ]
        part = self.random.randrange(max(1, WORD_BYTES // self.vector))
        for index, piece in enumerate(pieces):
            yield self._line(piece, index, index == len(pieces) - 1, transposed=1, part=part)

    def _fill(self, chunk) -> Iterator[Write]:
        lanes = self.config.lanes
        order = [(e, p) for e in range(self.vector) for p in range(chunk.shape[1] // lanes)]
        self.random.shuffle(order)
        for number, (element, part) in enumerate(order):
            fields = {"element": element, "part": part, "last": number == len(order) - 1}
            steps = chunk[element, part * lanes :][:lanes]
            yield {
                "fill": 1,
                "fill_place": fill_layout(self.config).const(fields).as_bits(),
                "fill_steps": int.from_bytes(steps.tobytes(), "little"),
            }


@cocotb.test()
async def gives_steps(dut):
    """Chunks come out step by step, whichever way they were written."""
    config, random = configuration(), generator("operand")
    writer = Writer(config, random)
    numbers = np.random.default_rng(random.getrandbits(32))
    strobes = ("write", "fill") if parameters()["gathered"] else ("write",)
    for name in (*strobes, "take", "step", "step_block"):
        getattr(dut, name).value = 0
    await reset(dut)
    await FallingEdge(dut.clk)

    writes: deque[Write] = deque()
    begun: deque[NDArray[np.int8]] = deque()
    using = np.zeros((writer.vector, 0), dtype=np.int8)
    left = parameters()["chunks"]
    while left or begun or using.shape[1]:
        if not writes and left and len(begun) < CHUNKS:
            size = (writer.vector, config.chunk)
            begun.append(numbers.integers(-128, 128, size).astype(np.int8))
            writes.extend(writer.writes(begun[-1]))
            left -= 1
        now = writes.popleft() if writes and random.random() < 0.8 else {}
        for name, value in (dict.fromkeys(strobes, 0) | now).items():
            getattr(dut, name).value = value
        step = bool(using.shape[1]) and random.random() < 0.8
        block = step and using.shape[1] % config.array.block == 0 and random.random() < 0.3
        dut.step.value = step and not block
        dut.step_block.value = block
        gone = config.array.block if block else int(step)
        ends = gone == using.shape[1]
        dut.take.value = take = bool(ends and int(dut.available.value))
        await Timer(1, "ns")
        if using.shape[1]:
            _compare(dut.elements, using[:, :1])
        if config.array.wide_rows and using.shape[1] > config.chunk // 2:
            lows = using[:, config.chunk // 2] & ((1 << PLANE_BITS) - 1)
            assert int(dut.lows.value) == pack(lows, PLANE_BITS)
        if using.shape[1] >= config.array.block:
            _compare(dut.blocks, using[:, : config.array.block])
        await FallingEdge(dut.clk)
        using = begun.popleft() if take else using[:, gone:]


def _compare(handle, expected: NDArray[np.int8]):
    assert int(handle.value) == int.from_bytes(expected.tobytes(), "little")
