"""`ageha sparsify`: a series of N:M terms for each layer, under a budget."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ...hw.config import AcceleratorConfig
from ...sw.errors import CompileError, FrontendError
from ...sw.frontend.bert import BertModel, keep_activations, load
from ...sw.frontend.tokenizer import Tokenizer
from ...sw.sparsity.errors import SparsityError
from ...sw.sparsity.kept import single_term
from ...sw.sparsity.tasd import check_block, parse_series
from ...sw.tasder import plan
from ...sw.tasder.choice import KeptInputs, kept_inputs_of
from ...sw.tasder.distil import RATE, Distillation
from ...sw.tasder.figures import TOKENS, CostModel, Measure
from ...sw.tasder.fronts import choice_of, front_of, table_of, uniform_within
from ...sw.tasder.partial import Partial
from ...sw.tasder.search import Front, Point
from ...sw.tasder.sensitivity import Candidates, Losses, fingerprint, measure
from ...sw.tasder.sentences import calibration_sentences, evaluation_sentences, split, tokenise
from ...sw.tasder.sparsify import GREEDY, Method, linear_names
from ..console import output, step
from ..errors import InputError, input_errors
from ..jobs import Keep
from ..layers import ALL
from ..options import (
    ConfigFile,
    EnergyFile,
    JsonFile,
    Preset,
    Seed,
    Settings,
    energies,
    machine,
)
from ..output import require_writable, write_file, write_json
from ..page.front import Mark, front_chart
from .compile import MINILM
from .report import read_text
from .sparse_models import Judge, Maker, SparseModel, front_records, print_models

LEAST_VALIDATED = 6
"""Sentences of which two are kept back."""


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
            help="The most that the linear layers may cost, over dense. Repeatable without -o.",
            metavar="SHARE",
        ),
    ] = None,
    cost: Annotated[
        Measure,
        typer.Option(
            help="What the budget is of, and the search spends least of.",
            metavar="multiply-adds|cycles|bytes|energy|edp",
        ),
    ] = Measure.MULTIPLY_ADDS,
    tokens: Annotated[
        int, typer.Option(help="Tokens of a text, for cycles and energy.", metavar="N")
    ] = TOKENS,
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
    rate: Annotated[
        float,
        typer.Option(
            help="About how far a weight moves in a step of --distil, at most.", metavar="RATE"
        ),
    ] = RATE,
    random_texts: Annotated[
        int,
        typer.Option(
            help="Texts with words exchanged for random ones that weights are fitted to, too.",
            metavar="COUNT",
        ),
    ] = plan.RANDOM_TEXTS,
    validate: Annotated[
        bool,
        typer.Option(
            "--validate",
            help="Keep every third calibration sentence back and judge by these, to choose options "
            "by.",
        ),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also measure one series of the same cost on all layers."),
    ] = False,
    uniform: Annotated[
        list[str] | None,
        typer.Option(
            help="Also measure this series on all layers, by magnitude. Repeatable.",
            metavar="SERIES",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--text", help="Text to calibrate with, a sentence a line.", metavar="FILE"),
    ] = None,
    partial_file: Annotated[
        Path | None,
        typer.Option(
            "--partial",
            help="Keep what was measured of layers and models here, and go on from there.",
            metavar="FILE",
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
    energy: EnergyFile = None,
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
    counts = (("--distil", steps, 0), ("--random-texts", random_texts, 0), ("--tokens", tokens, 1))
    for option, value, least in counts:
        if value < least:
            raise InputError(f"{option} must be at least {least}, not {value}")
    if not 0 < rate <= 1:
        raise InputError(f"--rate must be above 0 and at most 1, not {rate:g}")
    files = {
        "--output": target,
        "--json": json_file,
        "--partial": partial_file,
        "--front": front_file,
    }
    for option, path in files.items():
        require_writable(option, path)
    method = GREEDY if magnitude else Method()
    costs = CostModel(parameters, tokens, energies(energy))
    with input_errors(FrontendError, SparsityError, CompileError):
        terms = [parse_series(text) for text in series or ()] or list(plan.default_series(array))
        uniforms = [parse_series(text) for text in uniform or ()]
        for one in uniforms:
            check_block(one, array.block)
        inputs = _kept_candidates(activations or (), parameters)
        with step("Reading the model"):
            given = keep_activations(load(None if model == MINILM else Path(model)), keep or ())
            plan.check_kept(kept_inputs_of(given).values(), parameters)
            source = replace(given, activations={})
            sentences, others = _sentences(file, validate)
            texts = plan.calibration(source, seed, sentences, random_texts)
            judged = tokenise(Tokenizer(source.folder), others)
        _check_dense(linear_names(source), dense or ())
        candidates = plan.candidates_of(given, terms, array, kept=inputs, dense=dense or ())
        table = table_of(given, candidates, costs)
        key = fingerprint(source, texts.batch, texts.sentences, method)
        partial = Partial(partial_file, key)
        front = front_of(table, _losses(source, candidates, texts, method, partial), cost)
        maker = Maker(source, texts, method, Distillation(steps, rate, seed=seed))
        judge = Judge(source, judged, costs, partial)
        rows: list[dict[str, Any]] = [judge.figures(maker.uniform(one)) for one in uniforms]
        for point, made in _points(
            maker, front, budgets, quality, costs.dense_model(source).of(cost)
        ):
            same = uniform_within(source, costs, cost, point.cost) if compare else None
            if same is not None:
                rows += map(judge.figures, maker.uniforms(same))
            for result in maker.searched(choice_of(point), compare, made):
                rows.append(judge.figures(result))
        if target is not None:
            _save(target, result)
    print_models(rows)
    for name, note in plan.padded_layers(source, candidates).items():
        output.print(f"note: layer {name}: {note}")
    points = front_records(table, front, costs.dense_model(source))
    if activations:
        output.print(_note_of_activations(points))
    record = {
        "bench": "sparsify",
        "preset": preset,
        "case": model,
        "cost": cost.value,
        "tokens": tokens,
        "rows": rows,
        "front": points,
    }
    write_json("--json", json_file, record)
    if front_file is not None:
        name = cost.name.lower()
        marks = [Mark(row["method"], row[name], row["cosine"], row["spearman"]) for row in rows]
        line = [(point[name], point["loss"]) for point in points]
        write_file("--front", front_file, front_chart(line, marks, cost.value).file())


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


def _sentences(file: Path | None, validate: bool) -> tuple[Sequence[str], Sequence[str]]:
    """Return the sentences to calibrate with, and those to judge by."""
    found: Sequence[str] = calibration_sentences()
    if file is not None:
        found = [line.strip() for line in read_text("--text", file).splitlines() if line.strip()]
        if not found:
            raise InputError(f"--text {file}: must have at least one line of text")
    if not validate:
        return found, evaluation_sentences()
    if len(found) < LEAST_VALIDATED:
        raise InputError(
            f"--validate needs at least {LEAST_VALIDATED} sentences, not {len(found)}: "
            "of every three, one is kept back, and quality compares two or more"
        )
    return split(found)


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
    partial: Partial,
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


def _points(
    maker: Maker,
    front: Front,
    budgets: Sequence[float | None],
    quality: float | None,
    total: int,
) -> Iterator[tuple[Point, BertModel | None]]:
    """Yield the point of each budget, or that of a quality with the model that has it.

    `total` is what a dense model costs.
    """
    for budget in budgets:
        if budget is not None:
            yield plan.within_budget(front, budget, total), None
            continue
        assert quality is not None
        with step("Looking for the cheapest model of that quality") as show:
            found = plan.cheapest(
                maker.model, front, quality, maker.texts, total, maker.method, show
            )
        yield found


def _note_of_activations(points: Sequence[dict[str, Any]]) -> str:
    """Return where on the front the search keeps activations."""
    shares = [point["multiply_adds"] for point in points if point["kept_activations"]]
    if not shares:
        return f"note: activations are kept at none of {len(points)} points of the front"
    return (
        f"note: activations are kept at {len(shares)} of {len(points)} points of the front, "
        f"at up to {max(shares):.4f} of the multiply-adds"
    )


def _save(target: Path, result: SparseModel) -> None:
    """Write the model beside `target` and rename it, so that it appears whole or not at all."""
    handle, name = tempfile.mkstemp(dir=target.absolute().parent, prefix=".ageha-")
    os.close(handle)
    try:
        plan.save_sparse(result.model, result.choice, Path(name))
        os.replace(name, target)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise InputError(f"--output {target}: cannot be written: {error.strerror}") from None
