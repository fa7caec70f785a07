"""`ageha sparsify`: a series of N:M terms for each layer, under a budget."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from ...bench.embedding import golden_embeddings, grouping_of
from ...hw.config import AcceleratorConfig, ArrayConfig
from ...sw.errors import CompileError, FrontendError
from ...sw.frontend.bert import BertModel, keep_activations, load
from ...sw.frontend.tokenizer import Tokenizer
from ...sw.sparsity.errors import SparsityError
from ...sw.sparsity.kept import single_term
from ...sw.sparsity.tasd import Term, parse_series
from ...sw.tasder import plan
from ...sw.tasder.choice import Choice, KeptInputs, kept_inputs_of
from ...sw.tasder.distil import Distillation, distil
from ...sw.tasder.forward import Batch, run_layers, sentence_embeddings
from ...sw.tasder.quality import compare as compare_quality
from ...sw.tasder.search import Front
from ...sw.tasder.sensitivity import Candidates, Losses, measure
from ...sw.tasder.sentences import evaluation_sentences, tokenise
from ...sw.tasder.sparsify import GREEDY, Method, linear_names, sparsify
from ..console import output, step
from ..errors import InputError, input_errors
from ..jobs import Keep
from ..layers import ALL
from ..options import ConfigFile, JsonFile, Preset, Seed, Settings, machine
from ..output import require_writable, write_file, write_json
from ..page.front import Mark, front_chart
from .compile import MINILM
from .report import read_text


@dataclass(frozen=True)
class _Result:
    """A sparse model, and how it was made."""

    method: str
    choice: Choice
    model: BertModel


def sparsify_command(
    model: Annotated[
        str,
        typer.Argument(
            help=f"`{MINILM}`, or a folder with config.json, model.safetensors and tokenizer.json.",
            metavar="MODEL",
        ),
    ],
    budget: Annotated[
        list[float] | None,
        typer.Option(
            help="Most multiply-adds of the linear layers, over dense. Repeatable without -o.",
            metavar="SHARE",
        ),
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option(
            help="Instead of a budget: least Spearman correlation on calibration sentences, at "
            "the least cost.",
            metavar="SPEARMAN",
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="The sparse model, safetensors."),
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option(
            help="A series to choose from, such as 10:16 or 4:8+1:8. Repeatable; six by default.",
            metavar="SERIES",
        ),
    ] = None,
    dense: Annotated[
        list[str] | None,
        typer.Option(help="A layer that stays dense, such as 0.query. Repeatable.", metavar="NAME"),
    ] = None,
    activations: Annotated[
        list[str] | None,
        typer.Option(
            help="Also choose among inputs of the feed-forward contractions that are kept so, "
            f"such as 8:16; `{ALL}`: six of them. Repeatable.",
            metavar=f"N:M|{ALL}",
        ),
    ] = None,
    keep: Keep = None,
    magnitude: Annotated[
        bool, typer.Option("--magnitude", help="Keep the largest weights, as they are.")
    ] = False,
    steps: Annotated[
        int,
        typer.Option(
            "--distil",
            help="Steps in which the weights that are left learn from the float model; 0: none.",
            metavar="STEPS",
        ),
    ] = 0,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also measure one series of the same cost on all layers."),
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option("--text", help="Text to calibrate with, a sentence a line.", metavar="FILE"),
    ] = None,
    partial: Annotated[
        Path | None,
        typer.Option(
            help="Keep what was measured of each layer here, and go on from there.", metavar="FILE"
        ),
    ] = None,
    front_file: Annotated[
        Path | None,
        typer.Option(
            "--front", help="Draw cost and quality of all that is measured.", metavar="FILE.svg"
        ),
    ] = None,
    seed: Seed = 1,
    preset: Preset = "base",
    config: ConfigFile = None,
    settings: Settings = None,
    json_file: JsonFile = None,
) -> None:
    """Choose a series of N:M terms for each linear layer, of its weights or of its inputs.

    Layers are measured one by one on calibration sentences; the search then finds the choice of
    least loss for every cost. What is dropped is made up for by the weights that stay. A layer
    takes a series of its weights or of its inputs, not both: of its inputs where --keep says so,
    and where --activations lets the search find that better. The
    quality shown is that of the embeddings of 100 other sentences against the model as it was: in
    floats, and in the machine's arithmetic, bit for bit.
    """
    parameters = machine(preset, config, settings)
    array = parameters.array
    if array.block == 1:
        raise InputError("sparse weights: array.block must be 4, 8 or 16, not 1")
    budgets = _budgets(budget, quality, target)
    if steps < 0:
        raise InputError(f"--distil must be at least 0, not {steps}")
    files = {"--output": target, "--json": json_file, "--partial": partial, "--front": front_file}
    for option, path in files.items():
        require_writable(option, path)
    method = GREEDY if magnitude else Method()
    how = Distillation(steps, seed=seed)
    with input_errors(FrontendError, SparsityError, CompileError):
        terms = [parse_series(text) for text in series or ()] or list(plan.default_series(array))
        inputs = _kept_candidates(activations or (), parameters)
        with step("Reading the model"):
            given = keep_activations(load(None if model == MINILM else Path(model)), keep or ())
            plan.check_kept(kept_inputs_of(given).values(), parameters)
            source = replace(given, activations={})
            sentences = _sentences(file)
            texts = plan.calibration(source, seed, sentences)
            tokens = tokenise(Tokenizer(source.folder), evaluation_sentences())
            judge = _Judge(source, tokens, array)
        _check_dense(linear_names(source), dense or ())
        candidates = plan.candidates_of(given, terms, array, kept=inputs, dense=dense or ())
        losses = _losses(source, candidates, texts, method, partial)
        front = plan.front_of(given, losses, candidates, array)
        rows: list[dict[str, Any]] = []
        for share in budgets:
            found = _results(source, front, share, quality, texts, array, method, compare)
            for result in _distilled(found, source, texts, how, compare):
                rows.append(judge.figures(result))
    if target is not None:
        _save(target, result)
    output.print(_table(rows))
    for name, note in plan.padded_layers(source, candidates).items():
        output.print(f"note: layer {name}: {note}")
    total = plan.dense_slots(source, array)
    points = [
        (point.slots / total, point.loss, plan.keeping_layers(point)) for point in front.points()
    ]
    if activations:
        output.print(_note_of_activations(points))
    record = {
        "bench": "sparsify",
        "preset": preset,
        "case": model,
        "rows": rows,
        "front": [
            {"share": share, "loss": loss, "kept_activations": count}
            for share, loss, count in points
        ],
    }
    write_json("--json", json_file, record)
    if front_file is not None:
        marks = [Mark(row["method"], row["share"], row["cosine"], row["spearman"]) for row in rows]
        write_file(
            "--front", front_file, front_chart([point[:2] for point in points], marks).file()
        )


class _Judge:
    """Measures models on sentences that calibration has not seen.

    Parameters
    ----------
    model : BertModel
        What the others are compared with, in floats.
    tokens : sequence of int [tokens]
    array : ArrayConfig
    """

    def __init__(
        self, model: BertModel, tokens: Sequence[NDArray[np.integer]], array: ArrayConfig
    ) -> None:
        self._model, self._tokens, self._array = model, tokens, array
        self._batch = Batch.of(model, tokens)
        self._expected = self._embeddings(model)

    def _embeddings(self, model: BertModel) -> NDArray[np.float32]:
        return sentence_embeddings(run_layers(model, self._batch), self._batch.lengths)

    def figures(self, result: _Result) -> dict[str, Any]:
        """Return what the table shows of a model."""
        model, array = result.model, self._array
        cost, dense = plan.model_cost(model, array), plan.dense_model_cost(model, array)
        with step("Running 100 sentences in the machine's arithmetic"):
            machine = golden_embeddings(model, self._tokens, grouping_of(model.config, array))
        floats = compare_quality(self._embeddings(model), self._expected)
        golden = compare_quality(machine, self._expected)
        return {
            "method": result.method,
            "share": round(cost.slots / dense.slots, 4),
            "bytes": round(cost.bytes / dense.bytes, 4),
            "cosine": round(floats.cosine, 4),
            "spearman": round(floats.spearman, 4),
            "machine_cosine": round(golden.cosine, 4),
            "machine_spearman": round(golden.spearman, 4),
            "series": plan.counts_by_series(result.choice, self._model),
        }


def _budgets(
    budget: list[float] | None, quality: float | None, target: Path | None
) -> list[float | None]:
    if bool(budget) == (quality is not None):
        raise InputError("either --budget or --quality must be given")
    if target is not None and budget and len(budget) > 1:
        raise InputError(f"--output takes one --budget, not {len(budget)}")
    for share in budget or ():
        if not 0 < share <= 1:
            raise InputError(f"--budget must be above 0 and at most 1, not {share:g}")
    if quality is not None and not 0 < quality <= 1:
        raise InputError(f"--quality must be above 0 and at most 1, not {quality:g}")
    return [*budget] if budget else [None]


def _sentences(file: Path | None) -> list[str]:
    if file is None:
        return []
    found = [line.strip() for line in read_text("--text", file).splitlines() if line.strip()]
    if not found:
        raise InputError(f"--text {file}: must have at least one line of text")
    return found


def _kept_candidates(texts: Sequence[str], config: AcceleratorConfig) -> list[KeptInputs]:
    """Return what `--activations` names, each once."""
    found: list[KeptInputs] = []
    for text in texts:
        if text == ALL:
            found += plan.default_kept(config)
        else:
            found.append(KeptInputs(single_term(parse_series(text))))
    plan.check_kept(found, config)
    return list(dict.fromkeys(found))


def _check_dense(names: list[str], dense: Sequence[str]) -> None:
    for name in dense:
        if name not in names:
            raise InputError(f"--dense must be one of {names[0]} to {names[-1]}, not {name!r}")


def _losses(
    model: BertModel,
    candidates: Candidates,
    texts: plan.Calibration,
    method: Method,
    partial: Path | None,
) -> Losses:
    count = sum(map(len, candidates.values()))
    with step(f"Measuring {count} choices of {len(candidates)} layers", count) as show:
        return measure(
            model,
            candidates,
            texts.batch,
            texts.sentences,
            method,
            partial=partial,
            on_progress=show,
        )


def _results(
    model: BertModel,
    front: Front,
    budget: float | None,
    quality: float | None,
    texts: plan.Calibration,
    array: ArrayConfig,
    method: Method,
    compare: bool,
) -> Iterator[_Result]:
    """Yield the sparse models of one budget; the one that was searched for comes last."""
    total = plan.dense_slots(model, array)
    if budget is None:
        assert quality is not None
        with step("Looking for the cheapest model of that quality") as show:
            point, sparse = plan.cheapest(model, front, quality, texts, total, method, show)
    else:
        point = plan.within_budget(front, budget, total)
        sparse = None
    share = point.slots / total
    if compare and int(share * array.block):
        term = Term(int(share * array.block), array.block)
        uniform = plan.uniform_choice(model, (term,))
        yield _Result("uniform, magnitude", uniform, sparsify(model, uniform, None, GREEDY))
        if method.compensate:
            yield _Result("uniform, compensated", uniform, _sparse(model, uniform, texts, method))
    choice = plan.choice_of(point)
    name = "searched, compensated" if method.compensate else "searched, magnitude"
    yield _Result(name, choice, sparse or _sparse(model, choice, texts, method))


def _sparse(model: BertModel, choice: Choice, texts: plan.Calibration, method: Method) -> BertModel:
    with step("Pruning", model.config.layers) as show:
        return sparsify(model, choice, texts.batch, method, show)


def _distilled(
    results: Iterator[_Result],
    model: BertModel,
    texts: plan.Calibration,
    how: Distillation,
    compare: bool,
) -> Iterator[_Result]:
    """Yield `results`; after the last one, or in its place, what it becomes by distillation."""
    *others, last = results
    yield from others
    if compare or not how.steps:
        yield last
    if how.steps:
        with step("Distilling", how.steps) as show:
            learnt = distil(last.model, model, texts.tokens, texts.words, how, show)
        yield _Result(f"{last.method}, distilled", last.choice, learnt)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None)
    titles = ("cosine", "Spearman", "on the machine", "Spearman")
    table.add_column("method", no_wrap=True)
    for title in ("multiply-adds", "bytes", *titles):
        table.add_column(title, justify="right")
    table.add_column("layers")
    names = ("share", "bytes", "cosine", "spearman", "machine_cosine", "machine_spearman")
    for row in rows:
        layers = ", ".join(f"{count} x {text}" for text, count in row["series"].items())
        table.add_row(row["method"], *(f"{row[name]:.4f}" for name in names), layers)
    return table


def _note_of_activations(points: Sequence[tuple[float, float, int]]) -> str:
    """Return where on the front the search keeps activations."""
    shares = [share for share, _, count in points if count]
    if not shares:
        return f"note: activations are kept at none of {len(points)} points of the front"
    return (
        f"note: activations are kept at {len(shares)} of {len(points)} points of the front, "
        f"at up to {max(shares):.4f} of the multiply-adds"
    )


def _save(target: Path, result: _Result) -> None:
    """Write the model beside `target` and rename it, so that it appears whole or not at all."""
    handle, name = tempfile.mkstemp(dir=target.absolute().parent, prefix=".ageha-")
    os.close(handle)
    try:
        plan.save_sparse(result.model, result.choice, Path(name))
        os.replace(name, target)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise InputError(f"--output {target}: cannot be written: {error.strerror}") from None
