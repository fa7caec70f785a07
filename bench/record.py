"""What one run left behind: enough to print its table and to draw its report again."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FORMAT = 1
"""Version of the file that `RunRecord.to_json` writes."""


class RecordError(ValueError):
    """A text is no run record of this version."""


@dataclass(frozen=True)
class Event:
    """One instruction on one unit.

    Parameters
    ----------
    unit, opcode : str
        Who executed what.
    index : int
        Place of the instruction in the program.
    label : str
        The operation of the graph that it belongs to, or empty.
    accept, done : int
        Cycles at which the unit took the instruction and finished it, from the start.
    """

    unit: str
    opcode: str
    index: int
    label: str
    accept: int
    done: int


@dataclass(frozen=True)
class Product:
    """The matrix products of one operation of the graph.

    Parameters
    ----------
    label : str
        The operation.
    shape : str
        ``m x n x k`` of one product, and how many there are.
    cycles : int
        Cycles from the array's taking them, or ending the work before, until they were done.
    ideal_cycles : int
        Multiply-adds over processing elements.
    """

    label: str
    shape: str
    cycles: int
    ideal_cycles: int

    @property
    def utilization(self) -> float:
        """Share of the cycles that multiplying alone would take."""
        return self.ideal_cycles / max(1, self.cycles)


@dataclass(frozen=True)
class Operator:
    """The instructions of one operator of the graph on one unit.

    Parameters
    ----------
    label, unit : str
    instructions : int
        How many there are.
    predicted, measured : int
        Cycles of work, by the cost model and by the trace; 0 without a trace.
    moved, compulsory : int
        Bytes that they move, and those that had to be moved once.
    """

    label: str
    unit: str
    instructions: int
    predicted: int
    measured: int
    moved: int = 0
    compulsory: int = 0


@dataclass(frozen=True)
class Buffer:
    """A buffer in the scratchpad.

    Parameters
    ----------
    name : str
    address, bytes : int
        Where it lies.
    start, end : int
        Cycles of its first and last use.
    """

    name: str
    address: int
    bytes: int
    start: int
    end: int


@dataclass(frozen=True)
class Embedding:
    """The embedding of one sentence.

    Parameters
    ----------
    text : str
    tokens : int
    cosine : float
        Between the machine's embedding and the float model's.
    """

    text: str
    tokens: int
    cosine: float


@dataclass(frozen=True)
class Case:
    """One program on one input.

    Parameters
    ----------
    name : str
        The sentence, or whatever tells this input from others.
    tokens : sequence of str
        What the rows of the result stand for; may be empty.
    cycles, ideal_cycles : int
        Measured, and multiply-adds over processing elements.
    predicted_cycles : int
        What the compiler foretold; 0 if nothing.
    roofline_cycles : int
        The larger of `ideal_cycles` and `compulsory_bytes` at one beat a cycle.
    busy : mapping of str to int
        Cycles in which each unit was busy.
    array_active : int
        Cycles in which the array multiplied.
    bytes_read, bytes_written : int
        DRAM traffic.
    compulsory_bytes : int
        Inputs, weights and outputs, each once.
    mismatches : int or None
        Elements that differ between RTL and golden; None if only one device ran.
    elements : int
        Elements compared.
    cosine : sequence of float
        Against the float model, a row of the result; may be empty.
    error : sequence of rows of float
        The result minus the float model's; may be empty.
    seconds : float
        Wall-clock time of the simulation.
    embeddings : sequence of Embedding
        Of the sentences, where the whole model was run.
    operators : sequence of Operator
        Where the compiler foretold them.
    buffers : sequence of Buffer
        Likewise.
    predicted : sequence of pairs of int
        Cycles in which the unit of each instruction was foretold to work on it.
    counters : mapping of str to int
        All counters of the hardware; empty in records of before they were kept.
    """

    name: str
    tokens: Sequence[str]
    cycles: int
    ideal_cycles: int
    predicted_cycles: int
    roofline_cycles: int
    busy: Mapping[str, int]
    array_active: int
    bytes_read: int
    bytes_written: int
    compulsory_bytes: int
    mismatches: int | None
    elements: int
    cosine: Sequence[float]
    error: Sequence[Sequence[float]]
    seconds: float
    events: Sequence[Event]
    products: Sequence[Product]
    listing: Sequence[str]
    embeddings: Sequence[Embedding] = field(default_factory=list)
    operators: Sequence[Operator] = field(default_factory=list)
    buffers: Sequence[Buffer] = field(default_factory=list)
    predicted: Sequence[Sequence[int]] = field(default_factory=list)
    counters: Mapping[str, int] = field(default_factory=dict)

    @property
    def utilization(self) -> float:
        """Share of all cycles that multiplying alone would take; everything is included."""
        return self.ideal_cycles / max(1, self.cycles)

    @property
    def mean_cosine(self) -> float | None:
        """Mean of `cosine`, or None if nothing was compared with floats."""
        return sum(self.cosine) / len(self.cosine) if self.cosine else None


@dataclass(frozen=True)
class RunRecord:
    """All cases of one run.

    Parameters
    ----------
    title : str
        What was run.
    device : str
        ``rtl``, ``golden`` or ``both``.
    preset : str
        Name of the machine.
    parameters : mapping
        Its parameters, nested.
    memory : mapping
        Settings of the simulated memory; empty for the golden model alone.
    cases : sequence of Case
    """

    title: str
    device: str
    preset: str
    parameters: Mapping[str, Any]
    memory: Mapping[str, Any]
    cases: Sequence[Case]

    @property
    def is_equal(self) -> bool | None:
        """Whether RTL and golden agree in every element; None if only one device ran."""
        compared = [case.mismatches for case in self.cases if case.mismatches is not None]
        return not any(compared) if compared else None

    def to_json(self) -> str:
        """Return the record as text that `from_json` reads."""
        return json.dumps({"ageha_run": FORMAT, **dataclasses.asdict(self)}) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunRecord":
        """Read what `to_json` wrote.

        Raises
        ------
        RecordError
            If `text` is something else.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise RecordError(f"not a run record: {error}") from None
        if not isinstance(values, dict) or values.pop("ageha_run", None) != FORMAT:
            raise RecordError(f"not a run record of format {FORMAT}")
        try:
            cases = [_case(case) for case in values.pop("cases")]
            return cls(cases=cases, **values)
        except (KeyError, TypeError) as error:
            raise RecordError(f"not a run record: {error}") from None


PARTS = {
    "events": Event,
    "products": Product,
    "embeddings": Embedding,
    "operators": Operator,
    "buffers": Buffer,
}


def _case(values: dict[str, Any]) -> Case:
    lists: dict[str, Any] = {
        name: [kind(**item) for item in values.pop(name, ())] for name, kind in PARTS.items()
    }
    return Case(**lists, **values)
