"""Encoders as ONNX graphs, in the shapes that PyTorch's two exporters give them."""

import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ageha.sw.frontend.bert import BertModel
from ageha.sw.frontend.vit import VitModel


@dataclass(frozen=True)
class Form:
    """How a graph is written.

    Parameters
    ----------
    opset : int
    norm : str
        ``operator`` or ``decomposed``.
    gelu : str
        ``operator``, ``erf`` or ``tanh``.
    heads : str
        ``views``: three projections; ``split`` or ``gather``: a joint one, taken apart.
    scale : str
        Where 1 / sqrt(width) is: on the ``scores``, its ``roots`` on both operands, or the
        ``query``.
    attention : str
        ``products``, ``guarded`` against rows without a key, or one ``operator``.
    is_dynamic : bool
        Whether shapes are computed when it runs.
    tokens_first : bool
        Whether the axis of the tokens comes before that of the batch.
    """

    opset: int = 17
    norm: str = "operator"
    gelu: str = "erf"
    heads: str = "views"
    scale: str = "scores"
    attention: str = "products"
    is_dynamic: bool = True
    tokens_first: bool = False


FORMS = {
    "legacy 14": Form(opset=14, norm="decomposed"),
    "legacy 17": Form(heads="split", scale="roots"),
    "legacy, tokens first": Form(
        heads="gather", scale="roots", is_dynamic=False, tokens_first=True
    ),
    "dynamo 18": Form(18, heads="gather", scale="roots", attention="guarded"),
    "dynamo 20": Form(20, gelu="operator", scale="query", is_dynamic=False),
    "dynamo 23": Form(23, gelu="operator", heads="split", attention="operator"),
    "tanh": Form(13, norm="decomposed", gelu="tanh", is_dynamic=False),
}


