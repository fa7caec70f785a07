"""Random small models of every front end, as programs with what they must compute.

A number gives one case, always the same. What the machine of a case has no room for is refused by
the compiler and drawn anew, so that a case always has a program.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from decoders import Session
from fuzz_draw import Draw, Run, float_close, machine
from fuzz_encoders import encoder_case

from ageha.sw.butterfly.compress import compress_sequence
from ageha.sw.butterfly.linear import ButterflyLinear, twiddle_shape
from ageha.sw.butterfly.twiddle import Twiddle
from ageha.sw.butterfly_compiler import compile_butterfly
from ageha.sw.butterfly_operators import Compression, Mixing
from ageha.sw.decoder_compiler import compile_decoder
from ageha.sw.errors import CompileError
from ageha.sw.fabnet_compiler import compile_blocks
from ageha.sw.fabnet_reference import run_block
from ageha.sw.frontend.fabnet import EPSILON
from ageha.sw.frontend.synthetic_fabnet import synthetic_block
from ageha.sw.frontend.synthetic_llama import synthetic_llama
from ageha.sw.gemm.compiler import compile_gemm
from ageha.sw.sparsity.dataflow import Dataflow

ATTEMPTS = 40
"""Draws until the compiler takes one."""


# Decoders


def decoder_case(draw) -> Run:
    """Return a prompt, and a token after it, which must be near floats."""
    key_heads, group = draw.number("key heads", 1, 3), draw.number("group", 1, 3)
    model = synthetic_llama(
        8 * draw.number("hidden / 8", 1, 5),
        key_heads * group,
        key_heads,
        8 * draw.number("intermediate / 8", 1, 9),
        draw.choose("layers", 1, 1, 2),
        head_width=draw.choose("width", 8, 16, 24),
        seed=draw.seed(),
    )
    prompt, layers = draw.number("prompt", 1, 20), tuple(range(model.config.layers))
    config = machine(draw)
    session = Session(model, config, layers, prompt + 1, draw.seed())
    # What the prompt leaves no room for shows before anything runs.
    compile_decoder(model, config, 1, prompt, layers, quantised=session.quantised)

    def run(tokens: int, again: Callable[[], Run | None]) -> Run:
        program, inputs = session.compile(tokens)

        def check(outputs):
            session.cache = session.cache.append(outputs)
            session.found.append(program.outputs[0].to_float(outputs["output"]))
            assert session.cosines().min() >= 0.99

        return Run(program, inputs, check, again)

    return run(prompt, lambda: run(1, lambda: None))


# Butterflies


def blocks_case(draw) -> Run:
    """Return FBfly, ABfly and FNet blocks, which must be near floats."""
    heads = draw.number("heads", 1, 3)
    kinds = [
        draw.choose("block", "fourier", "attention", "dense")
        for _ in range(draw.number("blocks", 1, 2))
    ]
    features, expanded = 16 * heads, 8 * draw.number("expanded / 8", 1, 12)
    blocks = [
        synthetic_block(
            kind == "attention", features, heads, expanded, dense=kind == "dense", seed=draw.seed()
        )
        for kind in kinds
    ]
    tokens = (
        draw.choose("tokens", 1, 2, 4, 8, 16, 32)
        if set(kinds) - {"attention"}
        else draw.number("tokens", 1, 24)
    )
    x = draw.generator.normal(size=(1, tokens, features))
    program = compile_blocks(blocks, machine(draw), x)
    expected = x
    for block in blocks:
        expected = run_block(block, expected, EPSILON)["output"]

    def check(outputs):
        float_close(program.outputs[0].to_float(outputs["output"]), expected[0], 0.999)

    return Run(program, {"input": program.inputs[0].from_float(x[0])}, check)


def butterfly_case(draw) -> Run:
    """Return one butterfly operator, which must be near floats."""
    kind = draw.choose("operator", "linear", "linear", "mixing", "compression")
    config = machine(draw)
    generator = draw.generator
    if kind == "linear":
        inputs, outputs = draw.number("inputs", 2, 100), draw.number("outputs", 2, 100)
        shape = twiddle_shape(inputs, outputs, draw.choose("blocks", 1, 1, 2))
        angles = generator.uniform(0, 2 * np.pi, shape[:-2])
        cosine, sine = np.cos(angles), np.sin(angles)
        rows = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
        bias = generator.normal(size=outputs) if draw.chance("bias", 0.5) else None
        operator = ButterflyLinear(
            Twiddle(rows, draw.choose("rising", True, False)), inputs, outputs, bias
        )
        x = generator.uniform(-1, 1, (draw.number("tokens", 1, 40), inputs))
        expected, fractions = operator(x), (14, 11)
    elif kind == "mixing":
        tokens, features = (
            draw.choose("tokens", 2, 4, 8, 16, 32),
            4 * draw.number("features / 4", 1, 16),
        )
        scale = (tokens * features).bit_length() // 2
        x = generator.normal(size=(tokens, features))
        points = 1 << (features - 1).bit_length()
        spectrum = np.fft.fft(x, n=points)
        room = 14 - int(np.ceil(np.log2(np.abs(spectrum).max())))
        operator, fractions = Mixing(features, scale, room), (10, 10)
        expected = x + np.fft.fft(spectrum[:, :features], axis=0).real * 2.0**-scale
    else:
        chunk = draw.choose("chunk", 4, 8, 16)
        kept = chunk // draw.choose("ratio", 1, 2, 4)
        tokens, features = (
            chunk * draw.number("chunks", 1, 3),
            4 * draw.number("features / 4", 1, 10),
        )
        x = generator.normal(size=(tokens, features))
        operator, fractions = Compression(features, chunk, kept, 8), (11, 11)
        expected = compress_sequence(x, chunk, kept)
    program = compile_butterfly(operator, config, len(x), fractions)

    def check(outputs):
        float_close(program.outputs[0].to_float(outputs["output"]), expected, 0.9999)

    return Run(program, {"input": program.inputs[0].from_float(x)}, check)


# Products


def gemm_case(draw) -> Run:
    """Return a product in some flow, which must be that of integers in every bit."""
    m, n, k = (draw.number(name, 1, 70) for name in "mnk")
    generator = draw.generator
    density = draw.choose("density", 0, 0.05, 0.3, 1)
    weights = generator.integers(-128, 128, (n, k)) * (generator.random((n, k)) < density)
    activations = generator.integers(-128, 128, (m, k), dtype=np.int8)
    flows = [draw.choose("flow", *Dataflow)] if draw.chance("one flow", 0.8) else list(Dataflow)
    compiled = compile_gemm(
        weights.astype(np.int8),
        activations,
        machine(draw),
        flows=flows,
        swapped=draw.chance("swapped", 0.3),
        depths=draw.choose("depths", (2, 1), (1,)),
    )
    gemm = compiled.gemm
    exact = gemm.activations.astype(np.int64) @ gemm.weights.astype(np.int64).T
    scaled = np.rint(np.ldexp(exact, compiled.program.outputs[0].fraction))
    expected = np.clip(scaled, -32768, 32767).astype(np.int16)

    def check(outputs):
        np.testing.assert_array_equal(outputs["output"], expected)

    return Run(compiled.program, compiled.inputs, check)


FAMILIES = {
    "encoder": (encoder_case, 9),
    "gemm": (gemm_case, 5),
    "decoder": (decoder_case, 2),
    "blocks": (blocks_case, 2),
    "butterfly": (butterfly_case, 2),
}
"""What makes a case of a family, and how many of a score of cases are of it."""

TURNS = tuple(name for name, (_, share) in FAMILIES.items() for _ in range(share))


@dataclass(frozen=True)
class FuzzCase:
    """A case, how it came about, and what was refused before."""

    text: str
    run: Run
    refusals: tuple[str, ...]


def fuzz_case(number: int, folder: Path) -> FuzzCase:
    """Return the case of a `number`; files go to `folder`."""
    name = TURNS[number * 7 % len(TURNS)]
    refusals: list[str] = []
    for attempt in range(ATTEMPTS):
        draw = Draw(np.random.default_rng([number, attempt]), folder)
        try:
            run = FAMILIES[name][0](draw)
        except CompileError as error:
            refusals.append(f"{name}: {', '.join(draw.chosen)}: {error}")
            continue
        return FuzzCase(f"case {number}: {name}, {', '.join(draw.chosen)}", run, tuple(refusals))
    raise AssertionError(f"case {number}: nothing compiles: {refusals[-1]}")


def runs(case: FuzzCase) -> Iterator[Run]:
    """Yield the programs of a case; each is checked before the next one is asked for."""
    run: Run | None = case.run
    while run is not None:
        yield run
        run = run.again()
