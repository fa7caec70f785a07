"""The foretold cycles of a program: mechanisms on small graphs, and the Verilog of `tiny`."""

from dataclasses import replace

import numpy as np
import pytest

from ageha.bench.decode import DecodeWorkload
from ageha.bench.execute import build_library, run_rtl
from ageha.hw.config import preset
from ageha.hw.isa import Opcode, Unit
from ageha.sw.compiler import compile_encoder
from ageha.sw.fabnet_compiler import compile_blocks
from ageha.sw.fetch_timing import NEVER, Fetch
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.frontend.synthetic_fabnet import synthetic_block
from ageha.sw.frontend.synthetic_llama import synthetic_llama
from ageha.sw.gir import Buffer, Graph, Level
from ageha.sw.passes.build import load, matmul, part, quantise
from ageha.sw.passes.explore import Budget
from ageha.sw.prediction import predict
from ageha.sw.reference import embed
from ageha.sw.unit_timing import MEMORY_LATENCY, timing
from ageha.verif.devices.library import MemorySettings

TINY, BASE = preset("tiny"), preset("base")
BUDGET = Budget(candidates=6, reuse=False)


def dram(name, rows, columns, address=0):
    pitch = columns // 8
    return Buffer(name, Level.DRAM, "int8", rows, columns, pitch, address=address)


def scratchpad(name, dtype, rows, columns, pitch):
    return Buffer(name, Level.SCRATCHPAD, dtype, rows, columns, pitch, address=0)


SOURCE = dram("source", 64, 256)
COPY = scratchpad("copy", "int8", 64, 256, 33)
A, B = (scratchpad(name, "int8", 16, 16, 17) for name in "ab")
SCALES = scratchpad("scales", "scale", 1, 16, 16)
Y = scratchpad("y", "int16", 16, 16, 4)
WIDE = scratchpad("wide", "int16", 32, 1024, 257)
NARROW = scratchpad("narrow", "int8", 32, 1024, 129)
ROWS = scratchpad("rows", "scale", 1, 32, 32)
PANEL = scratchpad("panel", "int8", 1024, 16, 17)
PANEL_SCALES = scratchpad("panel_scales", "scale", 1, 1024, 1024)
SHEET = scratchpad("sheet", "int16", 16, 1024, 256)
BUFFERS = (SOURCE, COPY, A, B, SCALES, Y, WIDE, NARROW, ROWS, PANEL, PANEL_SCALES, SHEET)

LOAD = load(part(SOURCE), part(COPY), "load")
PRODUCT = matmul((part(A), part(SCALES)), (part(B), part(SCALES)), part(Y), 0, "product")
STREAM = matmul((part(A), part(SCALES)), (part(PANEL), part(PANEL_SCALES)), part(SHEET), 0, "s")
"""A product of 64 tiles of 16 steps, each of which writes 16 lines."""
QUANTISE = quantise(part(WIDE), (part(NARROW), part(ROWS)), 0, "quantise")


def spans(*operations, config=BASE):
    return predict(Graph("test", BUFFERS, operations), config).spans


def length(span):
    return span[1] - span[0]


def test_a_load_stands_still_while_a_product_writes_in_every_cycle():
    alone, written = length(spans(LOAD)[0]), 64 * 16
    together = length(spans(LOAD, STREAM)[0])
    assert alone + 0.9 * written < together < alone + 1.1 * written


def test_a_product_waits_for_a_load_where_requests_are_registered():
    spans_of = [spans(*ops, config=TINY) for ops in ((LOAD,), (STREAM,), (LOAD, STREAM))]
    load_alone, product_alone = length(spans_of[0][0]), length(spans_of[1][0])
    assert length(spans_of[2][0]) < load_alone + 16
    assert length(spans_of[2][1]) > product_alone


def test_the_vector_unit_goes_on_while_its_lines_have_room():
    alone = length(spans(QUANTISE)[0])
    assert length(spans(QUANTISE, *[PRODUCT] * 8)[0]) <= alone + 1
    assert length(spans(QUANTISE, STREAM)[0]) > alone + 0.8 * 64 * 16


