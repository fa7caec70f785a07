"""Graphs: affine offsets, text that round-trips, rules that the verifier keeps."""

import random
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from ageha.hw.config import override, preset
from ageha.hw.isa import Opcode
from ageha.sw.gir import Affine, Buffer, Compute, Graph, Level, Move, Parallel, Slice
from ageha.sw.gir_svg import to_svg
from ageha.sw.gir_text import GirError, difference, from_text, to_text
from ageha.sw.gir_verify import verify
from ageha.sw.passes.build import load, matmul, part, quantise, softmax, store

TINY = preset("tiny")


def scratchpad(name, dtype, rows, columns, pitch):
    return Buffer(name, Level.SCRATCHPAD, dtype, rows, columns, pitch)


SOURCE = Buffer("source", Level.DRAM, "int16", 6, 16, 4)
TARGET = Buffer("target", Level.DRAM, "int16", 6, 6, 2, window=1)
WIDE = scratchpad("wide", "int16", 6, 16, 4)
NARROW = scratchpad("narrow", "int8", 6, 16, 5)
SCALES = scratchpad("scales", "scale", 1, 6, 6)
RESULT = scratchpad("result", "int16", 6, 6, 2)
BUFFERS = (SOURCE, TARGET, WIDE, NARROW, SCALES, RESULT)


def straight_graph():
    """Load, quantise, multiply by itself, store."""
    operand = part(NARROW), part(SCALES)
    return Graph(
        "small",
        BUFFERS,
        (
            load(part(SOURCE), part(WIDE), "input"),
            quantise(part(WIDE), operand, 11, "input"),
            matmul(operand, operand, part(RESULT), 5, "square"),
            store(part(RESULT), part(TARGET), "output"),
        ),
    )


def change(graph, number, **values):
    """Return `graph` with one node changed."""
    body = list(graph.body)
    body[number] = replace(body[number], **values)
    return replace(graph, body=tuple(body))


def test_affine_arithmetic():
    i, j = Affine.variable("i"), Affine.variable("|i|")
    value = 3 * i + j * 2 + 4 + i
    assert str(value) == "4*i+2*|i|+4"
    assert value.substitute({"i": 2, "|i|": 5}) == Affine(22)
    assert str(i + i * -1) == "0"
    with pytest.raises(ValueError, match="not a number"):
        value.__index__()


def test_a_correct_graph_passes():
    verify(straight_graph(), TINY)


def test_straight_text_round_trips():
    graph = straight_graph()
    graph = change(graph, 1, wait=0x11, signal=2, start=3, end=90)
    graph = replace(graph, buffers=(replace(SOURCE, address=0, window=2), *BUFFERS[1:]))
    assert from_text(to_text(graph)) == graph


def test_every_second_row_of_dram():
    small = scratchpad("half", "int16", 3, 16, 4)
    loads = load(part(SOURCE, 1, rows=3, step=2), part(small), "odd")
    graph = Graph("rows", (SOURCE, small), (loads,))
    assert "source[1,0;3,16]/2" in to_text(graph)
    assert from_text(to_text(graph)) == graph
    verify(graph, TINY)
    for source, target, message in (
        (part(SOURCE, 2, rows=3, step=2), part(small), r"\[2,0;3,16\]/2 leaves 6x16"),
        (part(SOURCE, rows=2), part(small, rows=2, step=2), "leaves out rows of the scratchpad"),
    ):
        with pytest.raises(GirError, match=message):
            verify(replace(graph, body=(load(source, target, "odd"),)), TINY)


def test_nested_text_round_trips():
    i, extent = Affine.variable("0.i"), Affine.variable("|0.i|")
    inner = Parallel("0.j", 4, 9, 2, (), (load(part(SOURCE), part(WIDE), ""),))
    staging = replace(WIDE, name="staging", depth=2)
    move = load(part(SOURCE, 2 * i + 1, rows=extent), part(staging, rows=extent), "x")
    outer = Parallel("0.i", 0, 6, 2, (staging,), (move, inner))
    graph = Graph("nested", BUFFERS, (outer, *straight_graph().body))
    assert from_text(to_text(graph)) == graph


def test_short_tiles_at_both_ends():
    def tiles(start, stop, step, edge):
        found = Parallel("i", start, stop, step, (), (), edge).iterations()
        return [(values["i"] * (edge or step), values["|i|"]) for values in found]

    assert tiles(0, 20, 8, 0) == [(0, 8), (8, 8), (16, 4)]
    assert tiles(0, 32, 8, 4) == [(0, 4), (4, 8), (12, 8), (20, 8), (28, 4)]
    assert tiles(0, 22, 8, 4) == [(0, 4), (4, 8), (12, 8), (20, 2)]
    assert tiles(0, 16, 8, 4) == [(0, 4), (4, 8), (12, 4)]
    assert tiles(0, 5, 8, 4) == [(0, 4), (4, 1)]
    assert tiles(0, 3, 8, 4) == [(0, 3)]
    for stop in range(1, 40):
        found = tiles(0, stop, 12, 3)
        assert [first + size for first, size in found] == [*(at for at, _ in found[1:]), stop]
        assert found[0][1] <= 3 and found[-1][1] <= 3
    graph = Graph("short", BUFFERS, (Parallel("i", 0, 20, 8, (), (), 4),))
    assert from_text(to_text(graph)) == graph


