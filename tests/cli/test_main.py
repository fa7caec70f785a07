"""What all commands have in common: help, options of the machine, exit status."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ageha.cli.errors import WRONG_INPUT
from ageha.cli.main import app, main

COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands)


def test_no_command_shows_the_help(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert command in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"Example:\s+ageha {command}\b", out)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"ageha \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_program_sets_the_exit_status():
    script = Path(sys.executable).with_name("ageha")
    done = subprocess.run([script, "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == WRONG_INPUT
    assert done.stderr == "ageha: No such command 'nonsense'.\n"


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (
            ["--preset", "huge"],
            ["preset must be one of tiny, ecp5, base, large, ulx3s, ecpix5, not 'huge'"],
        ),
        (["--set", "array.depth=3"], ["array.depth is no parameter"]),
        (["--set", "array.rows"], ["NAME=VALUE", "array.rows"]),
        (["--set", "array.rows=0"], ["array.rows", "power of two from 4 to 64", "not 0"]),
        (["--set", "array.columns=12"], ["array.columns", "power of two from 4 to 64", "not 12"]),
        (["--preset=large", "--set=scratchpad.bytes=8192"], ["at least 16384", "not 8192"]),
    ],
)
def test_wrong_machine_is_refused(options, texts, tmp_path, refused):
    source = tmp_path / "x.s"
    source.write_text("END\n")
    refused(["asm", source, "-o", tmp_path / "x.prog", *options], *texts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("array = 3", "array is a group"),
        ("[array]\nrows = 'many'", "array.rows must be a power of two"),
        ("[array", "cannot be read as TOML"),
    ],
)
def test_wrong_machine_file_is_refused(text, message, tmp_path, refused):
    source, config = tmp_path / "x.s", tmp_path / "machine.toml"
    source.write_text("END\n")
    config.write_text(text)
    refused(["asm", source, "-o", tmp_path / "x.prog", "--config", config], message)
    refused(["asm", source, "-o", tmp_path / "x.prog", "--config", tmp_path / "no"], "no: cannot")


def test_unwritable_output_is_refused_before_work(tmp_path, refused):
    source = tmp_path / "x.s"
    source.write_text("END\n")
    for target in (tmp_path, source / "below", "/proc/ageha/x.prog"):
        refused(["asm", source, "-o", target], f"--output {target}: cannot be written")


def test_unknown_block_is_refused(refused):
    refused(["verify", "zorkmid"], "BLOCK must be one of ", "not 'zorkmid'")