def test_many_short_products_wait_for_their_words():
    """Four words are on their way at a time; behind a LOAD each round takes longer."""
    count = 200
    ends = [end for _, end in spans(*[PRODUCT] * count)]
    round_trip = (ends[-1] - ends[-41]) / 10
    assert MEMORY_LATENCY < round_trip < MEMORY_LATENCY + 20
    behind = [end for _, end in spans(*[LOAD] * 4, *[PRODUCT] * count)]
    rate = (behind[40] - behind[20]) / 20
    assert rate > 1.5 * round_trip / 4


def test_fetch_stops_at_the_end_and_for_a_full_queue():
    fetch = Fetch(1, BASE)
    then = fetch.time(0.0, None)
    fetch.is_blocked = True
    assert fetch.time(0.0, None) == NEVER
    fetch.is_blocked = False
    fetch.decode(then, 0.0)
    assert fetch.time(then, None) == NEVER


@pytest.mark.parametrize(("address", "bursts"), [(0, 64), (2, 128), (16, 128)])
def test_rows_across_the_end_of_a_burst_take_two(address, bursts):
    """A row of 16 beats is a burst where it begins with one; a slot is a latency and its beats."""
    source = replace(SOURCE, address=address)
    buffers = {"source": source, "copy": COPY}
    (phase,) = timing(LOAD, buffers, BASE).phases
    beats = 64 * 16
    slots = bursts * (MEMORY_LATENCY + 4 + beats / bursts) / BASE.axi.outstanding
    assert phase.cycles == round(max(beats, slots))


def test_what_is_never_signalled_is_named():
    with pytest.raises(ValueError, match="semaphore 3 is waited for but never signalled"):
        spans(replace(PRODUCT, wait=1 << 3))


def test_a_signal_wakes_another_unit():
    first, second = spans(replace(LOAD, signal=1), replace(PRODUCT, wait=1))
    assert second[0] == first[1] + 5
    assert predict(Graph("test", BUFFERS, (LOAD,)), BASE).busy[Unit.LOAD] == length(first)
    assert LOAD.opcode == Opcode.LOAD


def encoder(lengths, layers=1, **sizes):
    model = synthetic_bert(layers=layers, **sizes)
    program = compile_encoder(model, TINY, lengths, tuple(range(layers)), budget=BUDGET)
    x = embed(model, np.arange(np.sum(lengths)) % model.config.vocabulary)
    return program, {"input": program.inputs[0].from_float(x)}


def decoder(tokens, is_prompt=False):
    model = synthetic_llama(layers=1, maximum_tokens=64)
    job = DecodeWorkload(TINY, model, (0,), 16, is_prompt=is_prompt).job(tokens)
    return job.program, job.inputs


def fabnet(tokens, attention, features, expanded):
    block = synthetic_block(attention, features, 2, expanded, seed=1)
    x = np.random.default_rng(1).normal(size=(1, tokens, features))
    program = compile_blocks([block], TINY, x, budget=BUDGET)
    return program, {"input": program.inputs[0].from_float(x[0])}


CASES = {
    "one token": lambda: encoder(1),
    "sentences": lambda: encoder((5, 17, 1, 8), 2),
    "a token after 13": lambda: decoder(13),
    "a prompt of 9": lambda: decoder(9, is_prompt=True),
    "FBfly": lambda: fabnet(8, False, 64, 256),
    "ABfly": lambda: fabnet(13, True, 48, 96),
}


@pytest.mark.parametrize("name", CASES)
def test_foretold_within_three_percent_of_the_verilog(name):
    program, inputs = CASES[name]()
    rtl = run_rtl(program, inputs, MemorySettings(latency=MEMORY_LATENCY), build_library(TINY))
    predicted = program.metadata["predicted_cycles"]
    assert predicted == pytest.approx(rtl.counters["cycles"], rel=0.03)
