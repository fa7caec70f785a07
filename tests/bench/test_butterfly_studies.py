"""Butterflies from memory, beside dense products, beside a published model, and their traffic."""

import pytest

from ageha.bench.butterfly import TooLargeError
from ageha.bench.butterfly_compare import (
    Transform,
    _largest_part,
    fabnet_cycles,
    fabnet_layers,
    measure_dense,
    measure_fabnet,
)
from ageha.bench.butterfly_memory import MEMORY_MODES, measure_memory, program_of
from ageha.bench.butterfly_traffic import Traffic, measure_traffic, mixed_program, needed_traffic
from ageha.bench.execute import build_library
from ageha.hw.config import override, preset
from ageha.hw.isa import Axis, Opcode
from ageha.sw.instruction import decode_all

TINY, BASE = preset("tiny"), preset("base")


@pytest.fixture(scope="module")
def library():
    """The simulator of the smallest machine."""
    return build_library(TINY)


@pytest.mark.parametrize(("tokens", "features"), [(16, 16), (8, 64), (64, 16)])
def test_nothing_is_moved_for_a_transposition(tokens, features, library):
    record = measure_traffic(tokens, features, TINY, library)
    assert record["mismatches"] == record["extra_bytes"] == 0
    assert record["read_lines"] == record["needed_lines"] > 0
    assert record["written_words"] == record["needed_words"] > 0


def test_needed_traffic_by_hand():
    """8 real tokens, then 16 features: one stage a pass, four lanes."""
    fourier, product = (
        item
        for item in decode_all(mixed_program(8, 16, TINY).code)
        if item.opcode is Opcode.BUTTERFLY
    )
    # Four words of columns are a turn. Three passes over 8 rows: the real plane, then both; both
    # are written but by the last one.
    assert needed_traffic(fourier, TINY) == Traffic(8 * (1 + 2 + 2), 0, 4 * 8 * (2 + 2 + 1))
    # Two turns, four passes over four words; eight coefficients a pass for each turn.
    assert needed_traffic(product, TINY) == Traffic(2 * 4 * 4, 2 * 4 * 2, 8 * 4 * 4)


def test_two_stages_halve_the_traffic():
    one, two = (
        sum(
            (
                needed_traffic(item, config)
                for item in decode_all(mixed_program(16, 16, config).code)
                if item.opcode is Opcode.BUTTERFLY
            ),
            Traffic(),
        )
        for config in (TINY, override(TINY, {"butterfly.stages": 2}))
    )
    assert one.coefficient_lines == two.coefficient_lines
    # Planes that are written: 2 + 2 + 2 + 1 or 2 + 1 of the transform, 4 or 2 of the product.
    assert one.written_words == 64 * (7 + 4)
    assert two.written_words == 64 * (3 + 2)


@pytest.mark.parametrize("mode", MEMORY_MODES)
def test_from_memory_and_back(mode, library):
    record = measure_memory(mode, 32, 16, TINY, library)
    assert record["mismatches"] == 0
    bounds = [record[f"{name}_cycles"] for name in ("read", "write", "multiply")]
    assert record["ideal_cycles"] == max(bounds) < record["cycles"]
    # 32 rows of 16 int16, 8 bytes a beat; a spectrum has two planes.
    assert record["write_cycles"] == (256 if mode == "fft" else 128)
    assert record["read_cycles"] >= 128
    assert record["bytes_moved"] >= 2048


@pytest.mark.parametrize(("features", "fewest"), [(64, 3), (512, 4), (4096, 3)])
def test_tiles_overlap_where_they_win(features, fewest):
    """A long product is cut so that memory and multipliers work at the same time."""
    program = program_of("bpmm", 128, features, BASE)
    loads = [item for item in decode_all(program.code) if item.opcode is Opcode.LOAD]
    assert len(loads) >= fewest
    metadata = program.metadata
    serial = metadata["butterfly_cycles"] + 2 * 128 * features // 8
    assert metadata["predicted_cycles"] < 0.9 * serial


def test_what_replaces_its_input_needs_no_second_buffer():
    program = program_of("bpmm", 64, 4096, BASE)
    names = {buffer["name"].partition(".")[2] for buffer in program.metadata["buffers"]}
    assert not any(name.startswith("y") for name in names)


def test_published_model():
    # n / (2 · 160) · log2 n / 0.85
    assert fabnet_cycles(1024, 85) == 3200
    assert fabnet_cycles(64, 17 * 4) == 96


def test_layers_of_fabnet_base():
    layers = {layer.name: layer for layer in fabnet_layers(256)}
    assert {layer.n for layer in layers.values()} == {256, 1024, 4096}
    assert layers["mixing of tokens"].vectors == 768
    assert layers["feed-forward, up"].vectors == 3 * 256
    assert layers["feed-forward, down"].vectors == 256


def test_layers_are_cut_to_the_scratchpad():
    whole = Transform("x", "bpmm", 64, 40, Axis.HIDDEN)
    assert _largest_part(whole, BASE) == 40
    part = _largest_part(Transform("x", "bpmm", 1024, 1024, Axis.HIDDEN), BASE)
    assert 16 <= part < 1024 and part % 16 == 0
    with pytest.raises(TooLargeError, match="16 vectors of 8192 points do not fit"):
        _largest_part(Transform("x", "fft", 8192, 64, Axis.HIDDEN), BASE)


def test_fabnet_record(library):
    layer = Transform("x", "bpmm", 64, 37, Axis.HIDDEN)
    record = measure_fabnet(layer, 37, TINY, library)
    assert record["multipliers"] == 16
    assert record["ideal_cycles"] == pytest.approx(37 * 64 * 6 * 2 / 16, abs=10)
    assert record["cycles_at_640"] == round(record["cycles"] * 16 / 640)
    assert record["speedup"] == round(record["reference_cycles"] / record["cycles_at_640"], 4)


def test_dense_record(library):
    record = measure_dense(32, 16, TINY, library)
    # 4 x 4 multipliers each.
    assert record["multipliers"] == record["dense_multipliers"] == 16
    assert record["dense_cycles"] >= 16 * 32 * 32 / 16
    assert record["ideal_speedup"] == 3.2
    assert record["speedup"] == round(record["dense_cycles"] / record["cycles"], 3)