def test_random_text_round_trips():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choose = random.Random(seed)

    def affine():
        names = choose.sample(["i", "|i|", "0.j", "|0.j|"], choose.randrange(4))
        value = Affine(choose.randrange(100))
        for name in names:
            value += choose.randrange(1, 50) * Affine.variable(name)
        return value

    def item():
        return Slice(choose.choice("abc"), affine(), affine(), affine(), affine())

    def operation():
        kind = choose.choice((Compute, Move))
        return kind(
            choose.choice(list(Opcode)),
            {role: item() for role in choose.sample(["a", "b", "x"], choose.randrange(1, 4))},
            {role: item() for role in choose.sample(["y", "scale"], choose.randrange(1, 3))},
            {name: choose.randrange(-99, 99) for name in choose.sample("mnk", choose.randrange(3))},
            choose.choice(("", "product", "0.key")),
            choose.getrandbits(32),
            choose.getrandbits(32),
            *choose.choice(((-1, -1), (0, 7), (12, 12345))),
        )

    for _ in range(50):
        body = tuple(operation() for _ in range(choose.randrange(1, 5)))
        graph = Graph("random", BUFFERS[: choose.randrange(6)], body)
        assert from_text(to_text(graph)) == graph


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 is missing"),
        ("grph", "line 1 is no graph"),
        ('graph "a"\nbuffer b tape int8 1x1 pitch 1', "line 2"),
        ('graph "a"\nbuffer b dram int8 1 pitch 1', "line 2 is no buffer"),
        ('graph "a"\n\nmove JUMP a -> b', "line 3"),
        ('graph "a"\nparallel i 0..3 step 1 {', "line 3 is missing"),
        ('graph "a"\n}', "line 2 is outside the graph"),
    ],
)
def test_text_that_is_no_graph(text, message):
    with pytest.raises(GirError, match=message):
        from_text(text)


def operand(pitch=5):
    return replace(NARROW, pitch=pitch)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (change(straight_graph(), 0, reads={"source": part(SOURCE, 1)}), "leaves 6x16"),
        (change(straight_graph(), 1, reads={"x": part(WIDE, 0, 2, 6, 14)}), "begin at a word"),
        (change(straight_graph(), 1, reads={"x": part(WIDE, columns=8)}), "shapes differ"),
        (
            change(straight_graph(), 1, writes={"y": part(WIDE), "scale": part(SCALES)}),
            "y must be int8",
        ),
        (change(straight_graph(), 1, reads={}), "takes x"),
        (change(straight_graph(), 1, reads={"x": part(SOURCE)}), "must be in the scratchpad"),
        (change(straight_graph(), 3, reads={"source": part(WIDE)}), "shapes differ"),
        (change(straight_graph(), 3, opcode=Opcode.LOAD), "moves from scratchpad to dram"),
        (replace(straight_graph(), body=straight_graph().body[1:]), "wide is read before"),
        (replace(straight_graph(), buffers=BUFFERS[:-1]), "no buffer result"),
        (
            replace(straight_graph(), buffers=(*BUFFERS[:3], operand(6), *BUFFERS[4:])),
            "pitch 6 of a must be 1 modulo 4",
        ),
        (
            replace(straight_graph(), buffers=(*BUFFERS[:3], operand(1), *BUFFERS[4:])),
            "pitch must be at least 2, not 1",
        ),
        (
            replace(straight_graph(), buffers=(replace(WIDE, address=2040), *BUFFERS)),
            "ends at word 2064 of 2048",
        ),
        (replace(straight_graph(), buffers=(replace(WIDE, dtype="int4"),)), "int4 is no dtype"),
        (replace(straight_graph(), buffers=(replace(WIDE, rows=0),)), "from 1 to 65535, not 0"),
    ],
)
def test_rules(graph, message):
    with pytest.raises(GirError, match=message) as caught:
        verify(graph, TINY)
    assert "\n" not in str(caught.value)


def test_stride_of_beats():
    odd = replace(straight_graph(), buffers=(replace(SOURCE, pitch=3, columns=12),))
    with pytest.raises(GirError, match="stride 24 is no multiple of a beat of 32 bytes"):
        verify(odd, preset("large"))


def test_scales_as_long_as_the_operand():
    short = part(SCALES, columns=5)
    reads = dict(straight_graph().body[2].reads) | {"row_scale": short}
    with pytest.raises(GirError, match="row_scale must be 1 row of 6"):
        verify(change(straight_graph(), 2, reads=reads), TINY)


