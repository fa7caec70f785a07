"""Passes: unrolling, dependencies, order, addresses, semaphores."""

import itertools
import random
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from ageha.hw.config import override, preset
from ageha.hw.isa import UNITS, Activation, Flow, Unit
from ageha.sw.calibrate import calibrate, random_tokens
from ageha.sw.compiler import quantise_layers, run_passes
from ageha.sw.errors import CompileError
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.gir import Affine, Buffer, Graph, Level, Parallel
from ageha.sw.gir_text import from_text, to_text
from ageha.sw.passes.allocate import allocate, lifetimes, peak
from ageha.sw.passes.build import load, matmul, part, quantise
from ageha.sw.passes.dependencies import dependencies, region
from ageha.sw.passes.evaluate import Evaluator
from ageha.sw.passes.expand import expand
from ageha.sw.passes.explore import Cost
from ageha.sw.passes.flows import choose_flows
from ageha.sw.passes.lower import lower
from ageha.sw.passes.schedule import schedule
from ageha.sw.passes.search import choose_tiling
from ageha.sw.passes.synchronise import irredundant, overtakes, synchronise
from ageha.sw.passes.tiling import Shape, Tiling
from ageha.sw.prediction import predict

ECP5 = preset("ecp5")
TILING = Tiling(heads=1, query_rows=8, rows=8, chunk=32, projection=16)


def wide(name, rows, depth=1):
    return Buffer(name, Level.SCRATCHPAD, "int16", rows, 8, 2, depth)


def pieces():
    """Rows of an input are loaded and quantised block by block, through two staging buffers."""
    source = Buffer("source", Level.DRAM, "int16", 10, 8, 2)
    narrow = Buffer("narrow", Level.SCRATCHPAD, "int8", 10, 8, 1)
    scales = Buffer("scales", Level.SCRATCHPAD, "scale", 1, 10, 10)
    staging = wide("staging", 4, depth=2)
    first, count = Affine.variable("i") * 4, Affine.variable("|i|")
    y = part(narrow, first, rows=count), part(scales, 0, first, 1, count)
    body = (
        load(part(source, first, rows=count), part(staging, rows=count), "x"),
        quantise(part(staging, rows=count), y, 11, "x"),
    )
    return Graph("pieces", (source, narrow, scales), (Parallel("i", 0, 10, 4, (staging,), body),))


@pytest.fixture(scope="module")
def quantised():
    model = synthetic_bert(layers=2)
    return model, quantise_layers(model, (0, 1), calibrate(model, (0, 1), random_tokens(model)))


@pytest.fixture(scope="module")
def layer(quantised):
    """The scheduled graph of two layers."""
    model, layers = quantised
    graph = expand(lower(Shape.of(model.config, 19), layers, TILING, ECP5))
    return schedule(graph, ECP5, TILING.prefetch)


def test_expansion():
    graph = expand(pieces())
    assert [buffer.name for buffer in graph.buffers[3:]] == ["staging.0", "staging.1", "staging.2"]
    sources = [str(item.reads["source"]) for item in graph.operations()[::2]]
    assert sources == ["source[0,0;4,8]", "source[4,0;4,8]", "source[8,0;2,8]"]
    assert str(graph.operations()[5].reads["x"]) == "staging.2[0,0;2,8]"


def test_copies_are_counted_across_loops():
    graph = pieces()
    loop = graph.body[0]
    parts = replace(loop, stop=4), replace(loop, start=4)
    assert expand(replace(graph, body=parts)) == expand(graph)


def test_one_name_for_two_buffers():
    graph = pieces()
    loop = graph.body[0]
    other = replace(loop, buffers=(replace(loop.buffers[0], rows=5),))
    with pytest.raises(CompileError, match="staging is declared twice"):
        expand(replace(graph, body=(loop, other)))


def test_operations_of_a_nested_graph():
    with pytest.raises(ValueError, match="parallel"):
        pieces().operations()


def test_dependencies_of_rectangles():
    graph = expand(pieces())
    pairs = {
        (conflict.earlier.operation, conflict.later.operation) for conflict in dependencies(graph)
    }
    assert pairs == {(0, 1), (2, 3), (4, 5)}
    shared = tuple(
        replace(buffer, address=0) if buffer.name.startswith("staging") else buffer
        for buffer in graph.buffers
    )
    pairs = {
        (conflict.earlier.operation, conflict.later.operation)
        for conflict in dependencies(replace(graph, buffers=shared))
    }
    assert {(0, 2), (1, 2), (3, 4)} <= pairs
    assert not {(1, 3), (1, 4)} & pairs  # Node 2 writes there in between, and waits for node 1.


