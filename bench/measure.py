"""From a program and what a device gave back to the figures of a run."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..hw.isa import UNIT_OF, Opcode
from ..sw.disassembler import format_instruction
from ..sw.instruction import Instruction, decode_all
from ..sw.program import Program
from ..verif.devices.library import Event as TraceEvent
from .execute import Execution
from .operators import buffers, operators
from .record import Case, Embedding, Event, Product

UNIT_NAMES = ("load", "array", "vector", "store", "butterfly")


def processing_elements(program: Program) -> int:
    """Return the multiply-adds that the array of the program's machine can do a cycle."""
    return program.config.array.rows * program.config.array.columns


def ideal_cycles(program: Program) -> int:
    """Return the cycles that the multiply-adds of `program` take on a full array.

    Where the compiler tells those of the model, they count, so that what the machine does twice
    (probabilities in two planes) lowers the utilisation.
    """
    if "ideal_cycles" in program.metadata:
        return round(program.metadata["ideal_cycles"])
    work = sum(_multiply_adds(instruction) for instruction in decode_all(program.code))
    return -(-work // processing_elements(program))


def _multiply_adds(instruction: Instruction) -> int:
    if instruction.opcode is not Opcode.MATMUL:
        return 0
    return instruction["m"] * instruction["n"] * instruction["k"]


def compulsory_bytes(program: Program) -> int:
    """Return the bytes of constants, inputs and outputs, each once."""
    tensors = (*program.inputs, *program.outputs)
    elements = sum(tensor.rows * tensor.row_bytes for tensor in tensors)
    return elements + sum(segment.size for segment in program.segments)


def roofline_cycles(program: Program) -> int:
    """Return the cycles of the slower of multiplying and moving the compulsory bytes."""
    return max(ideal_cycles(program), -(-compulsory_bytes(program) // program.config.axi_bytes))


def listing(program: Program, labels: Sequence[str]) -> list[str]:
    """Return a line of text for each instruction, with its label as a comment."""
    lines = map(format_instruction, decode_all(program.code))
    return [
        f"{line}  # {label}" if label else line for line, label in zip(lines, labels, strict=True)
    ]


def timeline(
    program: Program, trace: Iterable[TraceEvent], labels: Sequence[str], cycles: int
) -> list[Event]:
    """Return the events of a run of `cycles` cycles, counted from its start."""
    instructions = decode_all(program.code)
    seen = list(trace)
    start = max((event.done for event in seen), default=0) - cycles
    return [
        Event(
            unit=event.unit.name.lower(),
            opcode=instructions[event.index].opcode.name,
            index=event.index,
            label=labels[event.index],
            accept=max(0, event.accepted - start),
            done=event.done - start,
        )
        for event in seen
    ]


def products(program: Program, events: Iterable[Event]) -> list[Product]:
    """Return the matrix products of a run, added up by label, in the order of their start."""
    instructions = decode_all(program.code)
    elements = processing_elements(program)
    cycles: dict[str, int] = {}
    work: dict[str, int] = {}
    shapes: dict[str, list[str]] = {}
    free = 0
    matmuls = (event for event in events if event.opcode == Opcode.MATMUL.name)
    for event in sorted(matmuls, key=lambda event: event.done):
        instruction = instructions[event.index]
        label = event.label or "matmul"
        cycles[label] = cycles.get(label, 0) + event.done - max(free, event.accept)
        work[label] = work.get(label, 0) + _multiply_adds(instruction)
        shapes.setdefault(label, []).append(_shape(instruction))
        free = event.done
    return [
        Product(label, _summary(shapes[label]), cycles[label], -(-work[label] // elements))
        for label in cycles
    ]


def _shape(instruction: Instruction) -> str:
    return f"{instruction['m']} × {instruction['n']} × {instruction['k']}"


def _summary(shapes: Sequence[str]) -> str:
    kinds = list(dict.fromkeys(shapes))
    more = " and others" if len(kinds) > 1 else ""
    return f"{len(shapes)} of {kinds[0]}{more}"


def busy(counters: Mapping[str, int]) -> dict[str, int]:
    """Return the cycles in which each unit was busy."""
    return {unit: counters[f"{unit}_busy"] for unit in UNIT_NAMES}


def mismatches(first: Mapping[str, NDArray], second: Mapping[str, NDArray]) -> tuple[int, int]:
    """Return how many elements of two runs differ, and how many were compared.

    Raises
    ------
    ValueError
        If the runs have other outputs or shapes.
    """
    if {name: value.shape for name, value in first.items()} != {
        name: value.shape for name, value in second.items()
    }:
        raise ValueError("the runs have other outputs")
    different = sum(int(np.count_nonzero(first[name] != second[name])) for name in first)
    return different, sum(value.size for value in first.values())


def row_cosines(values: NDArray[np.floating], reference: NDArray[np.floating]) -> list[float]:
    """Return the cosine between each row of `values` and of `reference`, [rows, channels]."""
    dots = np.sum(values * reference, axis=1)
    norms = np.linalg.norm(values, axis=1) * np.linalg.norm(reference, axis=1)
    return [float(cosine) for cosine in dots / np.maximum(norms, 1e-30)]


def measure(
    name: str,
    program: Program,
    execution: Execution,
    *,
    golden: Execution | None = None,
    tokens: Sequence[str] = (),
    reference: NDArray[np.floating] | None = None,
    embeddings: Sequence[Embedding] = (),
    seconds: float = 0.0,
) -> Case:
    """Return the figures of one run.

    Parameters
    ----------
    name : str
        What tells the input from others.
    program : Program
    execution : Execution
        What the device gave.
    golden : Execution, optional
        What the golden model gave, to compare every element with.
    tokens : sequence of str
        What the rows of the result stand for.
    reference : float [rows, channels], optional
        What the float model gives for the program's first output.
    embeddings : sequence of Embedding
    seconds : float
        Wall-clock time of the run.
    """
    labels = instruction_labels(program)
    cycles = execution.counters["cycles"]
    events = timeline(program, execution.trace, labels, cycles)
    different, elements = None, 0
    if golden is not None:
        different, elements = mismatches(execution.outputs, golden.outputs)
    cosine: list[float] = []
    error: list[list[float]] = []
    if reference is not None:
        tensor = program.outputs[0]
        values = tensor.to_float(execution.outputs[tensor.name])
        cosine = row_cosines(values, reference)
        error = np.round(values - reference, 5).tolist()
    return Case(
        name=name,
        tokens=list(tokens),
        cycles=cycles,
        ideal_cycles=ideal_cycles(program),
        predicted_cycles=int(program.metadata.get("predicted_cycles", 0)),
        roofline_cycles=roofline_cycles(program),
        busy=busy(execution.counters),
        array_active=execution.counters["array_active"],
        bytes_read=execution.counters["dram_read_bytes"],
        bytes_written=execution.counters["dram_written_bytes"],
        compulsory_bytes=compulsory_bytes(program),
        mismatches=different,
        elements=elements,
        cosine=cosine,
        error=error,
        seconds=round(seconds, 3),
        events=events,
        products=products(program, events),
        listing=listing(program, labels),
        embeddings=list(embeddings),
        operators=operators(program.metadata, instruction_units(program), events),
        buffers=buffers(program.metadata, events),
        predicted=list(program.metadata.get("predicted_spans", ())),
        counters=dict(execution.counters),
    )


def instruction_units(program: Program) -> list[str]:
    """Return the unit of each instruction."""
    return [UNIT_OF[item.opcode].name.lower() for item in decode_all(program.code)]


def instruction_labels(program: Program) -> list[str]:
    """Return the operation of the graph that each instruction belongs to, or empty texts."""
    labels = list(program.metadata.get("labels", ()))
    return labels + [""] * (program.instructions - len(labels))
