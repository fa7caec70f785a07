"""Broken inputs of the command line, each from a number: what a user gives by mistake.

`broken` writes the files to a folder and returns a command line that must be refused.
"""

import json
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx_graphs import FORMS, encoder_graph
from safetensors.numpy import load_file, save_file
from small_model import rewrite_config, write_model
from small_vit import write_vit

from ageha.cli.main import main
from ageha.sw.frontend.llama_save import save as save_llama
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.frontend.synthetic_llama import synthetic_llama
from ageha.sw.frontend.synthetic_vit import synthetic_vit

MACHINE = ("--preset", "tiny")
WEIGHTS, CONFIG = "model.safetensors", "config.json"
NO_SIZES = (0, -1, 1 << 40, 1.5, "many", True, [], {}, [32])
"""What no size can be."""


@dataclass
class Breaker:
    """Random numbers, the folder for files, and what was chosen, for messages."""

    generator: np.random.Generator
    folder: Path
    chosen: list[str] = field(default_factory=list)

    def choose(self, options):
        """Return one of `options`, and keep it in mind."""
        options = list(options)
        value = options[self.generator.integers(len(options))]
        self.chosen.append(str(getattr(value, "__name__", value))[:60])
        return value

    def place(self, limit):
        """Return a number below `limit`."""
        value = int(self.generator.integers(limit))
        self.chosen.append(str(value))
        return value

    def text(self):
        """Return some characters, not all of them letters."""
        size = int(self.generator.integers(1, 12))
        characters = string.ascii_letters + string.digits + "[]{}=.,:;-_ %é🦋\\\"'"
        return "".join(self.generator.choice(list(characters), size))


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


# Programs


def broken_program(breaker):
    """A program file was changed on its way."""
    source, path = breaker.folder / "x.s", breaker.folder / "x.prog"
    source.write_text("LOAD signal=1 rows=4 row_words=8 dram_address=1:0x400 pitch=9\nEND wait=1\n")
    assert main(["asm", str(source), "-o", str(path), *MACHINE]) == 0
    contents = bytearray(path.read_bytes())
    kind = breaker.choose(("bit", "bit", "cut", "longer", "bytes", "empty", "text"))
    if kind == "bit":
        contents[breaker.place(len(contents))] ^= 1 << breaker.place(8)
    elif kind == "cut":
        contents = contents[: breaker.place(len(contents))]
    elif kind == "longer":
        contents += b"\0"
    elif kind == "bytes":
        start = breaker.place(len(contents) - 8)
        contents[start : start + 8] = breaker.generator.bytes(8)
    else:
        contents = breaker.text().encode() if kind == "text" else b""
    path.write_bytes(contents)
    out = ("-o", breaker.folder / "out")
    commands = (["disasm", path], ["simulate", path, *out], ["run", path, *out])
    return breaker.choose(commands)


def broken_assembly(breaker):
    """A line of assembly is none."""
    lines = [
        "JUMP",
        "LOAD rows",
        "LOAD rows=",
        "LOAD rows=one",
        "LOAD rows=-1",
        "LOAD rows=1 rows=2",
        "LOAD wait=0x1ffffffff",
        "LOAD dram_address=1",
        "LOAD dram_address=x:0",
        "STORE nothing=1",
        "END wait",
        "MATMUL m=99999999999999999999",
        breaker.text().strip("#; ") or "=",
    ]
    path = breaker.folder / "x.s"
    path.write_text(f"LOAD rows=1 row_words=1 dram_address=1:0\n{breaker.choose(lines)}\nEND\n")
    return ["asm", path, "-o", breaker.folder / "x.prog", *MACHINE]


# Options


def wrong_option(breaker):
    """An option has a value that it cannot have."""
    folder = breaker.folder / "model"
    write_bert(folder)
    out = ("-o", breaker.folder / "out")
    compiled = ("compile", folder, *out, *MACHINE)
    run = ("run", "--model", folder, *out, *MACHINE)
    nowhere = breaker.folder / "no" / "x.json"
    commands = [
        [*compiled, "--sequence", "0"],
        [*compiled, "--sequence", "-5"],
        [*compiled, "--sequence", "65"],
        [*compiled, "--sequence", "1e9"],
        [*compiled, "--sequence", "3", "--sequence", "0"],
        [*compiled, "--layers", breaker.choose(("", "-", "1-", "2", "0,,1", "0-9", "é", "1-0"))],
        [*compiled, "--layers", "0,0"],
        [*compiled, "--past", "3"],
        [*compiled, "--dump-after", breaker.text()],
        [
            *compiled,
            "--keep",
            breaker.choose(("4", "4:", "0:8", "9:8", "7.contract=4:8", "4:8+1:8")),
        ],
        [*compiled, "--weights", breaker.folder / "no.safetensors"],
        [*compiled, "--weights", folder / CONFIG],
        [*compiled, "--json", folder],
        [*compiled, "--unknown", "1"],
        ["compile", folder, "-o", folder / CONFIG, *MACHINE],
        ["compile", folder, *out, "--preset", breaker.text()],
        ["compile", folder, *out, *MACHINE, "--set", breaker.text()],
        [*run, "--text", ""],
        [*run, "--text", "dog " * 70],
        [*run, "--latency", breaker.choose(("0", "-1", "x", "1000000"))],
        [*run, "--bandwidth", breaker.choose(("0", "2", "nan", "x", "-1"))],
        [*run, "--stalls", breaker.choose(("-1", "91", "x"))],
        [*run, "--workload", "x"],
        [*run, "--device", "x"],
        ["embed", "--model", folder, "--batch", "-1", "a", *MACHINE],
        ["embed", "--model", folder, "--file", nowhere, *MACHINE],
        ["run", "--model", nowhere, *out],
        ["nothing", folder],
    ]
    return breaker.choose(commands)


