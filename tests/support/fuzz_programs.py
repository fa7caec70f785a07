"""Random small models of every front end, as programs with what they must compute.

A number gives one case, always the same. What the machine of a case has no room for is refused by
the compiler and drawn anew, so that a case always has a program.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
from decoders import Session
from numpy.typing import NDArray
from onnx_graphs import FORMS, encoder_graph
from safetensors.numpy import save_file
from small_model import config_of, tensors_of
from small_vit import write_vit

from ageha.hw.config import AcceleratorConfig, override, preset
from ageha.hw.isa import Activation
from ageha.sw.butterfly.compress import compress_sequence
from ageha.sw.butterfly.linear import ButterflyLinear, twiddle_shape
from ageha.sw.butterfly.twiddle import Twiddle
from ageha.sw.butterfly_compiler import Compression, Mixing, compile_butterfly
from ageha.sw.calibrate import calibrate_inputs, calibration_inputs
from ageha.sw.compiler import compile_encoder, kept_inputs, quantise_layers
from ageha.sw.decoder_compiler import compile_decoder
from ageha.sw.errors import CompileError
from ageha.sw.fabnet_compiler import compile_blocks
from ageha.sw.fabnet_reference import run_block
from ageha.sw.frontend.bert import EncoderModel
from ageha.sw.frontend.fabnet import EPSILON
from ageha.sw.frontend.load import load_encoder
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.frontend.synthetic_fabnet import synthetic_block
from ageha.sw.frontend.synthetic_llama import synthetic_llama
from ageha.sw.frontend.synthetic_vit import synthetic_vit
from ageha.sw.gemm.compiler import compile_gemm
from ageha.sw.passes.tiling import Tiling
from ageha.sw.program import Program
from ageha.sw.quantise import MASKED
from ageha.sw.sparsity.dataflow import Dataflow
from ageha.sw.sparsity.kept import single_term
from ageha.sw.sparsity.tasd import parse_series
from ageha.verif.golden.encoder import Grouping, run_encoder

ATTEMPTS = 40
"""Draws until the compiler takes one."""

Outputs = Mapping[str, NDArray]


@dataclass(frozen=True)
class Run:
    """A program, its inputs, and a check of its outputs that raises AssertionError.

    `again` gives the next program of the same case, such as a decoder's next token.
    """

    program: Program
    inputs: Mapping[str, NDArray]
    check: Callable[[Outputs], None]
    again: Callable[[], "Run | None"] = field(default=lambda: None)


@dataclass
class Draw:
    """The random numbers of a case, and what they chose, for messages."""

    generator: np.random.Generator
    folder: Path
    chosen: list[str] = field(default_factory=list)

    def choose(self, name, *options):
        """Return one of `options`, and keep it in mind."""
        value = options[self.generator.integers(len(options))]
        self.chosen.append(f"{name}={getattr(value, 'name', value)}")
        return value

    def number(self, name, low, high):
        """Return an integer from `low` to `high`, small ones more often."""
        value = int(low + (high - low + 1) * self.generator.random() ** 2)
        self.chosen.append(f"{name}={value}")
        return value

    def chance(self, name, probability):
        """Return whether something with `probability` happens."""
        happens = bool(self.generator.random() < probability)
        if happens:
            self.chosen.append(name)
        return happens

    def seed(self):
        return int(self.generator.integers(1 << 31))


def machine(draw) -> AcceleratorConfig:
    """Return a small machine; `tiny` itself most of the time."""
    name = draw.choose("preset", "tiny", "tiny", "tiny", "ecp5")
    config = preset(name)
    if draw.chance("other", 0.25):
        settings = {
            "tiny": (("scratchpad.bytes", 8 << 10), ("scratchpad.bytes", 32 << 10)),
            "ecp5": (("array.rows", 4), ("array.columns", 4)),
        }
        common = ("controller.queue_depth", 2)
        config = override(config, dict([draw.choose("setting", *settings[name], common)]))
    return config


def float_close(found: NDArray, expected: NDArray, least: float) -> None:
    """Check that the cosine of all numbers is at least `least`."""
    norm = np.linalg.norm(found) * np.linalg.norm(expected)
    cosine = float(np.sum(found * expected) / norm) if norm else float(not np.any(found))
    assert cosine >= least, f"cosine {cosine:.5f} to floats, of at least {least}"


# Encoders


def some_encoder(draw) -> EncoderModel:
    """Return a BERT, a ViT, or an encoder of vectors, as read from a file of some kind."""
    width = draw.choose("width", 8, 8, 16, 24)
    sizes = {
        "heads": draw.number("heads", 1, 5),
        "intermediate": 8 * draw.number("intermediate / 8", 1, 9),
        "layers": draw.choose("layers", 1, 1, 2),
        "seed": draw.seed(),
    }
    sizes["hidden"] = width * sizes["heads"]
    kind = draw.choose("family", "bert", "vit", "vectors", "norm first")
    if kind == "vit":
        side = draw.number("patches an edge", 1, 4)
        patch = draw.number("patch", 1, 3)
        model: EncoderModel = synthetic_vit(
            **sizes, image=side * patch, patch=patch, prefix=draw.choose("prefix", 1, 2)
        )
    else:
        model = synthetic_bert(**sizes, positions=40, norm_first=kind == "norm first")
        if draw.chance("relu", 0.4):
            model = replace(model, config=replace(model.config, activation="relu"))
    model = replace(model, layers=tuple(thinned(draw, layer) for layer in model.layers))
    return stored(draw, model, kind)


def stored(draw, model, kind):
    """Return `model` after a way through a file."""
    routes = {
        "bert": ("memory", "folder", "onnx"),
        "vit": ("memory", "folder", "onnx"),
        "vectors": ("onnx",),
        "norm first": ("memory", "onnx"),
    }
    route = draw.choose("route", *routes[kind])
    folder = draw.folder / str(len(list(draw.folder.iterdir())))
    if route == "memory":
        return model
    if route == "folder" and kind == "vit":
        is_timm = len(model.patches.prefix) == 1 and draw.chance("timm", 0.5)
        write_vit(folder, model, is_timm=is_timm)
    folder.mkdir(exist_ok=True)
    if route == "folder" and kind == "bert":
        (folder / "config.json").write_text(json.dumps(config_of(model)))
        save_file(tensors_of(model), folder / "model.safetensors")
    if route == "folder":
        return load_encoder(folder)
    form = FORMS[draw.choose("form", *(name for name in FORMS if name != "tanh"))]
    if kind in ("vectors", "norm first"):
        model = EncoderModel(replace(model.config, vocabulary=0, types=0), model.layers)
    elif form.tokens_first:
        form = replace(form, tokens_first=False)
    if model.config.maximum_tokens == 1:
        form = replace(form, is_dynamic=False)
    tokens = min(model.config.maximum_tokens, 24)
    onnx.save(encoder_graph(model, form, tokens), folder / "model.onnx")
    return load_encoder(folder / "model.onnx")


def thinned(draw, layer):
    """Return `layer` with some weights zero."""
    changes = {}
    for name in ("query", "key", "value", "projection", "expand", "contract"):
        density = draw.choose("density", 1, 1, 1, 0.5, 0.1, 0)
        if density < 1:
            linear = getattr(layer, name)
            kept = draw.generator.random(linear.weight.shape) < density
            changes[name] = replace(linear, weight=linear.weight * kept)
    return replace(layer, **changes)


def some_tiling(draw, model, config):
    """Return some way to cut the layers, or None for the search to find one."""
    if draw.chance("searched", 0.3):
        return None
    array, heads = config.array, model.config.heads
    return Tiling(
        heads=draw.choose("group", *(count for count in range(1, heads + 1) if heads % count == 0)),
        query_rows=array.rows * draw.choose("query rows", 1, 2, 4),
        rows=array.rows * draw.choose("rows", 1, 2, 4),
        chunk=8 * draw.number("chunk / 8", 1, 8),
        projection=array.columns * draw.choose("projection", 1, 2, 4),
        depth=draw.choose("depth", 1, 2),
        keep_residual=draw.choose("keep residual", True, True, False),
    )


def encoder_case(draw) -> Run:
    """Return encoder layers, which must be those of the golden model in every bit."""
    config, model = machine(draw), some_encoder(draw)
    limit = min(model.config.maximum_tokens, 24)
    lengths = [draw.number("tokens", 1, limit) for _ in range(draw.number("sentences", 1, 3))]
    masked = draw.chance("masked", 0.25)
    if config.array.block > 1 and draw.chance("keep", 0.15):
        series = draw.choose("series", "1:4", "3:4", "2:8", "5:8")
        names = (f"{layer}.contract" for layer in range(model.config.layers))
        model = replace(model, activations=dict.fromkeys(names, series))
    layers = list(range(model.config.layers))
    tiling = some_tiling(draw, model, config)
    program = compile_encoder(model, config, lengths, layers, masked=masked, tiling=tiling)
    shape = sum(lengths), model.config.hidden
    deviation = draw.choose("deviation", 0.0, 1.0, 1.0, 40.0)
    values = draw.generator.normal(0, deviation, shape)
    inputs = {"input": program.inputs[0].from_float(values)}
    mask = None
    if masked:
        mask = np.full((len(lengths), max(lengths)), MASKED, np.int16)
        for row, length in zip(mask, lengths, strict=True):
            row[: draw.number("kept", 1, length)] = 0
        inputs["mask"] = mask
    expected = encoder_bits(model, program, inputs["input"], lengths, masked, mask)

    def check(outputs):
        np.testing.assert_array_equal(outputs["output"], expected)

    return Run(program, inputs, check)


def encoder_bits(model, program, x, lengths, masked, mask):
    """Return what the model of encoder layers gives, without a program."""
    layers = range(model.config.layers)
    ranges = calibrate_inputs(model, layers, calibration_inputs(model))
    quantised = [layer for _, layer in quantise_layers(model, layers, ranges, masked=masked)]
    kept = {
        layer: single_term(parse_series(text)) for layer, text in kept_inputs(model, layers).items()
    }
    tiling = program.metadata["tiling"]
    config = model.config
    return run_encoder(
        x,
        quantised,
        config.heads,
        lengths,
        Grouping(tiling["heads"], tiling["chunk"]),
        Activation[config.activation.upper()],
        kept,
        norm_first=config.norm_first,
        mask=mask,
    )


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
