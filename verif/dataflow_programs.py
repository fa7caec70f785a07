"""Programs of products in every dataflow that overlap with loads, stores and the vector unit."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..hw.config import WORD_BYTES, AcceleratorConfig
from ..hw.isa import COMPRESSED_A_FLOWS, STATIONARY_FLOWS, Flow, Opcode
from ..hw.matmul_check import supported_flows
from ..sw.instruction import Dram, Instruction
from ..sw.program import Program, Window
from ..sw.tensor import Tensor
from .benches.products import Allocator, Product, random_product
from .golden.operands import Matrix
from .golden.scratchpad import Scratchpad
from .program_builder import CODE, DATA, semaphore

ROW_WORDS = 16
"""Words of a row of the images that are loaded and stored."""

ROUND_WORDS = 4096
"""A round takes half of the scratchpad, at most so many words, unless told otherwise."""

TRIES = 20
"""Random products of one flow that are drawn until one fits."""


@dataclass
class _Code:
    """Instructions and the semaphores between them.

    An instruction waits at most once for each unit, and units wait for each other in the order of
    the program, so that the n-th signal meets the n-th wait.
    """

    instructions: list[Instruction] = field(default_factory=list)

    def emit(self, instruction: Instruction, after: Iterable[int | None] = ()) -> int:
        """Append an instruction that waits for those at the places `after`; return its place."""
        waits = 0
        for place in after:
            if place is None:
                continue
            earlier = self.instructions[place]
            bit = 1 << semaphore(earlier.unit, instruction.unit)
            self.instructions[place] = earlier.replace(signal=earlier["signal"] | bit)
            waits |= bit
        self.instructions.append(instruction.replace(wait=waits))
        return len(self.instructions) - 1


class _Round:
    """Products whose operands are loaded at once, and whose results are stored at once."""

    def __init__(
        self, config: AcceleratorConfig, generator: random.Random, base: int, words: int
    ) -> None:
        self.config = config
        self.generator = generator
        self.base = base
        self.scratchpad = Scratchpad(config)
        self.scratchpad.bytes[:] = np.frombuffer(
            generator.randbytes(len(self.scratchpad.bytes)), dtype=np.uint8
        )
        self.allocator = Allocator(config, generator, base, base + words)

    def product(self, flow: Flow) -> Instruction | None:
        """Place a random product; return None if there is no room."""
        for _ in range(TRIES):
            drawn = random_product(self.generator, self.config, flow)
            try:
                return drawn.place(self.allocator, self.scratchpad)
            except ValueError:
                continue
        return None

    def rescale(self, product: Instruction) -> tuple[Instruction, Matrix] | None:
        """Place the result of a QUANTISE or SOFTMAX of what `product` writes."""
        shape = product["m"], product["n"]
        rows, columns = reversed(shape) if product["y_transposed"] else shape
        before = self.allocator.next
        try:
            y = self.allocator.matrix(rows, columns, "int8", skewed=True)
            scale = self.allocator.words(rows)
        except ValueError:
            self.allocator.next = before
            return None
        values = {
            "rows": rows,
            "columns": columns,
            "x_address": product["y_address"],
            "x_pitch": product["y_pitch"],
            "x_fraction": self.generator.randint(4, 12),
            "y_address": y.address,
            "y_pitch": y.pitch,
            "scale_address": scale,
        }
        opcode = self.generator.choice((Opcode.QUANTISE, Opcode.SOFTMAX))
        return Instruction(opcode, values), y

    def product_of(self, vector: Instruction, operand: Matrix, flow: Flow) -> Instruction | None:
        """Place a product of `flow` whose dense operand, with its scales, is what `vector` gives.

        Returns
        -------
        Instruction or None
            None if there is no room or the flow does not take that shape.
        """
        length, k = operand.rows, operand.columns
        other = self.generator.randint(1, 2 * self.config.array.columns + 1)
        name, scale, m, n = "a", "row", length, other
        if flow in COMPRESSED_A_FLOWS:
            name, scale, m, n = "b", "column", other, length
        if flow in STATIONARY_FLOWS and m > self.config.array.partial_rows:
            return None
        if k > self.config.array.block * self.config.array.panel_blocks:
            return None
        place = {
            f"{name}_address": operand.address,
            f"{name}_pitch": operand.pitch,
            f"{scale}_scale_address": vector["scale_address"],
        }
        product = Product(m, n, k, flow=flow, density=self.generator.random(), fields=place)
        try:
            return product.place(self.allocator, self.scratchpad)
        except ValueError:
            return None

    @property
    def image(self) -> NDArray[np.uint64]:
        """All words of the round, in rows of `ROW_WORDS`."""
        rows = -(-(self.allocator.next - self.base) // ROW_WORDS)
        words = self.scratchpad.words[self.base : self.base + rows * ROW_WORDS]
        return words.reshape(rows, ROW_WORDS).copy()


class _Writer:
    """Writes rounds one after the other, each in the other half of the scratchpad."""

    def __init__(self, config: AcceleratorConfig, seed: int, round_words: int) -> None:
        self.config = config
        self.random = random.Random(seed)
        self.round_words = min(config.scratchpad_words // 2, round_words)
        self.code = _Code()
        self.inputs: dict[str, NDArray] = {}
        self.tensors: dict[str, list[Tensor]] = {"image": [], "result": []}
        self.stores: list[int] = []
        self.dram_bytes = 0

    def round(self, flows: list[Flow]) -> None:
        """Write a round with as many products of `flows`, from the front on, as fit; take them."""
        number = len(self.stores)
        half = self.round_words
        made = _Round(self.config, self.random, number % 2 * half, half)
        # The image is not known before all is placed, but its LOAD comes first.
        before = self.stores[number - 2] if number > 1 else None
        load = self.code.emit(Instruction(Opcode.LOAD, {}), (before,))
        product, vector = load, None
        while flows:
            placed = made.product(flows[0])
            if placed is None and product != load:
                break
            if placed is None:
                continue
            flow = flows.pop(0)
            product = self.code.emit(placed, (load,) if product == load else ())
            if self.random.random() < 0.4:
                vector, product = self._chain(made, product, vector, flow)
        image = made.image
        name = f"image {number}"
        values = self._transfer(made, self._tensor("image", number, image))
        head = self.code.instructions[load]
        self.code.instructions[load] = Instruction(Opcode.LOAD, values).replace(
            wait=head["wait"], signal=head["signal"]
        )
        self.inputs[name] = image
        values = self._transfer(made, self._tensor("result", number, image))
        self.stores.append(self.code.emit(Instruction(Opcode.STORE, values), (product, vector)))

    def _chain(
        self, made: _Round, product: int, vector: int | None, flow: Flow
    ) -> tuple[int | None, int]:
        """Let the vector unit take up a product, and perhaps a product what it makes of it.

        Returns
        -------
        tuple of (int or None, int)
            The last instructions of the vector unit and of the array.
        """
        taken = made.rescale(self.code.instructions[product])
        if taken is None:
            return vector, product
        vector = self.code.emit(taken[0], (product,))
        user = made.product_of(*taken, flow)
        return vector, product if user is None else self.code.emit(user, (vector,))

    def _tensor(self, kind: str, number: int, image: NDArray[np.uint64]) -> Tensor:
        offset = self.dram_bytes
        self.dram_bytes += image.nbytes
        stride = ROW_WORDS * WORD_BYTES
        tensor = Tensor(f"{kind} {number}", DATA, offset, image.shape, "uint64", stride)
        self.tensors[kind].append(tensor)
        return tensor

    def _transfer(self, made: _Round, tensor: Tensor) -> dict[str, int | Dram]:
        return {
            "rows": tensor.shape[0],
            "row_words": ROW_WORDS,
            "dram_address": Dram(DATA, tensor.offset),
            "dram_stride": tensor.stride,
            "address": made.base,
            "pitch": ROW_WORDS,
        }

    def program(self) -> Program:
        """Return the program, ended."""
        self.code.emit(Instruction(Opcode.END, {}))
        code = b"".join(instruction.encode() for instruction in self.code.instructions)
        return Program(
            config=self.config,
            code=code,
            code_address=Dram(CODE, 0),
            windows=(
                Window("code", len(code) + 64),
                Window("data", self.dram_bytes, writable=True),
            ),
            inputs=tuple(self.tensors["image"]),
            outputs=tuple(self.tensors["result"]),
        )


def dataflow_program(
    config: AcceleratorConfig, seed: int, *, repeats: int = 2, round_words: int = ROUND_WORDS
) -> tuple[Program, dict[str, NDArray]]:
    """Return a program with `repeats` random products or more of every flow, and its inputs.

    The products follow each other without a semaphore. Some of their results go through the
    vector unit and into another product. Meanwhile the images of all operands of the next products
    are loaded, and those of earlier results stored: outputs are all words that were loaded.

    Parameters
    ----------
    config : AcceleratorConfig
        Flows that it leaves out do not occur.
    seed : int
        Of shapes, order and data.
    repeats : int
        At least 1.
    round_words : int
        What is loaded at once takes half of the scratchpad, at most so many words; larger products
        do not occur.
    """
    writer = _Writer(config, seed, round_words)
    flows = [*supported_flows(config)] * repeats
    writer.random.shuffle(flows)
    while flows:
        writer.round(flows)
    return writer.program(), writer.inputs
