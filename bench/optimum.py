"""How near the search comes to the best of all tilings and orders, on layers small enough."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from ..hw.config import AcceleratorConfig, override, preset
from ..sw.calibrate import calibrate, calibration_tokens
from ..sw.compiler import quantise_layers
from ..sw.frontend.synthetic import synthetic_bert
from ..sw.passes.evaluate import Evaluator
from ..sw.passes.search import choose_tiling, first_tiling, search_options
from ..sw.passes.tiling import Shape, Tiling


@dataclass(frozen=True)
class OptimumCase:
    """A layer with random weights on a machine.

    Parameters
    ----------
    name : str
    config : AcceleratorConfig
    tokens, hidden, heads, intermediate : int
    norm_first : bool
    """

    name: str
    config: AcceleratorConfig
    tokens: int
    hidden: int
    heads: int
    intermediate: int
    norm_first: bool = False


def optimum_cases() -> Iterator[OptimumCase]:
    """Yield the cases: with room to spare, and with so little that tilings differ most."""
    tiny = preset("tiny")
    less = override(tiny, {"scratchpad.bytes": 4096})
    wider = override(preset("ecp5"), {"scratchpad.bytes": 8192})
    yield OptimumCase("4 x 4, 16 KiB, 7 tokens of 16", tiny, 7, 16, 2, 32)
    yield OptimumCase("4 x 4, 4 KiB, 7 tokens of 16", less, 7, 16, 2, 32)
    yield OptimumCase("4 x 4, 4 KiB, 7 tokens of 16, norms first", less, 7, 16, 2, 32, True)
    yield OptimumCase("8 x 8, 8 KiB, 11 tokens of 32", wider, 11, 32, 2, 32)


def all_tilings(shape: Shape, config: AcceleratorConfig) -> Iterator[Tiling]:
    """Yield every combination of what the search may choose, each program once.

    A block larger than what it divides is as large, so that it is the same program.
    """
    options = search_options(shape, config)
    first = first_tiling(options)
    seen = set()
    for values in product((True, False), *options.values()):
        tiling = replace(
            first, keep_residual=values[0], **dict(zip(options, values[1:], strict=True))
        )
        same = replace(
            tiling,
            rows=min(tiling.rows, max(shape.sequence, shape.hidden)),
            query_rows=min(tiling.query_rows, shape.sequence),
            contract=0 if tiling.contract >= shape.hidden else tiling.contract,
        )
        if same not in seen:
            seen.add(same)
            yield same


def measure_optimum(case: OptimumCase) -> dict[str, Any]:
    """Compare the choice of the search with the best of `all_tilings`.

    Returns
    -------
    dict
        ``bench, study, preset, case, space``: the tilings there are; ``candidates``: those that the
        search scheduled; ``heuristic_cycles, cycles, optimum_cycles``: by the cost model, of the
        fixed rule, of the choice and of the best; ``distance``: of the choice from the best.

    Raises
    ------
    CompileError
        If no tiling fits.
    """
    model = synthetic_bert(case.hidden, case.heads, case.intermediate, norm_first=case.norm_first)
    ranges = calibrate(model, (0,), calibration_tokens(model))
    layers = quantise_layers(model, (0,), ranges)
    shape = Shape.of(model.config, case.tokens)
    choice = choose_tiling(shape, layers, case.config)
    evaluator = Evaluator(shape, layers, case.config)
    space = 0
    best = choice.cost
    for tiling in all_tilings(shape, case.config):
        space += 1
        if evaluator.bound(tiling) < best.cycles:
            best = min(best, evaluator.cost(tiling))
    return {
        "bench": "compile",
        "study": "optimum",
        "preset": case.config.name,
        "case": case.name,
        "space": space,
        "candidates": choice.candidates,
        "heuristic_cycles": choice.heuristic_cost.cycles,
        "cycles": choice.cost.cycles,
        "optimum_cycles": best.cycles,
        "distance": round(choice.cost.cycles / best.cycles - 1, 4),
    }
