"""Random encoders, read from files of every kind, as programs with every bit of their results."""

import json
from dataclasses import replace

import numpy as np
import onnx
from fuzz_draw import Run, machine
from onnx_graphs import FORMS, encoder_graph
from safetensors.numpy import save_file
from small_model import config_of, tensors_of
from small_vit import write_vit

from ageha.hw.isa import Activation
from ageha.sw.calibrate import calibrate_inputs, calibration_inputs
from ageha.sw.compiler import compile_encoder, kept_inputs, quantise_layers
from ageha.sw.frontend.bert import EncoderModel
from ageha.sw.frontend.load import load_encoder
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.frontend.synthetic_vit import synthetic_vit
from ageha.sw.passes.tiling import Tiling
from ageha.sw.quantise import MASKED
from ageha.sw.sparsity.kept import single_term
from ageha.sw.sparsity.tasd import parse_series
from ageha.verif.golden.encoder import Grouping, run_encoder


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
    expected = encoder_bits(model, program, config, inputs["input"], lengths, masked, mask)

    def check(outputs):
        np.testing.assert_array_equal(outputs["output"], expected)

    return Run(program, inputs, check)


def encoder_bits(model, program, config, x, lengths, masked, mask):
    """Return what the model of encoder layers gives, without a program."""
    layers = range(model.config.layers)
    ranges = calibrate_inputs(model, layers, calibration_inputs(model))
    quantised = [layer for _, layer in quantise_layers(model, layers, ranges, masked=masked)]
    kept = {
        layer: single_term(parse_series(text)) for layer, text in kept_inputs(model, layers).items()
    }
    tiling = program.metadata["tiling"]
    sizes = model.config
    return run_encoder(
        x,
        quantised,
        sizes.heads,
        lengths,
        Grouping(tiling["heads"], tiling["chunk"], config.array),
        Activation[sizes.activation.upper()],
        kept,
        norm_first=sizes.norm_first,
        mask=mask,
    )
