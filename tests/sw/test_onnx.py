"""Encoders from ONNX: graphs in the shapes of PyTorch's exporters, and what is refused."""

import sys
from dataclasses import fields, replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx_graphs import FORMS, Form, GraphBuilder, encoder_graph, finished
from small_model import write_model

from ageha.cli.main import main
from ageha.hw.config import preset
from ageha.sw.compiler import compile_encoder
from ageha.sw.errors import FrontendError
from ageha.sw.frontend import bert
from ageha.sw.frontend.bert import BertModel, EncoderModel
from ageha.sw.frontend.load import load_encoder
from ageha.sw.frontend.onnx.load import load_onnx
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.frontend.synthetic_vit import synthetic_vit
from ageha.sw.frontend.vit import VitModel
from ageha.sw.reference import embed, embed_image, encoder

BERT_FORMS = [name for name, form in FORMS.items() if not form.tokens_first]


def vectors(**sizes):
    """Return a model without embeddings."""
    model = synthetic_bert(**sizes)
    config = replace(model.config, vocabulary=0, types=0)
    return EncoderModel(config, model.layers)


def saved(path, graph):
    onnx.save(graph, path)
    return path


def check_layers(found, wanted, tolerance=1e-6):
    assert len(found.layers) == len(wanted.layers)
    for layer, other in zip(found.layers, wanted.layers, strict=True):
        for field in fields(layer):
            part, expected = getattr(layer, field.name), getattr(other, field.name)
            for inner in fields(part):
                np.testing.assert_allclose(
                    getattr(part, inner.name), getattr(expected, inner.name), atol=tolerance
                )


def evaluate(graph, **inputs):
    """Return what the reference evaluator of ONNX makes of `inputs`."""
    return ReferenceEvaluator(graph).run(None, inputs)[0].astype(np.float64)


@pytest.mark.parametrize("form", BERT_FORMS)
def test_bert(form, tmp_path):
    model = synthetic_bert(hidden=24, heads=3, intermediate=40, layers=2, positions=9)
    graph = encoder_graph(model, FORMS[form])
    found = load_onnx(saved(tmp_path / "bert.onnx", graph))
    assert isinstance(found, BertModel)
    check_layers(found, model)
    tokens = 9 if FORMS[form].is_dynamic else 7
    assert found.config.maximum_tokens == tokens
    assert replace(found.config, positions=9, maximum_tokens=9) == model.config
    ids = np.random.default_rng(4).integers(0, 100, tokens)
    names = {"attention_mask": np.ones_like(ids)[None], "token_type_ids": 0 * ids[None]}
    expected = evaluate(graph, input_ids=ids[None], **names)[0]
    tolerance = 2e-3 if FORMS[form].gelu == "tanh" else 1e-4
    np.testing.assert_allclose(encoder(found, embed(found, ids)), expected, atol=tolerance)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("norm_first", [False, True])
def test_vectors(form, norm_first, tmp_path):
    model = vectors(hidden=40, heads=5, intermediate=16, layers=2, norm_first=norm_first)
    graph = encoder_graph(model, FORMS[form], head=False)
    found = load_onnx(saved(tmp_path / "encoder.onnx", graph))
    assert type(found) is EncoderModel
    assert found.config.norm_first is norm_first
    check_layers(found, model)
    x = np.random.default_rng(5).normal(size=(7, 40)).astype(np.float32)
    batch = x[:, None] if FORMS[form].tokens_first else x[None]
    expected = evaluate(graph, vectors=batch).reshape(7, 40)
    tolerance = 2e-3 if FORMS[form].gelu == "tanh" else 1e-4
    np.testing.assert_allclose(encoder(found, x), expected, atol=tolerance)


@pytest.mark.parametrize("form", BERT_FORMS)
def test_vit(form, tmp_path):
    model = synthetic_vit(hidden=16, heads=1, intermediate=24, layers=2, image=9, patch=3)
    graph = encoder_graph(model, FORMS[form])
    found = load_onnx(saved(tmp_path / "vit.onnx", graph))
    assert isinstance(found, VitModel)
    check_layers(found, model)
    pixels = np.random.default_rng(6).normal(size=(3, 9, 9)).astype(np.float32)
    expected = evaluate(graph, pixels=pixels[None])[0]
    tolerance = 3e-3 if FORMS[form].gelu == "tanh" else 1e-4
    np.testing.assert_allclose(encoder(found, embed_image(found, pixels)), expected, atol=tolerance)


