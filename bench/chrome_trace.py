"""A run as a trace file for Perfetto (ui.perfetto.dev) and chrome://tracing.

Format: "Trace Event Format" of the Catapult project. A cycle is shown as a microsecond.
"""

import json
from collections.abc import Iterator
from typing import Any

from ..hw.isa import UNIT_OF, Opcode
from .measure import UNIT_NAMES
from .operators import measured_spans, occupancy
from .record import Case, RunRecord

MEASURED, PREDICTED = "measured", "predicted"


def chrome_trace(record: RunRecord) -> str:
    """Return the cases of `record` as the text of a trace file.

    Each case is a process with a thread a unit and a counter for the scratchpad; what the compiler
    foretold is a second process. Instructions that were waiting in a unit for the one before are
    shown from when that one ended.
    """
    events: list[dict[str, Any]] = []
    for number, case in enumerate(record.cases):
        measured = [*_measured(case)]
        for offset, (kind, lines) in enumerate(
            ((MEASURED, measured), (PREDICTED, [*_predicted(case)]))
        ):
            if lines:
                process = 2 * number + offset
                events += _names(process, f"{case.name}, {kind}")
                events += [{**line, "pid": process} for line in lines]
        for cycle, used in occupancy(case.buffers):
            process = 2 * number + (not measured)
            counter = {"name": "scratchpad", "ph": "C", "ts": cycle, "args": {"bytes": used}}
            events.append({**counter, "pid": process})
    other = {"title": record.title, "preset": record.preset, "unit": "1 us is 1 cycle"}
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns", "otherData": other}) + "\n"


def _names(process: int, name: str) -> Iterator[dict[str, Any]]:
    yield {"name": "process_name", "ph": "M", "pid": process, "args": {"name": name}}
    for thread, unit in enumerate(UNIT_NAMES):
        for key, value in (
            ("thread_name", {"name": unit}),
            ("thread_sort_index", {"sort_index": thread}),
        ):
            yield {"name": key, "ph": "M", "pid": process, "tid": thread, "args": value}


def _measured(case: Case) -> Iterator[dict[str, Any]]:
    spans = measured_spans(case.events)
    for event in case.events:
        if event.unit in UNIT_NAMES:
            line = _complete(case.listing[event.index], event.index, spans[event.index])
            yield {**line, "args": {**line["args"], "accepted": event.accept}}


def _predicted(case: Case) -> Iterator[dict[str, Any]]:
    for number, (start, end) in enumerate(case.predicted):
        yield _complete(case.listing[number], number, (start, end))


def _complete(line: str, number: int, span: tuple[int, int]) -> dict[str, Any]:
    """Return instruction `number`, `line` of the listing, as a slice of its unit's thread."""
    instruction, _, label = line.partition("  # ")
    opcode = instruction.split()[0]
    unit = UNIT_OF[Opcode[opcode]].name.lower()
    return {
        "name": label or opcode,
        "cat": opcode,
        "ph": "X",
        "ts": span[0],
        "dur": span[1] - span[0],
        "tid": UNIT_NAMES.index(unit),
        "args": {"index": number, "instruction": instruction},
    }