def test_schedule_keeps_dependencies_and_copies(layer):
    ends = {}
    for number, operation in enumerate(layer.operations()):
        ends[number] = operation.end
    for conflict in dependencies(layer):
        earlier, later = conflict.earlier.operation, conflict.later.operation
        assert ends[earlier] <= layer.operations()[later].start
    starts = [operation.start for operation in layer.operations()]
    assert starts == sorted(starts)


def test_copies_in_flight():
    scheduled = schedule(expand(pieces()), ECP5, 1 << 20)
    alive = lifetimes(scheduled)
    assert alive["staging.0"].overlaps(alive["staging.1"])
    assert not alive["staging.0"].overlaps(alive["staging.2"])


def test_loads_do_not_run_far_ahead(layer):
    model = synthetic_bert(layers=1)
    layers = quantise_layers(model, (0,), calibrate(model, (0,), random_tokens(model)))
    graph = expand(lower(Shape.of(model.config, 19), layers, TILING, ECP5))
    peaks = [peak(schedule(graph, ECP5, horizon), ECP5)[0] for horizon in (100, 1 << 20)]
    assert peaks[0] < peaks[1]


def test_buffers_that_live_together_lie_apart(layer):
    allocated = allocate(layer, ECP5)
    alive = lifetimes(allocated)
    buffers = [item for item in allocated.buffers if item.level == Level.SCRATCHPAD]
    for number, first in enumerate(buffers):
        assert first.address % ECP5.lanes == 0
        assert first.address + first.size <= ECP5.scratchpad_words
        for second in buffers[number + 1 :]:
            apart = (
                first.address + first.size <= second.address
                or second.address + second.size <= first.address
            )
            assert apart or not alive[first.name].overlaps(alive[second.name])
    ends = [item.address + item.size for item in buffers]
    assert max(ends) < sum(item.size for item in buffers), "nothing shares memory"


def test_constants_lie_apart(layer):
    for window in range(3):
        buffers = [
            buffer
            for buffer in allocate(layer, ECP5).buffers
            if buffer.level == Level.DRAM and buffer.window == window
        ]
        end = 0
        for buffer in buffers:
            assert buffer.address == end
            assert buffer.address * 8 % ECP5.axi_bytes == 0
            end = buffer.address + buffer.rows * buffer.pitch


def test_scratchpad_that_is_too_small(layer):
    small = override(ECP5, {"scratchpad.bytes": 4096})
    with pytest.raises(CompileError, match=r"needs \d+ bytes of scratchpad; the limit is 4096"):
        allocate(layer, small)


def finished_before(graph):
    """Return for each operation and unit how many of the unit's operations are surely done."""
    operations = graph.operations()
    place, counts = [], dict.fromkeys(UNITS, 0)
    for operation in operations:
        place.append(counts[operation.unit])
        counts[operation.unit] += 1
    signals = defaultdict(list)
    started = {unit: dict.fromkeys(UNITS, 0) for unit in UNITS}
    known = []
    for number, operation in enumerate(operations):
        clock = dict(started[operation.unit])
        if operation.unit != Unit.ARRAY:
            clock[operation.unit] = place[number]
        for semaphore in (bit for bit in range(32) if operation.wait >> bit & 1):
            sender = signals[semaphore].pop(0)
            clock = {unit: max(clock[unit], known[sender][unit]) for unit in UNITS}
            unit = operations[sender].unit
            clock[unit] = max(clock[unit], place[sender] + 1)
        for semaphore in (bit for bit in range(32) if operation.signal >> bit & 1):
            signals[semaphore].append(number)
        started[operation.unit] = clock
        known.append(clock)
    assert not any(signals.values()), "a signal that nobody waits for"
    return known, place


@pytest.mark.parametrize("tokens", [1, 7, 19])
def test_semaphores_order_every_conflict(quantised, tokens):
    model, layers = quantised
    for keep in (True, False):
        tiling = replace(TILING, keep_residual=keep)
        graph = run_passes(Shape.of(model.config, tokens), layers, tiling, ECP5)
        operations = graph.operations()
        known, place = finished_before(graph)
        for conflict in dependencies(graph):
            earlier, later = conflict.earlier.operation, conflict.later.operation
            unit = operations[earlier].unit
            if unit == operations[later].unit and not overtakes(conflict):
                continue
            assert known[later][unit] > place[earlier], (operations[earlier], operations[later])