PLANES = scratchpad("planes", "int8", 12, 16, 17)
BASE = preset("base")


def wide_graph(high=0, low=6, **attributes):
    """Multiply two planes of probabilities by what they come from."""
    planes = part(PLANES, high, rows=6), part(PLANES, low, rows=6)
    buffers = (WIDE, replace(NARROW, pitch=17), SCALES, RESULT, PLANES)
    operand = part(NARROW), part(SCALES)
    product = matmul((planes[0], part(SCALES)), operand, part(RESULT), 5, "mix", low=planes[1])
    product = replace(product, attributes={**product.attributes, **attributes})
    both = part(PLANES, 0, rows=6), part(PLANES, 6, rows=6)
    body = (
        load(part(SOURCE), part(WIDE), "input"),
        quantise(part(WIDE), operand, 11, "input"),
        softmax(part(WIDE), both, part(SCALES), 8, "softmax"),
        product,
    )
    return Graph("wide", (SOURCE, *buffers), body)


def test_two_planes():
    verify(wide_graph(), BASE)
    assert from_text(to_text(wide_graph())) == wide_graph()


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (wide_graph(wide=0), "wide does not say whether a has two planes"),
        (wide_graph(6, 0), "must lie behind planes.* in its buffer, by at most 65535 words"),
        (wide_graph(0, 0), "must lie behind"),
        (wide_graph(flow=1), "a wide product is dense output stationary"),
        (
            change(wide_graph(), 3, reads=dict(straight_graph().body[2].reads)),
            "wide does not say",
        ),
        (
            change(wide_graph(), 3, reads={**wide_graph().body[3].reads, "low": part(NARROW)}),
            "must lie behind",
        ),
    ],
)
def test_rules_of_two_planes(graph, message):
    with pytest.raises(GirError, match=message):
        verify(graph, BASE)


def test_a_machine_that_takes_no_two_planes():
    narrow = override(BASE, {"array.wide_rows": False})
    with pytest.raises(GirError, match="with array.wide_rows = false takes no two planes"):
        verify(wide_graph(), narrow)


def placed_graph():
    """The graph with addresses, times, and semaphores: 0 tells the vector unit, 1 the array."""
    graph = straight_graph()
    for number, masks in enumerate(((0, 1), (1, 2), (2, 4), (4, 0))):
        wait, signal = masks
        times = {"start": 10 * number, "end": 10 * number + 10}
        graph = change(graph, number, wait=wait, signal=signal, **times)
    addresses = {"wide": 0, "narrow": 24, "scales": 56, "result": 64}
    buffers = tuple(
        replace(buffer, address=addresses.get(buffer.name, 0)) for buffer in graph.buffers
    )
    return replace(graph, buffers=buffers)


def move_buffer(graph, name, address):
    buffers = tuple(
        replace(buffer, address=address) if buffer.name == name else buffer
        for buffer in graph.buffers
    )
    return replace(graph, buffers=buffers)


def test_rules_of_order():
    graph = placed_graph()
    verify(graph, TINY)
    verify(move_buffer(graph, "result", 0), TINY)  # In the place of `wide`, which is done with.
    for broken, message in (
        (move_buffer(graph, "narrow", 20), "buffer narrow: shares word 20 with wide while both"),
        (move_buffer(graph, "scales", 24), "shares word 24 with"),
        (change(graph, 1, start=35, end=40), "node 2 .*: starts at 20, before the .* it at 35"),
        (change(graph, 1, signal=0), r"node 2 \(MATMUL square\): waits for semaphore 1, which no"),
        (change(graph, 0, wait=8), "node 0 .* waits for semaphore 3"),
        (
            change(
                graph,
                0,
                reads={"source": part(SOURCE, rows=5)},
                writes={"destination": part(WIDE, rows=5)},
            ),
            r"node 1 \(QUANTISE input\): x reads words of wide.* that nothing wrote",
        ),
    ):
        with pytest.raises(GirError, match=message):
            verify(broken, TINY)


def test_difference_of_graphs():
    graph = straight_graph()
    assert difference(graph, graph) == []
    lines = difference(graph, change(graph, 2, product="cube"))
    assert [line[0] for line in lines[3:]] == ["-", "+"]
    assert '"square"' in lines[3] and '"cube"' in lines[4]


def test_picture():
    graph = Graph("a < b", BUFFERS, (Parallel("i", 0, 6, 2, (), straight_graph().body),))
    text = to_svg(graph)
    root = ElementTree.fromstring(text)
    dots = [item for item in root.iter() if item.tag.endswith("circle")]
    assert len(dots) == sum(
        len(item.reads) + len(item.writes) for item in straight_graph().operations()
    )
    for operation in straight_graph().operations():
        assert operation.opcode.name in text
