"""Broken checkpoints, configurations and graphs."""

import json

import numpy as np
import onnx
from breaker import MACHINE
from onnx_graphs import FORMS, encoder_graph
from safetensors.numpy import load_file, save_file
from small_model import rewrite_config, write_model
from small_vit import write_vit

from ageha.sw.frontend.llama_save import save as save_llama
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.frontend.synthetic_llama import synthetic_llama
from ageha.sw.frontend.synthetic_vit import synthetic_vit

WEIGHTS, CONFIG = "model.safetensors", "config.json"
NO_SIZES = (0, -1, 1 << 40, 1.5, "many", True, [], {}, [32])
"""What no size can be."""


# Checkpoints


def write_bert(folder):
    write_model(folder, synthetic_bert(layers=2))


def write_hugging_face(folder):
    write_vit(folder, synthetic_vit(layers=2))


def write_timm(folder):
    write_vit(folder, synthetic_vit(layers=2), is_timm=True)


def write_llama(folder):
    save_llama(synthetic_llama(layers=2, maximum_tokens=64), folder)


FAMILIES = (write_bert, write_hugging_face, write_timm, write_llama)


def compile_folder(breaker, folder):
    return ["compile", folder, "-o", breaker.folder / "out", "--sequence", "3", *MACHINE]


def some_folder(breaker):
    """Write a model of some family; return its folder."""
    folder = breaker.folder / "model"
    breaker.choose(FAMILIES)(folder)
    return folder


def remove_tensor(breaker, tensors, name):
    del tensors[name]


def rename_tensor(breaker, tensors, name):
    tensors[f"{name}.old"] = tensors.pop(name)


def shorten_tensor(breaker, tensors, name):
    tensors[name] = np.ascontiguousarray(tensors[name][:-1])


def widen_tensor(breaker, tensors, name):
    tensors[name] = tensors[name][None].repeat(2, axis=0)


def spoil_tensor(breaker, tensors, name):
    values = tensors[name].copy()
    values.reshape(-1)[breaker.place(values.size)] = breaker.choose((np.nan, np.inf, -np.inf))
    tensors[name] = values


def retype_tensor(breaker, tensors, name):
    tensors[name] = tensors[name].astype(breaker.choose((np.int8, np.int64, np.bool_)))


def broken_tensor(breaker):
    """One tensor of a checkpoint is not what it should be."""
    folder = some_folder(breaker)
    tensors = load_file(folder / WEIGHTS)
    name = breaker.choose(sorted(tensors))
    changes = (
        remove_tensor,
        rename_tensor,
        shorten_tensor,
        widen_tensor,
        spoil_tensor,
        retype_tensor,
    )
    breaker.choose(changes)(breaker, tensors, name)
    save_file(tensors, folder / WEIGHTS)
    return compile_folder(breaker, folder)


def broken_checkpoint(breaker):
    """The bytes of a checkpoint are not those of one."""
    folder = some_folder(breaker)
    path = folder / WEIGHTS
    contents = path.read_bytes()
    header = 8 + int.from_bytes(contents[:8], "little")
    kind = breaker.choose(("cut", "length", "header", "longer", "text", "gone"))
    if kind == "cut":
        contents = contents[: breaker.place(len(contents))]
    elif kind == "length":
        contents = breaker.generator.bytes(8) + contents[8:]
    elif kind == "header":
        start = 8 + breaker.place(header - 24)
        contents = contents[:start] + b"#" * 16 + contents[start + 16 :]
    elif kind == "longer":
        contents += b"more"
    elif kind == "text":
        contents = breaker.text().encode()
    path.write_bytes(contents)
    if kind == "gone":
        path.unlink()
    return compile_folder(breaker, folder)


SIZES = {
    write_bert: (
        "hidden_size",
        "num_attention_heads",
        "intermediate_size",
        "num_hidden_layers",
        "vocab_size",
        "max_position_embeddings",
        "type_vocab_size",
    ),
    write_hugging_face: ("hidden_size", "num_attention_heads", "image_size", "patch_size"),
    write_llama: ("hidden_size", "num_attention_heads", "intermediate_size", "vocab_size"),
}
TEXTS = {
    write_bert: ("hidden_act", "model_type", "position_embedding_type", "layer_norm_eps"),
    write_hugging_face: ("hidden_act", "qkv_bias", "layer_norm_eps"),
    write_llama: ("hidden_act", "rope_theta", "rms_norm_eps", "rope_scaling", "attention_bias"),
}


def absurd_config(breaker):
    """A value of a configuration is none that can be."""
    write = breaker.choose(SIZES)
    folder = breaker.folder / "model"
    write(folder)
    if breaker.place(3):
        rewrite_config(folder, **{breaker.choose(SIZES[write]): breaker.choose(NO_SIZES)})
    else:
        value = breaker.choose(("none", -1.0, [1], {"a": 1}))
        rewrite_config(folder, **{breaker.choose(TEXTS[write]): value})
    return compile_folder(breaker, folder)


