"""Operators, buffers and traces of a run, from made-up events and from a compiled program."""

import json

import pytest

from ageha.bench.chrome_trace import chrome_trace
from ageha.bench.measure import instruction_units
from ageha.bench.operators import (
    boundary_gaps,
    buffers,
    by_name,
    measured_spans,
    occupancy,
    operators,
)
from ageha.bench.record import Buffer, Case, Event, Operator, RunRecord
from ageha.hw.config import preset
from ageha.sw.compiler import compile_encoder
from ageha.sw.frontend.synthetic import synthetic_bert

EVENTS = [
    Event("load", "LOAD", 0, "0.key", 0, 40),
    Event("array", "MATMUL", 1, "0.key", 45, 100),
    Event("array", "MATMUL", 2, "0.scores", 60, 130),
    Event("array", "MATMUL", 3, "1.key", 150, 210),
]
METADATA = {
    "labels": ["0.key", "0.key", "0.scores", "1.key"],
    "predicted_spans": [[0, 36], [44, 98], [98, 128], [150, 205]],
    "traffic": [{"label": "0.key", "unit": "load", "moved": 640, "compulsory": 600}],
    "buffers": [
        {"name": "weights", "address": 0, "bytes": 64, "first": 0, "last": 1},
        {"name": "scores", "address": 64, "bytes": 32, "first": 2, "last": 3},
    ],
}
UNITS = ["load", "array", "array", "array"]


def case(**changes):
    values = {
        "name": "made up",
        "tokens": [],
        "cycles": 220,
        "ideal_cycles": 100,
        "predicted_cycles": 210,
        "roofline_cycles": 100,
        "busy": {},
        "array_active": 0,
        "bytes_read": 640,
        "bytes_written": 0,
        "compulsory_bytes": 600,
        "mismatches": 0,
        "elements": 1,
        "cosine": [],
        "error": [],
        "seconds": 0.0,
        "events": EVENTS,
        "products": [],
        "listing": ["LOAD rows=1  # 0.key", *("MATMUL m=1  # x" for _ in range(3)), "END"],
        "operators": operators(METADATA, UNITS, EVENTS),
        "buffers": buffers(METADATA, EVENTS),
        "predicted": METADATA["predicted_spans"],
    }
    return Case(**{**values, **changes})


def test_work_counts_once():
    """An instruction that a unit takes ahead starts when the one before has ended."""
    assert measured_spans(EVENTS) == {0: (0, 40), 1: (45, 100), 2: (100, 130), 3: (150, 210)}


def test_operators_add_up_instructions():
    found = operators(METADATA, UNITS, EVENTS)
    assert found[0] == Operator("0.key", "load", 1, 36, 40, 640, 600)
    assert found[1] == Operator("0.key", "array", 1, 54, 55)
    assert by_name(found)[1] == Operator("key", "array", 2, 109, 115)
    without = operators(METADATA, UNITS, [])
    assert [item.measured for item in without] == [0, 0, 0, 0]
    assert operators({}, UNITS, EVENTS) == []


def test_buffers_live_from_their_first_use_to_their_last():
    found = buffers(METADATA, EVENTS)
    assert found == [Buffer("weights", 0, 64, 0, 100), Buffer("scores", 64, 32, 100, 210)]
    assert occupancy(found) == [(0, 64), (100, 32), (210, 0)]
    assert buffers(METADATA, [])[0] == Buffer("weights", 0, 64, 0, 98)


def test_gap_between_layers():
    assert boundary_gaps(case()) == [20]
    assert boundary_gaps(case(events=EVENTS[:3])) == []


@pytest.mark.parametrize("events", [EVENTS, []])
def test_trace_file(events):
    record = RunRecord("title", "both", "tiny", {}, {}, [case(events=events)])
    trace = json.loads(chrome_trace(record))["traceEvents"]
    names = {line["args"]["name"] for line in trace if line["name"] == "process_name"}
    assert names == {"made up, predicted"} | ({"made up, measured"} if events else set())
    slices = [line for line in trace if line["ph"] == "X"]
    assert len(slices) == (8 if events else 4)
    assert {line["name"] for line in slices} == {"0.key", "x"}
    for process in {line["pid"] for line in slices}:
        for thread in range(4):
            mine = [s for s in slices if (s["pid"], s["tid"]) == (process, thread)]
            ends = [line["ts"] + line["dur"] for line in mine]
            assert all(line["ts"] >= end for line, end in zip(mine[1:], ends, strict=False))
    counters = [line["args"]["bytes"] for line in trace if line["ph"] == "C"]
    assert counters == [64, 32, 0]


def test_compiled_program_foretells_every_instruction():
    program = compile_encoder(synthetic_bert(layers=2), preset("ecp5"), 9, (0, 1))
    metadata = json.loads(json.dumps(program.metadata))
    found = operators(metadata, instruction_units(program), [])
    assert sum(item.instructions for item in found) == program.instructions - 1
    assert sum(item.moved for item in found) == (
        metadata["loaded_bytes"] + metadata["stored_bytes"]
    )
    assert sum(item.compulsory for item in found) == metadata["compulsory_bytes"]
    areas = buffers(metadata, [])
    assert max(used for _, used in occupancy(areas)) <= program.config.scratchpad.bytes
    for place, first in enumerate(areas):
        for second in areas[place + 1 :]:
            together = first.start < second.end and second.start < first.end
            apart = (
                first.address + first.bytes <= second.address
                or second.address + second.bytes <= first.address
            )
            assert apart or not together, (first, second)
