"""BUTTERFLY nodes: how they are made, checked, counted, and turned into fields.

A node reads ``x`` (and ``x_imaginary``) and, in mode REAL, ``coefficient``; it writes ``y`` (and
``y_imaginary``) and, if it takes more than one pass, ``work`` (and ``work_imaginary``). Imaginary
parts are slices of the same buffer. The attributes are fields of the instruction; addresses,
pitches, `vectors`, `x_points` and `y_points` come from the slices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import index

from ..hw.butterfly_order import FOLDED, pass_cycles, plan_passes
from ..hw.config import AcceleratorConfig
from ..hw.isa import Axis, ButterflyMode
from .gir import Buffer, Operation, Slice
from .instruction import Value
from .phase import Phase

IMAGINARY = "_imaginary"
ROLES = {
    "x": "int16",
    "x_imaginary": "int16",
    "coefficient": "coefficient",
    "exponent": "scale",
    "y": "int16",
    "y_imaginary": "int16",
    "work": "int16",
    "work_imaginary": "int16",
    "y_exponent": "scale",
}
WORD_NUMBERS = 4
"""int16 of a word."""

START = 22
"""Cycles from the acceptance of an instruction to its first beat."""

END = {(1, False): 21, (1, True): 27, (2, False): 35, (2, True): 37}
"""Cycles from the last beat of an instruction to its end, by chained stages and whether numbers are
complex: what the chain and a last group take. The next instruction, if it is ready, works in
them."""

TURN_AROUND = {(1, False): 36, (1, True): 43, (2, False): 50, (2, True): 53}
"""Cycles from the last beat of a turn in a pass until the next pass may take it, likewise."""

PIPELINED_START, PIPELINED_END, PIPELINED_TURN_AROUND = 2, 1, 6
"""What ``butterfly.pipelined`` adds to each of them."""

FOLDED_CYCLES = 18
"""Cycles of a folded pass besides its beats."""


def is_along_tokens(operation: Operation) -> bool:
    """Return whether the transformed axis is TOKENS: points are rows."""
    return operation.attributes["axis"] == Axis.TOKENS.value


def _points(item: Slice, along_tokens: bool) -> int:
    return index(item.rows if along_tokens else item.columns)


def butterfly_fields(
    operation: Operation, place: Callable[[Slice], tuple[int, int]]
) -> dict[str, Value]:
    """Return the fields that follow from the slices; `place` gives first word and pitch."""
    along_tokens = is_along_tokens(operation)
    slices = {**operation.reads, **operation.writes}
    x, y = slices["x"], slices["y"]
    values: dict[str, Value] = {
        "vectors": index(x.columns if along_tokens else x.rows),
        "x_points": _points(x, along_tokens),
        "y_points": _points(y, along_tokens),
        "x_pitch": place(x)[1],
        "y_pitch": place(y)[1],
    }
    for role, item in slices.items():
        if not role.endswith(IMAGINARY):
            values[f"{role}_address"] = place(item)[0]
    distances = planes(slices, place)
    values["plane_words"] = next(iter(distances.values()), 0)
    return values


def planes(
    slices: Mapping[str, Slice], place: Callable[[Slice], tuple[int, int]]
) -> dict[str, int]:
    """Return the words between real and imaginary parts of each complex matrix."""
    return {
        role: place(slices[role])[0] - place(slices[role.removesuffix(IMAGINARY)])[0]
        for role in slices
        if role.endswith(IMAGINARY)
    }


def butterfly_pairs(operation: Operation) -> int:
    """Return the pairs of points that all factors of a node combine, for all its vectors."""
    attributes, x = operation.attributes, operation.reads["x"]
    vectors = index(x.columns if is_along_tokens(operation) else x.rows)
    points = attributes["blocks"] << attributes["log_points"]
    return vectors * points // 2 * attributes["stages"]


def butterfly_cycles(operation: Operation, config: AcceleratorConfig) -> int:
    """Return for how many cycles a node keeps the unit from the next one."""
    return sum(phase.cycles for phase in butterfly_phases(operation, config))


def butterfly_start(operation: Operation, config: AcceleratorConfig) -> tuple[int, int]:
    """Return the cycles before the first beat of a node, and those behind its last one."""
    pipelined = config.butterfly.pipelined
    end = END[config.butterfly.stages, _is_complex(operation)]
    return START + PIPELINED_START * pipelined, end + PIPELINED_END * pipelined


def _is_complex(operation: Operation) -> bool:
    return bool(operation.attributes["mode"] != ButterflyMode.REAL.value)


def butterfly_phases(operation: Operation, config: AcceleratorConfig) -> tuple[Phase, ...]:
    """Return the passes of a node, and what the unit waits between them.

    A pass takes a beat a cycle; the next one waits for the first turn of the one before if other
    turns do not fill that time.
    """
    attributes = operation.attributes
    along_tokens, is_complex = is_along_tokens(operation), _is_complex(operation)
    stages = config.butterfly.stages
    x, y = operation.reads["x"], operation.writes["y"]
    vectors = index(x.columns if along_tokens else x.rows)
    turns = -(-vectors // (config.butterfly.lanes * (WORD_NUMBERS if along_tokens else 1)))
    points = attributes["blocks"] << attributes["log_points"]
    number_words = 1 if along_tokens else WORD_NUMBERS
    words = -(-points // number_words)
    passes = plan_passes(
        stages,
        attributes["log_points"],
        attributes.get("log_stride", 0),
        attributes["stages"],
        decreasing=bool(attributes.get("decreasing")),
        tokens=along_tokens,
        bit_reversed=bool(attributes.get("bit_reversed")),
    )
    turn_around = TURN_AROUND[stages, is_complex]
    turn_around += PIPELINED_TURN_AROUND * config.butterfly.pipelined
    phases: list[Phase] = []
    for number, each in enumerate(passes):
        is_last = number == len(passes) - 1
        beats = pass_cycles(each, words)
        has_imaginary = "x_imaginary" in operation.reads or (is_complex and number > 0)
        read, written = words * (1 + has_imaginary), words * (1 + is_complex)
        if is_last:
            kept = -(-_points(y, along_tokens) // number_words)
            written = kept * (1 + ("y_imaginary" in operation.writes))
            read += written if attributes.get("accumulate") else 0
        if not is_complex:
            read += len(each.bits) * -(-each.groups(words) * each.beats // config.lanes)
        folded = FOLDED_CYCLES if len(each.bits) == FOLDED else 0
        work = Phase(turns * beats + folded, turns * read, turns * written)
        waiting = turn_around - (turns - 1) * beats
        if is_last or waiting <= 0:
            phases.append(work)
            continue
        # What the next pass waits for is the last group of this one and its own first.
        group = min(written, (1 << each.window_bits) * (1 + is_complex), waiting)
        phases.append(replace(work, writes=work.writes - group))
        phases.append(Phase(waiting, group, group))
    return tuple(phases)


def butterfly_error(
    operation: Operation, buffers: Mapping[str, Buffer], config: AcceleratorConfig
) -> str | None:
    """Return the rule that a node breaks, or None."""
    slices = {**operation.reads, **operation.writes}
    attributes = operation.attributes
    for role, item in slices.items():
        if role not in ROLES:
            return f"has no role {role}"
        if buffers[item.buffer].dtype != ROLES[role]:
            return f"{role} must be {ROLES[role]}, not {buffers[item.buffer].dtype}"
    is_real = attributes["mode"] == ButterflyMode.REAL.value
    if is_real != ("coefficient" in slices):
        return "must have coefficients in mode REAL and none in others"
    along_tokens = is_along_tokens(operation)
    points = attributes["blocks"] << attributes["log_points"]
    for role in ("x", "y"):
        used = _points(slices[role], along_tokens)
        if used > points:
            return f"{role} must have at most {points} points, not {used}"
    if not along_tokens:
        for role in ("x", "y"):
            pitch = buffers[slices[role].buffer].pitch
            if pitch % config.lanes != 1:
                return f"pitch {pitch} of {role} must be 1 modulo {config.lanes}"
    if "work" in slices:
        pitches = {buffers[slices[role].buffer].pitch for role in ("y", "work")}
        if len(pitches) > 1:
            return f"pitches of y and work must be equal, not {sorted(pitches)}"

    def place(item: Slice) -> tuple[int, int]:
        buffer = buffers[item.buffer]
        return index(item.row) * buffer.pitch, buffer.pitch

    if len(set(planes(slices, place).values())) > 1:
        return "imaginary parts of x, y and work must be equally far from the real ones"
    return None
