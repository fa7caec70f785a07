"""Each operator of a run: what was foretold, what was measured, and what crossed the bus."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from .record import Buffer, Case, Event, Operator


def work_spans(events: Sequence[Event]) -> list[tuple[int, int]]:
    """Return when each event of one unit, in order, was worked on alone: from its acceptance, or
    the end of the one before where the unit took it ahead, to its end."""
    spans = []
    free = 0
    for event in events:
        spans.append((min(event.done, max(event.accept, free)), event.done))
        free = event.done
    return spans


def measured_spans(events: Sequence[Event]) -> dict[int, tuple[int, int]]:
    """Return the span of each instruction in which its unit worked on it alone."""
    spans: dict[int, tuple[int, int]] = {}
    for unit in dict.fromkeys(event.unit for event in events):
        mine = sorted((event for event in events if event.unit == unit), key=lambda e: e.done)
        spans |= zip((event.index for event in mine), work_spans(mine), strict=True)
    return spans


def operators(
    metadata: Mapping[str, Any], units: Sequence[str], events: Sequence[Event]
) -> list[Operator]:
    """Return predicted and measured cycles of each operator on each unit, in program order.

    Parameters
    ----------
    metadata : mapping
        Of a program with ``predicted_spans``; see `sw.profile`.
    units : sequence of str
        The unit of each instruction.
    events : sequence of Event
        Of a run; empty if nothing was measured.
    """
    predicted = metadata.get("predicted_spans", ())
    # A program without a profile may have labels all the same.
    labels = metadata.get("labels", ()) if predicted else ()
    traffic = {(item["label"], item["unit"]): item for item in metadata.get("traffic", ())}
    measured = measured_spans(events)
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for number, ((start, end), label) in enumerate(zip(predicted, labels, strict=True)):
        entry = sums[label, units[number]]
        entry[0] += 1
        entry[1] += end - start
        if number in measured:
            entry[2] += measured[number][1] - measured[number][0]
    nothing = {"moved": 0, "compulsory": 0}
    found = []
    for (label, unit), (count, cycles, taken) in sums.items():
        known = traffic.get((label, unit), nothing)
        figures = known["moved"], known["compulsory"]
        found.append(Operator(label, unit, count, cycles, taken, *figures))
    return found


def buffers(metadata: Mapping[str, Any], events: Sequence[Event]) -> list[Buffer]:
    """Return when each buffer of the scratchpad was in use: measured, or predicted without events.

    Parameters
    ----------
    metadata : mapping
        Of a program with ``buffers``; see `sw.profile`.
    events : sequence of Event
    """
    spans = measured_spans(events) or dict(enumerate(metadata.get("predicted_spans", ())))
    return [
        Buffer(
            item["name"],
            item["address"],
            item["bytes"],
            spans[item["first"]][0],
            spans[item["last"]][1],
        )
        for item in metadata.get("buffers", ())
    ]


def occupancy(items: Sequence[Buffer]) -> list[tuple[int, int]]:
    """Return the bytes in use from each cycle on at which they change."""
    changes: dict[int, int] = defaultdict(int)
    for item in items:
        changes[item.start] += item.bytes
        changes[item.end] -= item.bytes
    points = []
    total = 0
    for cycle in sorted(changes):
        total += changes[cycle]
        points.append((cycle, total))
    return points


def boundary_gaps(case: Case) -> list[int]:
    """Return for how many cycles the array had nothing to do between one layer and the next."""
    spans = measured_spans([event for event in case.events if event.unit == "array"])
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for event in case.events:
        if event.unit == "array":
            layer = event.label.partition(".")[0]
            start, end = spans[event.index]
            first[layer] = min(first.get(layer, start), start)
            last[layer] = max(last.get(layer, end), end)
    layers = sorted(first, key=first.__getitem__)
    return [max(0, first[after] - last[before]) for before, after in pairwise(layers)]


def by_name(items: Sequence[Operator]) -> list[Operator]:
    """Return `items` added up over layers."""
    sums: dict[tuple[str, str], Operator] = {}
    for item in items:
        name = item.label.partition(".")[2] or item.label
        before = sums.get((name, item.unit))
        sums[name, item.unit] = Operator(
            name,
            item.unit,
            item.instructions + (before.instructions if before else 0),
            item.predicted + (before.predicted if before else 0),
            item.measured + (before.measured if before else 0),
            moved=item.moved + (before.moved if before else 0),
            compulsory=item.compulsory + (before.compulsory if before else 0),
        )
    return list(sums.values())
