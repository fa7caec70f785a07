"""Choose how decoder layers are cut: the largest blocks that fit, then a descent from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..hw.config import AcceleratorConfig
from .decoder_quantise import QuantisedDecoderLayer
from .errors import NoRoomError
from .gir import WORD, Graph
from .passes.allocate import peak
from .passes.bound import least_work
from .passes.decoder import lower_decoder
from .passes.decoder_tiling import ALIGNMENT, DecoderShape, DecoderTiling
from .passes.evaluate import INSTRUCTION_CYCLES
from .passes.expand import expand
from .passes.explore import Budget, Cost, Explorer
from .passes.memory import Memory
from .passes.schedule import Plan, fit
from .search_cache import remembered

DECODER_BUDGET = Budget(candidates=24)
"""A decoder's layer is bound by the bus, however it is cut: there is less to find."""

Candidates = Sequence[tuple[DecoderShape, DecoderTiling]]
"""Ways to cut a program, the best first; all of the same tokens and capacity."""


@dataclass(frozen=True)
class DecoderChoice:
    """What a search found.

    Parameters
    ----------
    place : int
        Which of the candidates it began with.
    ranking : tuple of DecoderTiling
        Those that fit with the same steps, the best one first.
    figures : dict
        ``candidates, pruned, search_gain, search_ended_early``, as for encoders.
    """

    place: int
    ranking: tuple[DecoderTiling, ...]
    figures: dict[str, Any]


def choose_decoder_tiling(
    candidates: Candidates,
    layers: Sequence[tuple[int, QuantisedDecoderLayer]],
    config: AcceleratorConfig,
    budget: Budget = DECODER_BUDGET,
) -> DecoderChoice:
    """Return which of `candidates` is the first that fits, and the best tilings for its steps.

    Blocks within which numbers have a scale of their own stay as they are in that candidate, so
    that no choice changes a bit.

    Raises
    ------
    NoRoomError
        If none fits.
    """

    def search() -> tuple[dict[str, Any], bool]:
        choice, is_early = _search(candidates, layers, config, budget)
        return asdict(choice), is_early

    # Fractions and scales change no cycle.
    answer = remembered(("decoder", *candidates), config, budget, search)
    ranking = tuple(DecoderTiling(**fields) for fields in answer["ranking"])
    return DecoderChoice(answer["place"], ranking, answer["figures"])


def _search(
    candidates: Candidates,
    layers: Sequence[tuple[int, QuantisedDecoderLayer]],
    config: AcceleratorConfig,
    budget: Budget,
) -> tuple[DecoderChoice, bool]:
    """Return the choice, and whether a limit in seconds ended the search."""
    failure: NoRoomError | None = None
    for place, (shape, tiling) in enumerate(candidates):
        evaluator = _Evaluator(shape, layers[:1], config)
        explorer = Explorer(evaluator.cost, evaluator.bound, budget)
        try:
            check_least(shape, tiling, config)
        except NoRoomError as error:
            failure = error
            continue
        start = explorer.cost(tiling)
        if start.excess:
            failure = evaluator.refusal(tiling)
            continue
        explorer.descend(tiling, _options(shape, tiling, config))
        ranking = explorer.ranking()
        gain = start.cycles / max(1, explorer.best.cycles)
        choice = DecoderChoice(place, tuple(ranking), explorer.figures(gain))
        return choice, explorer.is_late
    assert failure is not None
    raise failure


