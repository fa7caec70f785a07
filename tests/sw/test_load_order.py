"""LOADs in parts where they are needed, rows side by side, first products cut by columns."""

import random

import numpy as np
import pytest

from ageha.bench.execute import build_library, run_golden, run_rtl
from ageha.hw.config import override, preset
from ageha.hw.isa import Opcode
from ageha.sw import attention_compiler
from ageha.sw.attention_compiler import compile_attention
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.gir import Buffer, Graph, Level, Slice
from ageha.sw.instruction import decode_all
from ageha.sw.passes.build import load, matmul, part
from ageha.sw.passes.first_products import by_columns, cut_first_products
from ageha.sw.passes.load_order import order_loads
from ageha.sw.passes.schedule import schedule
from ageha.sw.passes.side_by_side import SideBySide
from ageha.sw.reference import embed
from ageha.verif.devices.library import MemorySettings

LARGE = preset("large")
TINY = override(preset("tiny"), {"scratchpad.bytes": 32 << 10})


def pair(name, dtype, rows, columns):
    """Return a matrix in DRAM and its copy."""
    pitch = columns if dtype == "scale" else columns // 8
    return (
        Buffer(name, Level.DRAM, dtype, rows, columns, pitch),
        Buffer(f"{name}.copy", Level.SCRATCHPAD, dtype, rows, columns, pitch + 1),
    )


def products(blocks):
    """Return a graph of one product of weights and each block of rows, whose LOADs come last."""
    rows = max(first + count for first, count in blocks)
    x, weights = pair("x", "int8", rows, 64), pair("w", "int8", 128, 64)
    scales, channels = pair("x.scales", "scale", 1, rows), pair("w.scales", "scale", 1, 160)
    y = Buffer("y", Level.SCRATCHPAD, "int16", rows, 128, 32)
    body = [
        matmul(
            (part(x[1], first, rows=count), part(scales[1], 0, first, 1, count)),
            (part(weights[1]), part(channels[1], 0, 0, 1, 128)),
            part(y, first, rows=count),
            8,
            "product",
        )
        for first, count in blocks
    ]
    pairs = (x, weights, scales, channels)
    loads = [load(part(source), part(copy), source.name) for source, copy in pairs]
    buffers = (*(buffer for both in pairs for buffer in both), y)
    return Graph("products", buffers, (*body, *loads))


def elements(item: Slice):
    row, column, rows, columns = item.numbers
    return {
        (item.buffer, r, c) for r in range(row, row + rows) for c in range(column, column + columns)
    }


@pytest.mark.parametrize("seed", range(4))
def test_each_part_is_loaded_once_before_it_is_read(seed):
    numbers = random.Random(seed)
    blocks, first = [], 0
    for _ in range(5):
        count = numbers.randint(1, 40)
        blocks.append((max(first - numbers.randint(0, 8), 0), count))
        first = sum(blocks[-1])
    numbers.shuffle(blocks)
    ordered = order_loads(cut_first_products(products(blocks), LARGE), LARGE)
    loaded: set = set()
    for operation in ordered.operations():
        if operation.opcode == Opcode.LOAD:
            source, target = operation.reads["source"], operation.writes["destination"]
            new = elements(target)
            assert not new & loaded
            assert source.numbers == target.numbers
            assert source.numbers[1] % 4 == 0, "scale words are loaded in whole beats"
            loaded |= new
        else:
            for item in operation.reads.values():
                assert elements(item) <= loaded
    unread = {("w.scales.copy", 0, column) for column in range(128, 160)}
    assert not loaded & unread


def test_the_array_begins_with_the_first_tile_of_weights():
    graph = products([(0, 32), (32, 32), (64, 32)])
    whole, cut = (
        schedule(order_loads(item, LARGE), LARGE, 1 << 20)
        for item in (graph, cut_first_products(graph, LARGE))
    )
    begins = [
        min(item.start for item in order.operations() if item.opcode == Opcode.MATMUL)
        for order in (whole, cut)
    ]
    assert begins[1] < begins[0] / 2


def test_parts_of_a_product_cover_it():
    product = products([(3, 5)]).body[0]
    parts = list(by_columns(product, 48))
    assert [item.writes["y"].numbers for item in parts] == [
        (3, 0, 5, 48), (3, 48, 5, 48), (3, 96, 5, 32)
    ]  # fmt: skip
    assert [item.reads["b"].numbers for item in parts] == [
        (0, 0, 48, 64), (48, 0, 48, 64), (96, 0, 32, 64)
    ]  # fmt: skip
    assert all(item.reads["a"] == product.reads["a"] for item in parts)


def test_rows_of_two_blocks_of_columns_are_refused():
    graph = products([(0, 8), (6, 10)])
    side = SideBySide("x", "x.copy", "y", 2)
    with pytest.raises(AssertionError, match="two blocks of columns"):
        side.apply(graph, LARGE)


def compiled(monkeypatch, factor, config=TINY, tokens=32):
    monkeypatch.setattr(attention_compiler, "SIDE_BY_SIDE", (factor,))
    model = synthetic_bert(24, 1, 8, positions=64, seed=3, head_channels=16)
    ids = np.random.default_rng(5).integers(0, 100, tokens)
    attention = compile_attention(model, config, ids)
    return attention.program, {"input": attention.quantise(embed(model, ids))}


def test_rows_side_by_side_give_the_same_result(monkeypatch):
    outputs = []
    for factor in (1, 2, 4):
        program, inputs = compiled(monkeypatch, factor)
        assert program.inputs[0].shape == (32, 24)
        assert program.metadata["weights_side_by_side"] == factor
        outputs.append(run_golden(program, inputs).outputs["output"])
        rows = {
            item["row_words"] for item in decode_all(program.code) if item.opcode == Opcode.LOAD
        }
        assert 3 * factor in rows
    np.testing.assert_array_equal(outputs[1], outputs[0])
    np.testing.assert_array_equal(outputs[2], outputs[0])


def test_verilog_of_rows_side_by_side_equals_golden(monkeypatch):
    library = build_library(preset("tiny"))
    program, inputs = compiled(monkeypatch, 2, preset("tiny"), tokens=16)
    found = run_rtl(program, inputs, MemorySettings(latency=30, stall_percent=30), library)
    golden = run_golden(program, inputs)
    np.testing.assert_array_equal(found.outputs["output"], golden.outputs["output"])
