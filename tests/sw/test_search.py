"""The search: budgets, bounds, what is remembered; and programs without fusion or overlap."""

import itertools
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from ageha.bench.optimum import all_tilings, measure_optimum, optimum_cases
from ageha.hw.config import preset
from ageha.sw import search_cache
from ageha.sw.calibrate import calibrate, calibration_tokens
from ageha.sw.compiler import compile_encoder, quantise_layers
from ageha.sw.driver import run_program
from ageha.sw.fabnet_compiler import compile_blocks
from ageha.sw.frontend.synthetic import synthetic_bert
from ageha.sw.frontend.synthetic_fabnet import synthetic_block
from ageha.sw.passes.bound import least_work
from ageha.sw.passes.evaluate import INSTRUCTION_CYCLES, Evaluator
from ageha.sw.passes.explore import UNSEEN, Budget, Cost, Explorer
from ageha.sw.passes.optimisations import Optimisations
from ageha.sw.passes.search import choose_tiling, first_tiling, search_options
from ageha.sw.passes.tiling import Shape, Tiling
from ageha.sw.reference import embed
from ageha.verif.devices.golden import GoldenDevice

ECP5 = preset("ecp5")
SHAPE_MODEL = synthetic_bert(hidden=32, heads=4, intermediate=64, layers=2)
FIXED = Budget(candidates=1, reuse=False)


@pytest.fixture(scope="module")
def layers():
    ranges = calibrate(SHAPE_MODEL, (0, 1), calibration_tokens(SHAPE_MODEL))
    return quantise_layers(SHAPE_MODEL, (0, 1), ranges)


@pytest.fixture
def question(layers):
    return Shape.of(SHAPE_MODEL.config, 11), layers, ECP5


def explorer(budget, bound=0, enough=0):
    """An explorer of tilings that cost their rows, and do not fit with more than 60."""
    seen = []

    def evaluate(tiling):
        seen.append(tiling)
        return Cost(max(0, tiling.rows - 60), tiling.rows)

    return Explorer(evaluate, lambda _: bound, budget, enough), seen


def tilings(*rows):
    return [Tiling(1, 8, count, 8, 8) for count in rows]


def test_budget_counts_from_the_first_that_fits():
    found, seen = explorer(Budget(candidates=2))
    costs = [found.cost(tiling) for tiling in tilings(90, 80, 70, 50, 40, 30)]
    assert costs[:4] == [Cost(30, 90), Cost(20, 80), Cost(10, 70), Cost(0, 50)]
    assert costs[4:] == [UNSEEN, UNSEEN] and len(seen) == 4
    assert found.cost(tilings(90)[0]) == Cost(30, 90)
    assert found.ranking() == tilings(50) and not found.is_late


def test_seconds_end_the_search_and_it_says_so():
    found, seen = explorer(Budget(seconds=0))
    assert found.cost(tilings(70)[0]).excess == 10
    assert found.cost(tilings(50)[0]) == Cost(0, 50)
    assert found.cost(tilings(40)[0]) == UNSEEN
    assert found.is_late and len(seen) == 2


def test_what_cannot_be_better_is_left_out():
    found, seen = explorer(Budget(), bound=50)
    assert found.cost(tilings(50)[0]) == Cost(0, 50)
    assert found.cost(tilings(40)[0]) == UNSEEN
    assert found.pruned == set(tilings(40)) and len(seen) == 1


def test_nothing_is_looked_at_once_one_is_good_enough():
    found, seen = explorer(Budget(), enough=50)
    costs = [found.cost(tiling) for tiling in tilings(51, 50, 40, 51)]
    assert costs == [Cost(0, 51), Cost(0, 50), UNSEEN, Cost(0, 51)]
    assert found.best == Cost(0, 50) and len(seen) == 2 and not found.pruned


def test_bound_is_the_work_of_the_straight_graph(question):
    """The nested graph tells the work of every unit exactly, and no cost lies below it."""
    shape, layers, config = question
    evaluator = Evaluator(shape, layers, config)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    space = list(itertools.islice(all_tilings(shape, config), 20_000))
    for tiling in random.Random(seed).sample(space, 8):
        straight = least_work(evaluator.straight(tiling), config)
        bound = max(straight.units.values()) + INSTRUCTION_CYCLES * straight.instructions
        assert evaluator.bound(tiling) == bound
        cost = evaluator.cost(tiling)
        assert cost.excess or cost.cycles >= bound


