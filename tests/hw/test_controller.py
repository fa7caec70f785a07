"""The controller: golden model and RTL."""

import random

import pytest

from ageha.hw.config import override, preset
from ageha.hw.controller import Controller
from ageha.hw.isa import ErrorCode, Opcode, Unit
from ageha.verif.benches.microcode import END, RandomProgram, word
from ageha.verif.golden import controller as golden
from ageha.verif.golden.fault import Fault
from ageha.verif.simulator import run_bench

TINY = preset("tiny")
SMALL = override(
    TINY,
    {
        "controller.semaphores": 9,
        "controller.windows": 2,
        "controller.queue_depth": 2,
        "axi.burst_beats": 4,
    },
)
LOAD, MATMUL = Opcode.LOAD.value, Opcode.MATMUL.value


@pytest.mark.parametrize("config, stalls", [(TINY, 0.0), (SMALL, 0.5)])
def test_bench(config, stalls):
    parameters = {"config": config.to_dict(), "stalls": stalls}
    run_bench(Controller(config), "controller", parameters=parameters)


def ignore(unit, index, instruction):
    """Execute nothing."""


def recorder(seen):
    """Return an executor that appends unit and index to `seen`."""
    return lambda unit, index, instruction: seen.append((unit, index))


def test_golden_runs_every_instruction_in_order():
    source = random.Random(5)
    for length in (1, 2, 50):
        program = RandomProgram(source, TINY, length)
        seen = []
        controller = golden.Controller(TINY, recorder(seen), source)
        assert controller.run(program.words) == golden.Outcome(ErrorCode.NONE, 0, 0, length)
        assert sorted(index for _, index in seen) == list(range(length - 1))
        for unit in {unit for unit, _ in seen}:
            indices = [index for each, index in seen if each == unit]
            assert indices == sorted(indices)


def test_golden_order_depends_on_the_choice():
    words = [word(LOAD), word(MATMUL), END]
    orders = set()
    for seed in range(20):
        seen = []
        golden.Controller(TINY, recorder(seen), random.Random(seed)).run(words)
        orders.add(tuple(unit for unit, _ in seen))
    assert orders == {(Unit.LOAD, Unit.ARRAY), (Unit.ARRAY, Unit.LOAD)}


def test_golden_sees_a_deadlock():
    words = [word(LOAD, wait=4), word(MATMUL, wait=1, signal=4), END]
    with pytest.raises(golden.Deadlock, match="LOAD at instruction 0 for semaphores 0x4"):
        golden.Controller(TINY, ignore).run(words)
    with pytest.raises(golden.Deadlock, match="END at instruction 0 for 0x1"):
        golden.Controller(TINY, ignore).run([word(Opcode.END.value, wait=1)])


def test_golden_sees_a_full_queue():
    blocked = [word(LOAD, wait=1)] * (TINY.controller.queue_depth + 1)
    words = [*blocked, *[word(MATMUL, signal=1)] * len(blocked), END]
    with pytest.raises(golden.Deadlock):
        golden.Controller(TINY, ignore).run(words)
    assert golden.Controller(TINY, ignore).run([*words[1:], END]).code == ErrorCode.NONE


@pytest.mark.parametrize(
    "words, outcome",
    [
        ([word(LOAD), word(0), END], golden.Outcome(ErrorCode.ILLEGAL_OPCODE, 1, 0, 0)),
        ([word(LOAD), word(LOAD)], golden.Outcome(ErrorCode.PROGRAM_HEADER, 2, 12, 2)),
        (
            [word(LOAD, signal=2)] * 256 + [END],
            golden.Outcome(ErrorCode.SEMAPHORE_OVERFLOW, 255, 1, 256),
        ),
    ],
)
def test_golden_stops(words, outcome):
    assert golden.Controller(TINY, ignore).run(words) == outcome


def test_golden_stops_at_a_fault():
    def execute(unit, index, instruction):
        if index == 2:
            raise Fault(ErrorCode.WINDOW, 0x80)

    outcome = golden.Controller(TINY, execute).run([word(LOAD)] * 4 + [END])
    assert outcome == golden.Outcome(ErrorCode.WINDOW, 2, 0x80, 2)