class GraphBuilder:
    """Collects nodes and initialisers."""

    def __init__(self, form):
        self.form = form
        self.nodes, self.initialisers = [], []

    def constant(self, value, dtype=np.float32):
        name = f"constant_{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator, *inputs, outputs=1, **attributes):
        """Add a node; returns the name of its output, or a list of them."""
        index = len(self.nodes)
        names = [f"{operator}_{index}_{place}" for place in range(outputs)]
        node = helper.make_node(operator, list(inputs), names, f"/{operator}_{index}", **attributes)
        self.nodes.append(node)
        return names[0] if outputs == 1 else names

    def integers(self, *values):
        return self.constant(values, np.int64)

    def linear(self, x, layer):
        product = self.add("MatMul", x, self.constant(layer.weight.T))
        return self.add("Add", self.constant(layer.bias), product)

    def norm(self, x, norm, epsilon):
        gain, bias = self.constant(norm.gain), self.constant(norm.bias)
        if self.form.norm == "operator":
            return self.add("LayerNormalization", x, gain, bias, axis=-1, epsilon=epsilon)
        centred = self.add("Sub", x, self.add("ReduceMean", x, axes=[-1]))
        square = self.add("Pow", centred, self.constant(2))
        variance = self.add("ReduceMean", square, axes=[-1])
        root = self.add("Sqrt", self.add("Add", variance, self.constant(epsilon)))
        return self.add("Add", self.add("Mul", self.add("Div", centred, root), gain), bias)

    def activate(self, x, activation):
        if activation == "relu":
            return self.add("Relu", x)
        if self.form.gelu == "operator":
            return self.add("Gelu", x)
        if self.form.gelu == "erf":
            inner = self.add("Erf", self.add("Div", x, self.constant(math.sqrt(2))))
            product = self.add("Mul", x, self.add("Add", inner, self.constant(1)))
            return self.add("Mul", product, self.constant(0.5))
        cube = self.add("Mul", self.constant(0.044715), self.add("Pow", x, self.constant(3)))
        inner = self.add("Mul", self.constant(math.sqrt(2 / math.pi)), self.add("Add", x, cube))
        wide = self.add("Add", self.constant(1), self.add("Tanh", inner))
        return self.add("Mul", self.add("Mul", self.constant(0.5), x), wide)

    def size(self, x, axis):
        """Return the length of an axis as a vector of one number, computed as the graph runs."""
        one = self.add("Gather", self.add("Shape", x), self.constant(axis, np.int64))
        return self.add("Unsqueeze", one, self.integers(0))

    def shaped(self, x, like, *sizes):
        """Reshape `x`; a size of None is that of the same axis of `like`."""
        if not self.form.is_dynamic:
            return self.add("Reshape", x, self.integers(*(0 if it is None else it for it in sizes)))
        parts = [
            self.size(like, axis) if size is None else self.integers(size)
            for axis, size in enumerate(sizes)
        ]
        return self.add("Reshape", x, self.add("Concat", *parts, axis=0))

    def separate(self, x, layer, heads, width):
        for what in (layer.query, layer.key, layer.value):
            split = self.shaped(self.linear(x, what), x, None, None, heads, width)
            yield self.add("Transpose", split, perm=[0, 2, 1, 3])

    def joint(self, x, layer, heads, width):
        """Return queries, keys and values of one projection, [batch, heads, tokens, width]."""
        parts = layer.query, layer.key, layer.value
        weight = np.concatenate([part.weight for part in parts])
        product = self.add("MatMul", x, self.constant(weight.T))
        bias = self.constant(np.concatenate([part.bias for part in parts]))
        wide = self.shaped(self.add("Add", product, bias), x, None, None, 3, heads, width)
        order = [2, 1, 3, 0, 4] if self.form.tokens_first else [2, 0, 3, 1, 4]
        moved = self.add("Transpose", wide, perm=order)
        if self.form.heads == "gather":
            for place in range(3):
                yield self.add("Gather", moved, self.constant(place, np.int64), axis=0)
            return
        taken = self.add("Split", moved, self.integers(1, 1, 1), outputs=3, axis=0)
        for part in taken:
            yield self.add("Squeeze", part, self.integers(0))

    def attention(self, x, layer, heads, hidden, mask):
        width = hidden // heads
        projections = self.separate if self.form.heads == "views" else self.joint
        query, key, value = projections(x, layer, heads, width)
        scale = 1 / math.sqrt(width)
        if self.form.attention == "operator":
            inputs = [query, key, value, *([mask] if mask else [])]
            context = self.add("Attention", *inputs, scale=scale)
        else:
            context = self.products(query, key, value, scale, mask)
        order = [2, 0, 1, 3] if self.form.tokens_first else [0, 2, 1, 3]
        context = self.add("Transpose", context, perm=order)
        return self.linear(self.shaped(context, context, None, None, hidden), layer.projection)

    def products(self, query, key, value, scale, mask):
        key = self.add("Transpose", key, perm=[0, 1, 3, 2])
        if self.form.scale == "query":
            query = self.add("Mul", query, self.constant(scale))
        if self.form.scale == "roots":
            root = self.constant(math.sqrt(scale))
            query, key = self.add("Mul", query, root), self.add("Mul", root, key)
        scores = self.add("MatMul", query, key)
        if self.form.scale == "scores":
            scores = self.add("Div", scores, self.constant(1 / scale))
        if mask:
            scores = self.add("Add", scores, mask)
        weights = self.add("Softmax", scores, axis=-1)
        if self.form.attention == "guarded":
            bad = self.add("IsNaN", weights)
            weights = self.add("Where", bad, self.constant(0), weights)
        return self.add("MatMul", weights, value)

    def layer(self, x, layer, config, mask):
        def inner(values):
            return self.attention(values, layer, config.heads, config.hidden, mask)

        def feed_forward(values):
            wide = self.activate(self.linear(values, layer.expand), config.activation)
            return self.linear(wide, layer.contract)

        first, second = layer.attention_norm, layer.output_norm
        if config.norm_first:
            x = self.add("Add", x, inner(self.norm(x, first, config.epsilon)))
            return self.add("Add", x, feed_forward(self.norm(x, second, config.epsilon)))
        x = self.norm(self.add("Add", inner(x), x), first, config.epsilon)
        return self.norm(self.add("Add", feed_forward(x), x), second, config.epsilon)

    def words(self, table, config, tokens):
        """Return embedded words; positions are a slice of a table as long as the ids."""
        words = self.add("Gather", self.constant(table.words), "input_ids")
        kinds = self.add("Gather", self.constant(table.types), "token_type_ids")
        places = self.constant(np.arange(config.positions)[None], np.int64)
        end = self.size("input_ids", 1) if self.form.is_dynamic else self.integers(tokens)
        used = self.add("Slice", places, self.integers(0), end, self.integers(1))
        positions = self.add("Gather", self.constant(table.positions), used)
        summed = self.add("Add", self.add("Add", words, kinds), positions)
        return self.norm(summed, table.norm, config.epsilon)

    def patches(self, table, hidden):
        """Return embedded patches of an image, behind the class token."""
        kernel = (hidden, table.channels, table.size, table.size)
        weight = self.constant(table.projection.weight.reshape(kernel))
        bias = self.constant(table.projection.bias)
        found = self.add("Conv", "pixels", weight, bias, strides=[table.size] * 2)
        rows = self.add("Reshape", found, self.integers(0, hidden, -1))
        rows = self.add("Transpose", rows, perm=[0, 2, 1])
        batch = self.size("pixels", 0)
        shape = self.add("Concat", batch, self.integers(len(table.prefix), hidden), axis=0)
        prefix = self.add("Expand", self.constant(table.prefix[None]), shape)
        joined = self.add("Concat", prefix, rows, axis=1)
        return self.add("Add", joined, self.constant(table.positions[None]))

    def mask(self):
        """Return what the scores of a padded key get."""
        kept = self.add("Cast", "attention_mask", to=TensorProto.FLOAT)
        kept = self.add("Unsqueeze", kept, self.integers(1, 2))
        hidden = self.add("Sub", self.constant(1), kept)
        return self.add("Mul", hidden, self.constant(np.finfo(np.float32).min))


