"""Files appear whole or not at all."""

import pytest

from ageha.cli.errors import InputError
from ageha.cli.output import (
    require_writable,
    require_writable_folder,
    staged_folder,
    write_file,
    write_json,
)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_file_and_folders_above_are_made(tmp_path):
    write_file("--output", tmp_path / "a" / "b.txt", "text")
    assert files(tmp_path) == ["a", "a/b.txt"]
    assert (tmp_path / "a" / "b.txt").read_text() == "text"


def test_existing_file_is_replaced_and_others_stay(tmp_path):
    for name in ("old", "other"):
        (tmp_path / name).write_text(name)
    write_file("--output", tmp_path / "old", b"new")
    assert files(tmp_path) == ["old", "other"]
    assert (tmp_path / "old").read_bytes() == b"new"


def test_a_failing_block_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), staged_folder("--output", tmp_path / "new" / "rtl") as folder:
        (folder / "half").write_text("half")
        raise KeyError
    assert files(tmp_path) == []


def test_unwritable_places_are_refused(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    for refused in (blocker / "below", tmp_path):
        with pytest.raises(InputError, match="--output .* cannot be written: "):
            require_writable("--output", refused)
    for refused in (blocker, blocker / "below"):
        with pytest.raises(InputError, match="--output .* cannot be written: "):
            require_writable_folder("--output", refused)
    with pytest.raises(InputError, match="cannot be written"):
        write_file("--output", blocker / "below", "")
    assert files(tmp_path) == ["file"]


def test_json_is_written_only_with_a_path(tmp_path):
    write_json("--json", None, [1])
    assert files(tmp_path) == []
    write_json("--json", tmp_path / "x.json", [1])
    assert (tmp_path / "x.json").read_text() == "[\n 1\n]\n"
