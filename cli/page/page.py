"""Put a run record on one HTML page without external resources."""

import string
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

import numpy as np

from ...bench.record import Case, RunRecord
from ...hw.config import from_dict
from ...sw.energy import EnergyTable, default_table
from .energy import energy_section
from .figures import operator_section, plot_sections
from .heatmap import data_uri
from .timeline import render_timeline


def _tile(label: str, value: str, note: str = "") -> str:
    extra = f' <span class="soft small">{escape(note)}</span>' if note else ""
    return f'<div class="tile"><span class="soft">{label}</span><b>{value}</b>{extra}</div>'


def _bar(label: str, share: float, value: str, kind: str) -> str:
    width = 100 * min(1.0, share)
    return (
        f'<span class="small">{escape(label)}</span>'
        f'<div class="track"><div class="fill {kind}" style="width:{width:.2f}%"></div></div>'
        f'<span class="value">{value}</span>'
    )


def _tiles(case: Case) -> str:
    predicted = f"{case.predicted_cycles:,} predicted, " if case.predicted_cycles else ""
    tiles = [
        _tile("Cycles", f"{case.cycles:,}", f"{predicted}{case.roofline_cycles:,} roofline"),
        _tile("Array utilisation", f"{case.utilization:.1%}", "everything included"),
        _tile(
            "DRAM traffic",
            f"{(case.bytes_read + case.bytes_written) / 1e6:.2f} MB",
            f"{case.compulsory_bytes / 1e6:.2f} MB compulsory",
        ),
    ]
    if case.mean_cosine is not None:
        worst = f"{min(case.cosine):.4f} at worst"
        tiles.append(_tile("Cosine a token", f"{case.mean_cosine:.4f}", worst))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _timeline(case: Case) -> str:
    labels, svg = render_timeline(case.events, case.cycles)
    opcodes = dict.fromkeys(event.opcode for event in case.events)
    legend = "".join(
        f'<span><i class="{escape(name.lower())}"></i>{escape(name)}</span>' for name in opcodes
    )
    return (
        "<section><h2>Timeline</h2>"
        '<p class="soft">What each unit worked on, in cycles: a bar begins when the unit took the '
        "instruction, or had finished the one before. Point at a bar for its figures; choose it "
        "for its line of the listing.</p>"
        f'<div class="legend">{legend}<button data-zoom="0.5">&minus;</button>'
        '<button data-zoom="2">+</button></div>'
        f'<div class="frame"><div>{labels}</div><div class="scroll">{svg}</div></div></section>'
    )


UNIT_COLOURS = {"load": "load", "array": "matmul", "vector": "quantise", "store": "store"}


def _units(case: Case) -> str:
    cycles = max(1, case.cycles)
    bars = [
        _bar(
            unit,
            busy / cycles,
            f"<b>{busy / cycles:.1%}</b> &nbsp;{busy:,}",
            UNIT_COLOURS.get(unit, "end"),
        )
        for unit, busy in case.busy.items()
    ]
    active = case.array_active / cycles
    bars.append(_bar("multiplying", active, f"<b>{active:.1%}</b> &nbsp;{case.array_active:,}", ""))
    return (
        '<section><h2>Units</h2><p class="soft">Share of all cycles in which a unit had work in '
        'flight, from the hardware\'s counters.</p><div class="bars">'
        f"{''.join(bars)}</div></section>"
    )


def _products(case: Case) -> str:
    if not case.products:
        return ""
    layers = {product.label.partition(".")[0] for product in case.products}
    bars = [
        _bar(
            product.label.partition(".")[2] if len(layers) == 1 else product.label,
            product.utilization,
            f"<b>{product.utilization:.1%}</b> &nbsp;{escape(product.shape)} &nbsp;"
            f"{product.cycles:,} cycles",
            "matmul",
        )
        for product in case.products
    ]
    return (
        '<section><h2>Matrix products</h2><p class="soft">Multiply-adds over processing elements, '
        "divided by the cycles from the start of a product (or the end of the one before) to its "
        f'end.</p><div class="bars">{"".join(bars)}</div></section>'
    )


