"""`ageha asm` and `ageha disasm`."""

import pytest

from ageha.cli.main import main
from ageha.sw.program import Program

SOURCE = """\
LOAD signal=0x1 rows=4 row_words=8 dram_address=1:0x400 dram_stride=64 pitch=9
END wait=0x1
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "copy.s"
    path.write_text(SOURCE)
    return path


def test_text_round_trips(source, tmp_path, capsys):
    program = tmp_path / "copy.prog"
    assert main(["asm", str(source), "-o", str(program), "--preset", "tiny"]) == 0
    assert main(["disasm", str(program)]) == 0
    assert capsys.readouterr().out == SOURCE
    listing = tmp_path / "again.s"
    assert main(["disasm", str(program), "-o", str(listing)]) == 0
    assert listing.read_text() == SOURCE


def test_windows_hold_what_the_code_reaches(source, tmp_path):
    path = tmp_path / "copy.prog"
    main(["asm", str(source), "-o", str(path), "--preset", "tiny"])
    program = Program.load(path)
    assert program.config.name == "tiny"
    assert [window.size for window in program.windows] == [3 * 64, 0x400 + 4 * 64]


def test_base_keeps_its_machine_and_data(source, tmp_path):
    base, target = tmp_path / "base.prog", tmp_path / "new.prog"
    main(["asm", str(source), "-o", str(base), "--preset", "ecp5"])
    source.write_text("END\n")
    assert main(["asm", str(source), "-o", str(target), "--base", str(base)]) == 0
    program = Program.load(target)
    assert program.config.name == "ecp5"
    assert program.instructions == 1
    assert program.windows == Program.load(base).windows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "instructions must be from 1 to"),
        ("JUMP\n", "line 1: opcode must be one of END, LOAD"),
        ("END\nLOAD rows=70000\n", "line 2: rows must be an integer from 0 to 65535, not 70000"),
        ("LOAD rows=1 row_words=1 dram_address=9:0\n", "windows must be at most 4, not 10"),
    ],
)
def test_wrong_text_is_refused(text, message, tmp_path, refused):
    source, target = tmp_path / "x.s", tmp_path / "x.prog"
    source.write_text(text)
    refused(["asm", str(source), "-o", str(target)], message)


def test_missing_text_is_refused(tmp_path, refused):
    refused(["asm", str(tmp_path / "no.s"), "-o", str(tmp_path / "x")], "cannot be read: No such")


def test_damaged_program_is_refused(source, tmp_path, refused):
    program = tmp_path / "copy.prog"
    main(["asm", str(source), "-o", str(program), "--preset", "tiny"])
    data = bytearray(program.read_bytes())
    data[70] ^= 4
    program.write_bytes(data)
    refused(["disasm", str(program), "-o", str(tmp_path / "x.s")], "the checksum is wrong")
