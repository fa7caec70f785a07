"""`generate` writes a complete folder."""

import hashlib
import json
import time

import toys

from ageha.gen.generate import generate
from ageha.hw.config import PRESETS
from ageha.verif.verilator import lint


def test_folder_is_complete_and_clean(tmp_path):
    config = PRESETS["tiny"]
    content = generate(config, toys.Grid(4), tmp_path)
    assert content == json.loads((tmp_path / "manifest.json").read_text())
    for name, checksum in content["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == checksum
    for name in ("accelerator.v", "lint.vlt", "registers.rdl", "ageha_isa.h", "ageha_registers.h"):
        assert name in content["files"]
    assert content["modules"] == {"accelerator": 1, "processing_element": 16}
    assert {"name": "y", "direction": "output", "width": 128} in content["ports"]
    assert {"name": "clk", "direction": "input", "width": 1} in content["ports"]
    assert content["parameter_hash"] == f"0x{config.hash:08x}"
    lint([tmp_path / "accelerator.v", tmp_path / "lint.vlt"], "accelerator")


def test_second_run_gives_the_same_bytes(tmp_path, monkeypatch):
    config = PRESETS["tiny"]
    first = generate(config, toys.Chain(), tmp_path / "a")
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    assert generate(config, toys.Chain(), tmp_path / "b") == first
