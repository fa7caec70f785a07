"""`ageha generate` and the bench of the same name."""

import json

import pytest

from ageha.cli.main import main
from ageha.gen.generate import TOP
from ageha.verif.verilator import lint

FILES = ("accelerator.v", "manifest.json", "registers.rdl", "ageha_registers.h", "ageha_isa.h")


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rtl") / "new"
    figures = folder.parent / "figures.json"
    arguments = ["generate", "--preset", "tiny", "-o", str(folder), "--json", str(figures)]
    assert main(arguments) == 0
    return folder, json.loads(figures.read_text())


def test_folder_is_complete(generated):
    folder, _ = generated
    for name in FILES:
        assert (folder / name).stat().st_size > 0
    assert (folder / "registers" / "index.html").is_file()
    assert not list(folder.parent.glob(".ageha-*"))


def test_verilog_is_clean(generated):
    folder, _ = generated
    lint([folder / f"{TOP}.v", folder / "lint.vlt"], TOP)


def test_processing_element_is_one_module(generated):
    folder, (record,) = generated
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["modules"]["processing_element"] == 16
    assert record["modules"] == len(manifest["modules"])
    assert record["verilog_lines"] > 1000


def test_unwritable_folder_is_refused(tmp_path, refused):
    blocker = tmp_path / "file"
    blocker.write_text("")
    refused(["generate", "-o", blocker], f"--output {blocker}: cannot be written: it is a file")
    refused(["generate", "-o", tmp_path, "--json", tmp_path], "--json", "it is a folder")