def encoder_graph(model, form, tokens=7, head=True):
    """Return `model` as a ModelProto; inputs have `tokens` tokens unless the form is dynamic."""
    builder, config = GraphBuilder(form), model.config
    length = "tokens" if form.is_dynamic else tokens
    batch = "batch" if form.is_dynamic else 1
    mask = ""
    if isinstance(model, BertModel):
        names = ("input_ids", "attention_mask", "token_type_ids")
        inputs = {name: (TensorProto.INT64, [batch, length]) for name in names}
        mask = builder.mask()
        x = builder.words(model.embeddings, config, tokens)
    elif isinstance(model, VitModel):
        patches = model.patches
        shape = [batch, patches.channels, patches.image, patches.image]
        inputs = {"pixels": (TensorProto.FLOAT, shape)}
        x = builder.patches(patches, config.hidden)
    else:
        shape = [length, batch] if form.tokens_first else [batch, length]
        inputs = {"vectors": (TensorProto.FLOAT, [*shape, config.hidden])}
        x = "vectors"
    for layer in model.layers:
        x = builder.layer(x, layer, config, mask)
    outputs = [x]
    if head:
        first = builder.add("Gather", x, builder.constant(0, np.int64), axis=1)
        weight = builder.constant(np.ones((3, config.hidden)))
        outputs.append(builder.add("Tanh", builder.add("Gemm", first, weight, transB=1)))
    return finished(builder, inputs, outputs)


AXES = (3, 2)
"""Of the vectors, and of what a head makes of them."""


def finished(builder, inputs, outputs):
    """Return the graph of `builder` as a ModelProto."""
    results = [
        (name, TensorProto.FLOAT, [None] * axes) for name, axes in zip(outputs, AXES, strict=False)
    ]
    graph = helper.make_graph(
        builder.nodes,
        "encoder",
        [helper.make_tensor_value_info(name, *item) for name, item in inputs.items()],
        [helper.make_tensor_value_info(*item) for item in results],
        builder.initialisers,
    )
    opsets = [helper.make_opsetid("", builder.form.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