def test_more_candidates_are_no_worse_than_the_fixed_rule(question):
    shape, _, config = question
    fixed = choose_tiling(*question, budget=FIXED)
    assert fixed.tiling == fixed.heuristic == first_tiling(search_options(shape, config))
    assert fixed.gain == 1.0
    found = choose_tiling(*question)
    assert found.candidates <= Budget().candidates
    assert found.heuristic == fixed.heuristic and found.gain >= 1.0
    assert choose_tiling(*question) == found


def test_a_choice_is_remembered_by_content(monkeypatch, tmp_path, question):
    monkeypatch.setenv("AGEHA_BUILD", str(tmp_path))
    calls = []

    def search(*arguments):
        calls.append(arguments)
        return choose_tiling(*arguments)

    monkeypatch.setattr(search_cache, "choose_tiling", search)
    budget = Budget(candidates=2)
    first = search_cache.remembered_tiling(*question, budget=budget)
    assert search_cache.remembered_tiling(*question, budget=budget) == first
    assert len(calls) == 1
    longer = replace(question[0], sequence=12, lengths=(12,))
    search_cache.remembered_tiling(longer, *question[1:], budget=budget)
    search_cache.remembered_tiling(*question, budget=Budget(candidates=3))
    assert len(calls) == 3
    late = Budget(candidates=4, seconds=0)
    assert search_cache.remembered_tiling(*question, budget=late).is_early
    assert search_cache.remembered_tiling(*question, budget=late).is_early
    assert len(calls) == 5


def test_a_folder_that_cannot_be_written_costs_the_memory_only(monkeypatch, tmp_path, question):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AGEHA_BUILD", str(tmp_path / "file"))
    assert search_cache.remembered_tiling(*question, budget=FIXED).candidates == 1


def test_equal_inputs_give_equal_bytes():
    """In two processes whose sets and dictionaries of texts have other orders."""
    script = (
        "import hashlib; from ageha.hw.config import preset; "
        "from ageha.sw.compiler import compile_encoder; "
        "from ageha.sw.frontend.synthetic import synthetic_bert; "
        "from ageha.sw.passes.explore import Budget; "
        "program = compile_encoder(synthetic_bert(layers=2), preset('ecp5'), 13, (0, 1), "
        "budget=Budget(candidates=6, reuse=False)); "
        "print(hashlib.sha256(program.to_bytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("norm_first", [False, True])
def test_programs_without_fusion_or_overlap_compute_the_same(norm_first):
    model = synthetic_bert(layers=2, norm_first=norm_first)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    x = embed(model, np.random.default_rng(seed).integers(0, model.config.vocabulary, 19))
    programs = [
        compile_encoder(model, ECP5, 19, (0, 1), optimisations=each, budget=FIXED)
        for each in (
            Optimisations(),
            Optimisations(overlap=False),
            Optimisations(fuse=False),
            Optimisations(fuse=False, overlap=False),
        )
    ]
    outputs = []
    for program in programs:
        device = GoldenDevice(ECP5, seed=seed)
        inputs = {"input": program.inputs[0].from_float(x)}
        outputs.append(run_program(device, program, inputs).outputs["output"])
    for output in outputs[1:]:
        np.testing.assert_array_equal(output, outputs[0])
    cycles = [program.metadata["predicted_cycles"] for program in programs]
    assert cycles[0] < cycles[1] < cycles[3] and cycles[0] < cycles[2] < cycles[3]
    moved = [
        program.metadata["loaded_bytes"] + program.metadata["stored_bytes"] for program in programs
    ]
    assert moved[0] == moved[1] < moved[2] == moved[3]


@pytest.mark.parametrize("machine", [ECP5, preset("base")], ids=["ecp5", "base"])
@pytest.mark.parametrize(("attention", "dense"), [(True, False), (False, True)])
def test_butterflies_without_fusion_compute_the_same(attention, dense, machine):
    block = synthetic_block(attention, 32, 2, 64, dense=dense, seed=1)
    x = np.random.default_rng(1).normal(size=(1, 16, 32))
    outputs = []
    for each in (Optimisations(), Optimisations(fuse=False, overlap=False)):
        program = compile_blocks([block], machine, x, budget=FIXED, optimisations=each)
        inputs = {"input": program.inputs[0].from_float(x[0])}
        outputs.append(run_program(GoldenDevice(machine), program, inputs).outputs["output"])
    np.testing.assert_array_equal(*outputs)


@pytest.mark.slow
@pytest.mark.parametrize("case", list(optimum_cases()), ids=lambda case: case.name)
def test_choice_is_near_the_best_of_all(case):
    assert measure_optimum(case)["distance"] <= 0.1
