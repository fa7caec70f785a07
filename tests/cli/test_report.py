"""Run records and the page that is drawn from them."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from importlib import resources
from xml.etree import ElementTree

import numpy as np
import pytest

from ageha.bench.operators import work_spans
from ageha.bench.record import Buffer, Event, Operator, RecordError, RunRecord
from ageha.cli.main import main
from ageha.cli.page.heatmap import ABOVE, BELOW, data_uri
from ageha.cli.page.page import render_page
from ageha.cli.page.timeline import render_timeline
from ageha.hw.registers import COUNTERS


class Balance(HTMLParser):
    """Checks that every element is closed."""

    VOID = {"meta", "img", "input"}

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_record_survives_json(record):
    original = record()
    assert RunRecord.from_json(original.to_json()) == original


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ageha_run": 1}', '{"ageha_run": 2}'])
def test_other_json_is_refused(text):
    with pytest.raises(RecordError, match="not a run record"):
        RunRecord.from_json(text)


def test_spans_of_a_unit_do_not_overlap():
    generator = np.random.default_rng(5)
    done = np.cumsum(generator.integers(1, 80, 60))
    events = [
        Event("array", "MATMUL", i, "", int(end - generator.integers(1, 200)), int(end))
        for i, end in enumerate(done)
    ]
    spans = work_spans(events)
    assert all(
        before[1] <= start <= end for before, (start, end) in zip(spans, spans[1:], strict=False)
    )
    assert [end for _, end in spans] == list(done)


@pytest.mark.parametrize("cycles", [1, 7, 99, 12_345, 10_000_000])
def test_timeline_has_few_ticks(cycles):
    _, svg = render_timeline([Event("load", "LOAD", 0, "", 0, 1)], cycles)
    assert 1 <= svg.count("<line") <= 11


def test_picture_has_the_sign_and_the_strength_of_the_values():
    uri = data_uri(np.array([[-1.0, 0.0, 0.5]]), 1.0)
    png = base64.b64decode(uri.partition(",")[2])
    start = png.index(b"IDAT") + 4
    row = zlib.decompress(png[start : png.index(b"IEND") - 8])
    pixels = np.frombuffer(row[1:], np.uint8).reshape(3, 4)
    assert tuple(pixels[0]) == (*BELOW, 255)
    assert pixels[1, 3] == 0
    assert tuple(pixels[2]) == (*ABOVE, 128)


def test_page_is_whole_and_self_contained(case, record):
    page = render_page(record(case(), case("Another")))
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "://" not in page
    assert "<b>bold" not in page
    for text in ("80.0%", "RTL equals golden in all 24 elements", "0.9980", "MATMUL m=3"):
        assert text in page


def test_page_tells_a_difference(case, record):
    page = render_page(record(case(mismatches=3)))
    assert "RTL differs from golden in 3 of 12 elements" in page
    assert 'class="verdict bad"' in page


def test_page_without_comparison_or_float(case, record):
    page = render_page(record(case(mismatches=None, cosine=[], error=[], products=[])))
    assert "nothing compared" in page
    assert "Error against float" not in page


def test_plots_and_trace(record, case, tmp_path, capsys):
    stored = tmp_path / "run.json"
    operator = Operator("0.scores", "array", 2, 830, 840)
    areas = [Buffer("0.query.weights.0", 0, 4096, 10, 500), Buffer("residual", 4096, 512, 0, 900)]
    drawn = record(case(operators=[operator], buffers=areas))
    stored.write_text(drawn.to_json())
    page = render_page(drawn)
    Balance().feed(page)
    assert "://" not in page
    assert page.count("<svg") == 3
    names = ("trace", "occupancy", "roofline")
    options = [word for name in names for word in (f"--{name}", str(tmp_path / name))]
    assert main(["report", str(stored), *options]) == 0
    assert "+1.2%" in capsys.readouterr().out
    for name in ("occupancy", "roofline"):
        picture = ElementTree.parse(tmp_path / name).getroot()
        assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert "0.query.weights.0: 4,096 bytes at 0" in (tmp_path / "occupancy").read_text()
    assert "whole program: 80.0%" in (tmp_path / "roofline").read_text()
    assert "no DRAM traffic" in (tmp_path / "roofline").read_text()
    assert json.loads((tmp_path / "trace").read_text())["displayTimeUnit"] == "ns"


def test_case_that_is_not_there_is_refused(record, tmp_path, refused):
    stored = tmp_path / "run.json"
    stored.write_text(record().to_json())
    refused(["report", stored, "--case", "1"], "--case must be from 0 to 0, not 1")


def test_report_command(record, tmp_path, capsys):
    stored = tmp_path / "run.json"
    stored.write_text(record().to_json())
    assert main(["report", str(stored), "-o", str(tmp_path / "r" / "x.html")]) == 0
    assert (tmp_path / "r" / "x.html").read_text() == render_page(record())

    stored.write_text("{}")
    assert main(["report", str(stored), "-o", str(tmp_path / "y.html")]) == 2
    assert "run.json: not a run record" in capsys.readouterr().err
    assert not (tmp_path / "y.html").exists()


COUNTED = {counter.name: 0 for counter in COUNTERS} | {"cycles": 1000, "dram_read_bytes": 8000}


def test_energy(record, case, tmp_path, capsys):
    stored, table = tmp_path / "run.json", tmp_path / "e.toml"
    counted = record(case(counters=COUNTED))
    stored.write_text(counted.to_json())
    assert main(["report", str(stored)]) == 0
    printed = capsys.readouterr().out
    assert "1,300,000" in printed
    assert "ISSCC 2014" in printed
    default = resources.files("ageha.sw").joinpath("energy.toml").read_text(encoding="utf-8")
    table.write_text(default.replace("dram_64 = 1300.0", "dram_64 = 4.0"))
    target = tmp_path / "x.html"
    assert main(["report", str(stored), "--energy", str(table), "-o", str(target)]) == 0
    assert "4e+06" in capsys.readouterr().out
    page = target.read_text()
    assert "<h2>Energy</h2>" in page
    assert "an energy-delay product of 4e+06 pJ" in page
    Balance().feed(page)


def test_energy_without_counters_is_refused(record, tmp_path, refused):
    stored, table = tmp_path / "run.json", tmp_path / "e.toml"
    stored.write_text(record().to_json())
    table.write_text(
        resources.files("ageha.sw").joinpath("energy.toml").read_text(encoding="utf-8")
    )
    options = ["report", stored, "--energy", table, "-o", tmp_path / "x.html"]
    refused(options, "run 0 of the record has no counters of the hardware")
    table.write_text("add_32 = 1")
    refused(options, "e.toml: title is missing")