def test_edges_that_others_imply():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    for _ in range(200):
        pairs = [(choose.randrange(20), choose.randrange(20)) for _ in range(choose.randrange(30))]
        edges = {(min(pair), max(pair) + 1) for pair in pairs}
        kept = irredundant(edges)
        assert set(kept) <= edges
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in zip(kept, kept[1:], strict=False))
        for earlier, later in edges:
            assert any(first >= earlier and second <= later for first, second in kept)


def test_too_few_semaphores(layer):
    few = override(ECP5, {"controller.semaphores": 4})
    with pytest.raises(CompileError, match="controller.semaphores is 4"):
        synchronise(allocate(layer, ECP5), few)


def test_prediction_needs_every_signal(layer):
    graph = synchronise(allocate(layer, ECP5), ECP5)
    assert predict(graph, ECP5).cycles >= max(predict(graph, ECP5).busy.values())
    mute = tuple(replace(operation, signal=0) for operation in graph.operations())
    with pytest.raises(ValueError, match="never signalled"):
        predict(replace(graph, body=mute), ECP5)


def test_every_pass_has_a_text(quantised):
    model, layers = quantised
    seen = {}

    def check(name, graph):
        seen[name] = graph
        assert from_text(to_text(graph)) == graph

    run_passes(Shape.of(model.config, 9), layers, TILING, ECP5, on_pass=check)
    assert list(seen) == ["lower", "expand", "schedule", "allocate", "synchronise"]


def test_search_names_what_does_not_fit(quantised):
    model, layers = quantised
    small = override(preset("tiny"), {"scratchpad.bytes": 4096})
    with pytest.raises(CompileError, match=r"^\d\.\w+: needs at least \d+ bytes of .* 4096$"):
        choose_tiling(Shape.of(model.config, 16), layers, small)


def test_search_finds_no_worse_than_it_starts_with(quantised):
    model, layers = quantised
    shape = Shape(19, model.config.hidden, model.config.heads, 64, Activation.GELU)
    choice = choose_tiling(shape, layers[:1], ECP5)
    assert choice.candidates > 5
    assert choice.cost.excess == 0