def _options(
    shape: DecoderShape, start: DecoderTiling, config: AcceleratorConfig
) -> dict[str, list[Any]]:
    """Return the values to try for each field that changes no bit, that of `start` first."""
    model, least = shape.model, ALIGNMENT
    rows = config.array.rows
    return {
        "critical_path": [False, True],
        "prefetch": [start.prefetch, 2 * start.prefetch, start.prefetch // 2],
        "depth": [start.depth, 3],
        "channels": _around(start.channels, model.head_width, least),
        "outputs": _around(start.outputs, model.hidden, max(least, config.axi_bytes)),
        "key_block": sorted({start.key_block, max(least, start.key_block // 2 // least * least)}),
        "rows": sorted({start.rows, rows}),
    }


def _around(value: int, size: int, multiple: int) -> list[int]:
    """Return `value` and the divisors of `size` next to it that are multiples of `multiple`."""
    divisors = [step for step in range(multiple, size + 1, multiple) if size % step == 0]
    smaller = [step for step in divisors if step < value][-1:]
    larger = [step for step in divisors if step > value][:1]
    return [value, *smaller, *larger]


class _Evaluator:
    """Lowers and schedules one layer, in the last step, which needs most room.

    Parameters
    ----------
    shape : DecoderShape
    layers : sequence of tuple
        One layer.
    config : AcceleratorConfig
    """

    def __init__(
        self,
        shape: DecoderShape,
        layers: Sequence[tuple[int, QuantisedDecoderLayer]],
        config: AcceleratorConfig,
    ) -> None:
        self.shape = replace(shape, steps=(replace(shape.steps[-1], first=0),))
        self.layers, self.config = layers, config

    def _lowered(self, tiling: DecoderTiling) -> Graph:
        return lower_decoder(self.shape, self.layers, tiling, self.config)

    def _scheduled(self, tiling: DecoderTiling) -> tuple[Graph, bool]:
        """Return an order, and whether there are addresses for it."""
        plan = Plan(expand(self._lowered(tiling)), self.config)
        graph, allocated = fit(plan, tiling.prefetch, critical_path=tiling.critical_path)
        return graph, allocated is not None

    def cost(self, tiling: DecoderTiling) -> Cost:
        """Return what `tiling` costs."""
        graph, fits = self._scheduled(tiling)
        operations = graph.operations()
        cycles = max(operation.end for operation in operations)
        excess = 0 if fits else max(1, peak(graph, self.config)[0] - self.config.scratchpad.bytes)
        return Cost(excess, cycles + INSTRUCTION_CYCLES * len(operations))

    def bound(self, tiling: DecoderTiling) -> int:
        """Return cycles below which the cost of `tiling` cannot lie."""
        work = least_work(self._lowered(tiling), self.config)
        return max(work.units.values()) + INSTRUCTION_CYCLES * work.instructions

    def refusal(self, tiling: DecoderTiling) -> NoRoomError:
        """Return the error for `tiling`, which does not fit."""
        needed, product = peak(self._scheduled(tiling)[0], self.config)
        limit = self.config.scratchpad.bytes
        return NoRoomError(
            f"{product}: needs {max(needed, limit + 1)} bytes of scratchpad; the limit is {limit}"
        )


def check_least(shape: DecoderShape, tiling: DecoderTiling, config: AcceleratorConfig) -> None:
    """Refuse what cannot fit without a schedule: what is there while the first softmax runs.

    Raises
    ------
    NoRoomError
        If it is so.
    """
    model, step, memory = shape.model, shape.steps[-1], Memory(config)
    heads = tiling.key_heads * tiling.heads
    rows = heads * step.tokens
    buffers = [
        memory.results("residual", step.tokens, model.hidden),
        memory.operand("context", model.heads * step.tokens, model.head_width),
        memory.operand("values", step.tail + step.tokens, model.key_width + 1),
        memory.results("scores", rows, step.total),
        memory.operand("probabilities", 2 * rows, step.total),
    ]
    if heads < model.heads:
        # Other groups of heads follow, whose queries are still to come.
        buffers += [
            memory.operand("input", step.tokens, model.hidden),
            memory.operand("keys", step.tail + step.tokens, model.key_width),
        ]
    least = sum(buffer.size for buffer in buffers) * WORD
    if least > config.scratchpad.bytes:
        raise NoRoomError(
            f"attention: needs at least {least} bytes of scratchpad for {step.tokens} tokens after "
            f"{step.past}; the limit is {config.scratchpad.bytes}"
        )