def test_relu_and_half_precision(tmp_path):
    model = vectors(layers=1)
    model = replace(model, config=replace(model.config, activation="relu"))
    graph = encoder_graph(model, Form(), head=False)
    found = load_onnx(saved(tmp_path / "relu.onnx", graph))
    assert found.config.activation == "relu"
    halves = []
    for item in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(item)
        if values.dtype == np.float32:
            halves.append(
                (item, onnx.numpy_helper.from_array(values.astype(np.float16), item.name))
            )
    for item, half in halves:
        item.CopyFrom(half)
    graph.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    graph.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    check_layers(load_onnx(saved(tmp_path / "half.onnx", graph)), model, 2e-3)


def test_scaled_branches_are_folded(tmp_path):
    """A factor a channel behind a linear layer, as in LayerScale."""
    model = vectors(norm_first=True)
    factor = np.linspace(0.5, 2, 32, dtype=np.float32)

    class Scaled(GraphBuilder):
        def linear(self, x, layer):
            result = super().linear(x, layer)
            is_branch = any(layer is item.contract for item in model.layers)
            return self.add("Mul", result, self.constant(factor)) if is_branch else result

    builder = Scaled(Form())
    x = builder.layer("vectors", model.layers[0], model.config, "")
    inputs = {"vectors": (TensorProto.FLOAT, [1, 5, 32])}
    found = load_onnx(saved(tmp_path / "x.onnx", finished(builder, inputs, [x])))
    contract = model.layers[0].contract
    layer = found.layers[0].contract
    np.testing.assert_allclose(layer.weight, contract.weight * factor[:, None], atol=1e-6)
    np.testing.assert_allclose(layer.bias, contract.bias * factor, atol=1e-6)


def test_commands(tmp_path, capsys):
    graph = encoder_graph(vectors(layers=2), FORMS["dynamo 20"], head=False)
    path = saved(tmp_path / "small.onnx", graph)
    machine = ["--preset", "tiny", "--layers", "1"]
    command = ["run", "--model", path, "--device", "golden", "-o", tmp_path / "run", *machine]
    assert main([str(item) for item in command]) == 0
    assert "cosine to float" in capsys.readouterr().out
    command = ["compile", path, "-o", tmp_path / "prog", "--sequence", "3", *machine]
    assert main([str(item) for item in command]) == 0
    assert (tmp_path / "prog" / "small.prog").is_file()


def test_sentences_with_a_tokenizer_beside_the_file(tmp_path, capsys):
    model = write_model(tmp_path)
    saved(tmp_path / "bert.onnx", encoder_graph(model, FORMS["legacy 17"]))
    command = ["run", "--model", tmp_path / "bert.onnx", "--text", "A dog barks"]
    command += ["--device", "golden", "--preset", "tiny", "-o", tmp_path / "run"]
    assert main([str(item) for item in command]) == 0
    assert "A dog barks" in capsys.readouterr().out


def refused(path, *texts):
    with pytest.raises(FrontendError) as caught:
        load_encoder(path)
    message = str(caught.value)
    assert "\n" not in message
    for text in texts:
        assert text in message


class Broken(GraphBuilder):
    """Writes a graph in which something is not as in an encoder."""

    def __init__(self, what):
        super().__init__(FORMS["dynamo 18"])
        self.what = what

    def add(self, operator, *inputs, **attributes):
        if operator == "Softmax" and self.what == "causal":
            rows = np.triu(np.full((5, 5), -1e9), 1)
            inputs = [super().add("Add", *inputs, self.constant(rows))]
        if operator == "Softmax" and self.what == "tanh":
            inputs = [super().add("Tanh", *inputs)]
        if operator == "Softmax" and self.what == "axis":
            attributes["axis"] = 1
        if operator == "Erf" and self.what == "sigmoid":
            operator = "Sigmoid"
        if operator == self.what:
            operator = "Selu"
        return super().add(operator, *inputs, **attributes)


@pytest.mark.parametrize(
    ("what", "texts"),
    [
        ("causal", ["/Add_", "(Add): adds something to scores", "no causal mask"]),
        ("tanh", ["(Tanh): stands between queries, keys and Softmax"]),
        ("axis", ["(Softmax): must go over the last axis"]),
        ("sigmoid", ["(Mul): the feed-forward part must have GELU", "Sigmoid"]),
        ("Erf", ["' (Selu): is not supported", "MatMul, Gemm, Add"]),
    ],
)
def test_what_is_no_encoder_is_refused_where_it_stands(what, texts, tmp_path):
    builder, model = Broken(what), vectors(norm_first=True)
    x = builder.layer("vectors", model.layers[0], model.config, "")
    graph = finished(builder, {"vectors": (TensorProto.FLOAT, [1, 5, 32])}, [x])
    refused(saved(tmp_path / "x.onnx", graph), "x.onnx: node ", *texts)