@pytest.mark.parametrize(("fits", "best"), [(64, 0), (40, 32), (16, 16)])
def test_search_takes_as_few_passes_as_fit(monkeypatch, quantised, fits, best):
    """Cycles grow with the passes, bytes with their tokens."""

    def cost(_, tiling):
        tokens = tiling.tokens or 64
        excess = 1 if tiling.keep_residual else max(0, tokens - fits)
        return Cost(excess, 1000 // tokens)

    monkeypatch.setattr(Evaluator, "cost", cost)
    monkeypatch.setattr(Evaluator, "bound", lambda *_: 0)
    _, layers = quantised
    shape = Shape(64, 32, 2, 64, Activation.GELU)
    choice = choose_tiling(shape, layers, ECP5)
    assert not choice.tiling.keep_residual
    assert choice.tiling.tokens == best
    assert choice.cost.excess == 0


def test_schedule_keeps_within_the_scratchpad():
    """Loads run ahead only where there is room."""
    config = override(ECP5, {"scratchpad.bytes": 4096})
    rows = 32
    source = Buffer("source", Level.DRAM, "int16", 8 * rows, 64, 16)
    staging = Buffer("staging", Level.SCRATCHPAD, "int16", rows, 16, 4, depth=8)
    narrow = Buffer("narrow", Level.SCRATCHPAD, "int8", rows, 16, 2, depth=1)
    scales = Buffer("scales", Level.SCRATCHPAD, "scale", 1, rows, rows, depth=1)
    first = Affine.variable("i") * rows
    body = (
        load(part(source, first, rows=rows, columns=16), part(staging), "x"),
        quantise(part(staging), (part(narrow), part(scales)), 11, "x"),
    )
    loop = Parallel("i", 0, 8 * rows, rows, (staging, narrow, scales), body)
    graph = expand(Graph("pieces", (source,), (loop,)))
    assert peak(schedule(graph, ECP5, 1 << 20), config)[0] > 4096
    assert peak(schedule(graph, config, 1 << 20), config)[0] <= 4096


def product(m, n, k, y_pitch):
    """Return a graph of one product with operands in the scratchpad."""
    sizes = {"a": (m, k), "b": (n, k)}
    operands = {
        name: Buffer(name, Level.SCRATCHPAD, "int8", rows, columns, 65)
        for name, (rows, columns) in sizes.items()
    }
    scales = {
        name: Buffer(f"{name}.scales", Level.SCRATCHPAD, "scale", 1, rows, rows)
        for name, (rows, _) in sizes.items()
    }
    y = Buffer("y", Level.SCRATCHPAD, "int16", m, n, y_pitch)
    a, b = ((part(operands[name]), part(scales[name])) for name in "ab")
    node = matmul(a, b, part(y), 9, "product", part(y))
    return Graph("product", (*operands.values(), *scales.values(), y), (node,))


@pytest.mark.parametrize(
    ("m", "n", "k", "y_pitch", "flow", "swapped"),
    [
        (32, 64, 64, 65, Flow.DENSE_OUTPUT_STATIONARY, False),
        (33, 64, 64, 64, Flow.DENSE_WEIGHT_STATIONARY, False),
        (64, 33, 64, 65, Flow.DENSE_WEIGHT_STATIONARY, True),
        (64, 33, 64, 64, Flow.DENSE_OUTPUT_STATIONARY, False),
        (64, 64, 33, 65, Flow.DENSE_OUTPUT_STATIONARY, False),
    ],
)
def test_ragged_sizes_stream(m, n, k, y_pitch, flow, swapped):
    """Rows and columns of an output stationary tile are what the array has; K is any number."""
    graph = product(m, n, k, y_pitch)
    chosen = choose_flows(graph, ECP5).operations()[0]
    assert Flow(chosen.attributes.get("flow", 0)) is flow
    assert chosen.attributes.get("y_transposed", 0) == swapped
    names = {role: item.buffer for role, item in chosen.reads.items()}
    assert names["a"] == ("b" if swapped else "a")
    assert names["row_scale"] == f"{names['a']}.scales"
    assert names["residual"] == "y"


def test_no_more_rows_stream_than_there_are_sums_for():
    graph = product(ECP5.array.partial_rows + 1, 64, 64, 64)
    assert choose_flows(graph, ECP5) == graph
    without = override(ECP5, {"array.partial_rows": 0})
    graph = product(33, 64, 64, 64)
    assert choose_flows(graph, without) == graph


def strangers(graph, config):
    """Return the reads of an allocated graph that find what another buffer left in their place."""
    buffers = graph.by_name()
    owner = np.full(config.scratchpad_words, -1)
    numbers = {name: number for number, name in enumerate(buffers)}

    def words(item):
        buffer = buffers[item.buffer]
        found = region(item, buffer)
        rows = np.arange(found.first_row, found.end_row)[:, np.newaxis] * buffer.pitch
        return buffer.address + (rows + np.arange(found.first_word, found.end_word)).ravel()

    def local(slices):
        return [item for item in slices if buffers[item.buffer].level == Level.SCRATCHPAD]

    wrong = []
    for operation in graph.operations():
        for item in local(operation.reads.values()):
            if np.any(owner[words(item)] != numbers[item.buffer]):
                wrong.append(str(item))
        for item in local(operation.writes.values()):
            owner[words(item)] = numbers[item.buffer]
    return wrong


@pytest.mark.parametrize("critical_path", [False, True])
def test_program_follows_the_clock_that_addresses_are_given_by(quantised, critical_path):
    model, layers = quantised
    shape = Shape.of(model.config, 48)
    for size, chunk, rows in itertools.product((8, 12, 20), (16,), (4, 8)):
        config = override(preset("tiny"), {"scratchpad.bytes": 32 << 10})
        tiling = replace(TILING, chunk=chunk, rows=rows, critical_path=critical_path)
        graph = choose_flows(expand(lower(shape, layers, tiling, config)), config)
        share = size / 32
        plan = schedule(graph, config, 64, share, critical_path=critical_path)
        starts = [operation.start for operation in plan.operations()]
        assert starts == sorted(starts), (size, chunk, rows)
        try:
            allocated = allocate(plan, config)
        except CompileError:
            continue
        assert not strangers(allocated, config), (size, chunk, rows)