def absurd_architecture(breaker):
    """A configuration of timm says what cannot be."""
    folder = breaker.folder / "model"
    write_timm(folder)
    values = json.loads((folder / CONFIG).read_text())
    if breaker.place(2):
        values["architecture"] = breaker.choose(("vit", "vit_base", 3, None, [], "resnet18.a1"))
    else:
        name = breaker.choose(values["model_args"])
        values["model_args"][name] = breaker.choose(NO_SIZES)
    (folder / CONFIG).write_text(json.dumps(values))
    return compile_folder(breaker, folder)


def broken_json(breaker):
    """A configuration or a tokenizer is no JSON object."""
    folder = breaker.folder / "model"
    write_bert(folder)
    name = breaker.choose((CONFIG, "tokenizer.json"))
    path = folder / name
    contents = path.read_bytes()
    middle = 1 + breaker.place(len(contents) - 2)
    broken = (contents[:middle], b"\xff" + contents, b"[]", b"", b'"text"', b"[" * 100_000)
    path.write_bytes(breaker.choose(broken))
    return ["run", "--model", folder, "--device", "golden", "-o", breaker.folder / "out", *MACHINE]


# ONNX


def unknown_operator(breaker, graph):
    breaker.choose(graph.node).op_type = breaker.choose(("Selu", "LSTM", "Loop", "Nothing"))


def unknown_domain(breaker, graph):
    breaker.choose(graph.node).domain = "com.example"


def missing_node(breaker, graph):
    graph.node.remove(breaker.choose(graph.node))


def missing_initialiser(breaker, graph):
    graph.initializer.remove(breaker.choose(graph.initializer))


def unknown_input(breaker, graph):
    breaker.choose(graph.node).input[0] = "nothing"


def other_shape(breaker, graph):
    matrices = [item for item in graph.initializer if len(item.dims) == 2]
    item = breaker.choose(matrices)
    values = onnx.numpy_helper.to_array(item)[:, :-1]
    item.CopyFrom(onnx.numpy_helper.from_array(values, item.name))


def other_activation(breaker, graph):
    node = next(item for item in graph.node if item.op_type in ("Erf", "Gelu"))
    node.op_type = breaker.choose(("Sigmoid", "Tanh", "Exp", "Relu", "Abs"))


def other_order(breaker, graph):
    nodes = [item for item in graph.node if item.op_type == "Transpose" and len(item.attribute)]
    order = breaker.choose(nodes).attribute[0].ints
    order[0], order[-1] = order[-1], order[0]


def other_type(breaker, graph):
    breaker.choose(graph.input).type.tensor_type.elem_type = breaker.choose((8, 14, 99))


def other_size(breaker, graph):
    shape = graph.input[0].type.tensor_type.shape
    shape.dim[len(shape.dim) - 1].dim_value = breaker.choose((3, 1 << 30, 1 << 60))


def no_inputs(breaker, graph):
    del graph.input[:]


def twice(breaker, graph):
    graph.node.append(breaker.choose(graph.node))


def broken_graph(breaker):
    """A graph is not that of an encoder."""
    sizes = {"hidden": 16, "heads": 2, "intermediate": 24, "layers": 1}
    models = (
        lambda: synthetic_bert(**sizes, positions=9),
        lambda: synthetic_vit(**sizes, image=6, patch=2),
    )
    form = breaker.choose([name for name, form in FORMS.items() if not form.tokens_first])
    model = encoder_graph(models[breaker.place(2)](), FORMS[form], head=False)
    changes = (
        unknown_operator,
        unknown_domain,
        missing_node,
        missing_initialiser,
        unknown_input,
        other_shape,
        other_activation,
        other_order,
        other_type,
        other_size,
        no_inputs,
        twice,
    )
    breaker.choose(changes)(breaker, model.graph)
    path = breaker.folder / "model.onnx"
    onnx.save(model, path)
    return ["compile", path, "-o", breaker.folder / "out", *MACHINE]


def broken_onnx_file(breaker):
    """The bytes of an ONNX file are not those of one."""
    model = encoder_graph(synthetic_bert(), FORMS["legacy 17"])
    path = breaker.folder / "model.onnx"
    onnx.save(model, path)
    contents = path.read_bytes()
    kind = breaker.choose(("cut", "text", "empty", "noise", "opset", "folder", "gone"))
    if kind == "opset":
        model.opset_import[0].version = breaker.choose((1, 9, 99))
        contents = model.SerializeToString()
    elif kind == "cut":
        contents = contents[: breaker.place(len(contents))]
    elif kind == "noise":
        contents = breaker.generator.bytes(1000)
    else:
        contents = breaker.text().encode() if kind == "text" else b""
    path.write_bytes(contents)
    if kind in ("folder", "gone"):
        path.unlink()
    if kind == "folder":
        path.mkdir()
    return ["run", "--model", path, "--device", "golden", "-o", breaker.folder / "out", *MACHINE]