def test_operators_of_another_domain(tmp_path):
    graph = encoder_graph(vectors(), Form())
    graph.graph.node[3].domain = "com.microsoft"
    graph.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    refused(saved(tmp_path / "x.onnx", graph), "node 3", "domain com.microsoft")


def test_batches_that_are_fixed(tmp_path):
    graph = encoder_graph(vectors(), FORMS["dynamo 20"], head=False)
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    refused(saved(tmp_path / "x.onnx", graph), "one sentence a run")


def test_layers_that_differ(tmp_path):
    first, second = vectors(), vectors(intermediate=24)
    builder = GraphBuilder(Form())
    x = builder.layer("vectors", first.layers[0], first.config, "")
    x = builder.layer(x, second.layers[0], second.config, "")
    graph = finished(builder, {"vectors": (TensorProto.FLOAT, [1, 5, 32])}, [x])
    refused(saved(tmp_path / "x.onnx", graph), "sizes, heads, activation")


def test_graphs_without_attention(tmp_path):
    builder = GraphBuilder(Form())
    y = builder.linear("x", vectors().layers[0].query)
    graph = finished(builder, {"x": (TensorProto.FLOAT, [1, 5, 32])}, [y])
    refused(saved(tmp_path / "x.onnx", graph), "the graph has no attention")


def test_what_else_happens_to_the_residual_stream_is_seen(tmp_path):
    """Between two layers something that the eye of the importer walks through."""
    model = vectors(layers=2)
    builder = GraphBuilder(Form())
    x = builder.layer("vectors", model.layers[0], model.config, "")
    x = builder.add("Transpose", x, perm=[0, 2, 1])
    x = builder.add("Reshape", x, builder.integers(1, 5, 32))
    x = builder.layer(x, model.layers[1], model.config, "")
    graph = finished(builder, {"vectors": (TensorProto.FLOAT, [1, 5, 32])}, [x])
    refused(saved(tmp_path / "x.onnx", graph), "no plain encoder", "of their size off")


@pytest.mark.parametrize("size", [(1, 1 << 40), (1 << 20, 1 << 20)])
def test_absurd_sizes_are_refused(size, tmp_path):
    builder = GraphBuilder(Form())
    bomb = builder.add("Expand", "x", builder.integers(1, *size))
    y = builder.add("Add", bomb, builder.constant(1))
    graph = finished(builder, {"x": (TensorProto.FLOAT, [1, 1, 1])}, [y])
    refused(saved(tmp_path / "x.onnx", graph), "(Expand): ", "elements, of at most")
    graph = finished(GraphBuilder(Form()), {"x": (TensorProto.FLOAT, [1, *size])}, ["x"])
    refused(saved(tmp_path / "x.onnx", graph), "input 'x' must have at most")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite(bad, tmp_path):
    model = vectors()
    model.layers[0].expand.weight[0, 0] = bad
    refused(saved(tmp_path / "x.onnx", encoder_graph(model, Form())), "finite")


def test_damaged_files(tmp_path):
    path = saved(tmp_path / "x.onnx", encoder_graph(vectors(), Form()))
    contents = path.read_bytes()
    for broken in (b"", b"text", contents[: len(contents) // 2], contents[:-3]):
        path.write_bytes(broken)
        refused(path, "x.onnx: ")
    refused(tmp_path / "nothing.onnx", "no such file")


def test_package_that_is_not_installed(tmp_path, monkeypatch):
    path = saved(tmp_path / "x.onnx", encoder_graph(vectors(), Form()))
    monkeypatch.setitem(sys.modules, "onnx", None)
    refused(path, "x.onnx: an ONNX file needs pip install onnx==")


def test_weights_of_another_file(tmp_path):
    with pytest.raises(FrontendError, match="holds its weights, and takes none"):
        load_encoder(tmp_path / "x.onnx", tmp_path / "x.safetensors")


@pytest.mark.slow
def test_a_real_model_gives_the_same_program(tmp_path):
    """All bytes of all-MiniLM-L6-v2, through a graph and from its checkpoint."""
    model = bert.load()
    path = saved(tmp_path / "minilm.onnx", encoder_graph(model, FORMS["legacy 14"]))
    (tmp_path / "tokenizer.json").write_bytes((model.folder / "tokenizer.json").read_bytes())
    programs = [
        compile_encoder(item, preset("base"), [9, 4], (0, 5)) for item in (model, load_onnx(path))
    ]
    assert programs[0].code == programs[1].code
    assert programs[0].segments == programs[1].segments