SETTINGS = (
    "array.rows=5",
    "array.rows=0",
    "array.rows=many",
    "array.rows=[]",
    "array=4",
    "array.rows.x=4",
    "scratchpad.bytes=100",
    "scratchpad.bytes=-1",
    "scratchpad.bytes=99999999999999999999",
    "axi.data_bits=33",
    "controller.queue_depth=0",
    "controller.semaphores=300",
    "butterfly.stages=x",
    "name=3",
    "=",
    "rows=8",
)


def wrong_machine(breaker):
    """A parameter of the machine is none, as a setting or in a TOML file."""
    out = ("-o", breaker.folder / "out")
    if breaker.place(2):
        return ["generate", *MACHINE, "--set", breaker.choose(SETTINGS), *out]
    path = breaker.folder / "machine.toml"
    texts = (
        "[array]\nrows = 5\n",
        "[array]\nrows = '8'\n",
        "[array]\nrows = 8.0\n",
        "[array]\nrows = true\n",
        "[array]\nrows = [8]\n",
        "array = 8\n",
        "[nothing]\nx = 1\n",
        "[array\n",
        "rows == 8\n",
        "[array]\nrows = 1979-05-27\n",
        "[[array]]\nrows = 8\n",
        "name = 3\n",
        f"[array]\n{breaker.text()}\n",
    )
    path.write_text(breaker.choose(texts))
    return ["generate", *MACHINE, "--config", path, *out]


def save_matrix(path, values):
    np.save(path, np.asarray(values))


def broken_matrix(breaker):
    """The weights of a product are no matrix of numbers."""
    path = breaker.folder / "w.npy"
    good = np.ones((6, 5), np.float32)
    spoiled = good.copy()
    spoiled[1, 2] = np.nan
    arrays = (
        np.ones(5),
        np.ones((2, 3, 4)),
        np.ones((0, 4)),
        np.array(3.0),
        spoiled,
        good * np.inf,
        good.astype(np.complex64),
        np.array([["a"]]),
        np.ones((1, 70_000), np.int8),
        good.astype([("x", np.float32)]),
        np.full((3, 3), 300, np.int16),
    )
    options = breaker.choose(
        (
            ("--m", "0"),
            ("--m", "-1"),
            ("--m", "4", "--n", "7"),
            ("--m", "4", "--k", "99"),
            ("--m", "4", "--flow", "xOS"),
            ("--m", "4", "--prune", "2"),
            ("--m", "4", "--pattern", "9:8"),
            (),
            "array",
            "array",
            "bytes",
        )
    )
    save_matrix(path, good)
    if options == "array":
        save_matrix(path, breaker.choose(arrays))
        options = ("--m", "4")
    elif options == "bytes":
        contents = path.read_bytes()
        path.write_bytes(contents[: breaker.place(len(contents))])
        options = ("--m", "4")
    return ["compile", "gemm", "--weights", path, "-o", breaker.folder / "out", *MACHINE, *options]


KINDS: tuple[Callable[[Breaker], list], ...] = (
    broken_tensor,
    broken_checkpoint,
    absurd_config,
    broken_graph,
    broken_program,
    wrong_option,
    wrong_machine,
    broken_graph,
    broken_matrix,
    broken_onnx_file,
    broken_json,
    absurd_architecture,
    broken_assembly,
)


def broken(number: int, folder: Path) -> tuple[str, list[str]]:
    """Return what is wrong in case `number`, and the command line; files go to `folder`."""
    breaker = Breaker(np.random.default_rng(number), folder)
    kind = KINDS[number % len(KINDS)]
    command = [str(item) for item in kind(breaker)]
    return f"case {number}: {kind.__name__}, {', '.join(breaker.chosen)}", command