def _error(case: Case) -> str:
    if not len(case.error):
        return ""
    values = np.asarray(case.error, dtype=np.float64)
    limit = float(np.quantile(np.abs(values), 0.995))
    height = 14 if len(values) <= 40 else max(4, 560 // len(values))
    names: Sequence[str] = case.tokens if height >= 10 else []
    cosines = [f"{value:.4f}" for value in case.cosine] if height >= 10 else []
    columns = [_rows("names", names), "", _rows("cosines", cosines)]
    columns[1] = (
        f'<img src="{data_uri(values, limit)}" style="height:{height * len(values)}px" '
        'alt="Error of each token and channel">'
    )
    root = float(np.sqrt(np.mean(values**2)))
    return (
        '<section><h2>Error against float</h2><p class="soft">The machine\'s output minus the '
        f"float model's: a row a token, a column a channel. Root mean square {root:.4f}, largest "
        f"{np.abs(values).max():.4f}.</p>"
        f'<div class="legend"><span>&minus;{limit:.3f}</span><div class="ramp"></div>'
        f'<span>+{limit:.3f}</span></div><div class="heat" style="--row:{height}px">'
        f"{''.join(columns)}</div></section>"
    )


def _rows(kind: str, texts: Iterable[str]) -> str:
    rows = "".join(f'<div class="row">{escape(text)}</div>' for text in texts)
    return f'<div class="{kind}">{rows}</div>'


def _listing(case: Case) -> str:
    lines = "".join(
        f'<div data-index="{index}">{index:5}  {escape(line)}</div>'
        for index, line in enumerate(case.listing)
    )
    return (
        f"<section><details><summary>Listing, {len(case.listing):,} instructions</summary>"
        f'<div class="listing">{lines}</div></details></section>'
    )


def _case(number: int, case: Case, parameters: Mapping[str, Any], table: EnergyTable) -> str:
    tokens = "".join(f"<span>{escape(token)}</span>" for token in case.tokens)
    parts = [
        _tiles(case),
        _timeline(case),
        _products(case),
        _units(case),
        operator_section(case),
        plot_sections(case, parameters),
        energy_section(case, from_dict(parameters), table),
        _error(case),
        _listing(case),
    ]
    return (
        f'<div class="case case{number}"><div class="tokens">{tokens}</div>{"".join(parts)}</div>'
    )


def _selectors(count: int) -> str:
    shown = ", ".join(f"#pick{i}:checked ~ .case{i}" for i in range(count))
    label = ", ".join(f"#pick{i}:checked ~ nav label[for=pick{i}]" for i in range(count))
    focus = ", ".join(f"#pick{i}:focus-visible ~ nav label[for=pick{i}]" for i in range(count))
    return (
        f"{shown} {{ display: block; }}\n"
        f"{label} {{ color: var(--ink); border-color: var(--accent); font-weight: 600; }}\n"
        f"{focus} {{ outline: 2px solid var(--accent); }}"
    )


def _verdict(record: RunRecord) -> tuple[str, str]:
    elements = sum(case.elements for case in record.cases)
    wrong = sum(case.mismatches or 0 for case in record.cases)
    if record.is_equal is None:
        return "plain", f"{record.device} only, nothing compared"
    if record.is_equal:
        return "good", f"&#10003;&ensp;RTL equals golden in all {elements:,} elements"
    return "bad", f"&#10007;&ensp;RTL differs from golden in {wrong:,} of {elements:,} elements"


def _settings(record: RunRecord) -> str:
    def rows(values: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
        for key, value in values.items():
            if isinstance(value, Mapping):
                yield from rows(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value

    pairs = [*rows(record.parameters, ""), *rows(record.memory, "memory.")]
    return "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(str(v))}</dd></div>" for k, v in pairs)


def _subtitle(record: RunRecord) -> str:
    array = record.parameters["array"]
    scratchpad = record.parameters["scratchpad"]["bytes"] // 1024
    return (
        f"Preset {record.preset}: {array['rows']} x {array['columns']} array, {scratchpad} KiB "
        f"scratchpad, {record.parameters['axi']['data_width']}-bit AXI"
    )


def render_page(record: RunRecord, table: EnergyTable | None = None) -> str:
    """Return the report of `record` as HTML, with the energies of `table` or the default ones."""
    table = table or default_table()
    template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    verdict_class, verdict = _verdict(record)
    pickers = "".join(
        f'<input class="pick" type="radio" name="case" id="pick{i}"{" checked" if i == 0 else ""}>'
        for i in range(len(record.cases))
    )
    tabs = "".join(
        f'<label for="pick{i}">{escape(case.name)}</label>' for i, case in enumerate(record.cases)
    )
    return string.Template(template).substitute(
        title=escape(record.title),
        subtitle=escape(_subtitle(record)),
        verdict=verdict,
        verdict_class=verdict_class,
        selectors=_selectors(len(record.cases)),
        pickers=pickers,
        tabs=tabs,
        cases="".join(
            _case(number, case, record.parameters, table)
            for number, case in enumerate(record.cases)
        ),
        settings=_settings(record),
    )
