"""Files that appear whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError


def _existing(path: Path) -> Path:
    """Return the nearest folder above `path` (or `path` itself) that exists."""
    while not path.exists():
        path = path.parent
    return path


def _refuse(option: str, path: Path, reason: object) -> InputError:
    return InputError(f"{option} {path}: cannot be written: {reason}")


def require_writable(option: str, path: Path | None) -> None:
    """Refuse an output file that could not be written, before any work is done.

    Raises
    ------
    InputError
        If `path` is a folder, or no file can be made in its folder.
    """
    if path is None:
        return
    if path.is_dir():
        raise _refuse(option, path, "it is a folder")
    _require_folder(option, path, path.absolute().parent)


def require_writable_folder(option: str, path: Path) -> None:
    """Refuse an output folder in which no file could be made, before any work is done.

    Raises
    ------
    InputError
        If `path` is a file, or no file can be made in it.
    """
    if path.exists() and not path.is_dir():
        raise _refuse(option, path, "it is a file")
    _require_folder(option, path, path.absolute())


def _require_folder(option: str, path: Path, folder: Path) -> None:
    nearest = _existing(folder)
    if not nearest.is_dir():
        raise _refuse(option, path, f"{nearest} is a file")
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise _refuse(option, path, error.strerror) from None


def write_file(option: str, path: Path, content: str | bytes) -> None:
    """Write `content` to a temporary name beside `path` and rename it.

    Raises
    ------
    InputError
        If the file cannot be written; nothing is left behind.
    """
    with staged_folder(option, path.absolute().parent) as folder:
        target = folder / path.name
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            target.write_text(content, encoding="utf-8")


def write_json(option: str, path: Path | None, value: Any) -> None:
    """Write `value` as JSON, as `write_file` does; without a path do nothing."""
    if path is not None:
        write_file(option, path, json.dumps(value, indent=1) + "\n")


@contextmanager
def staged_folder(option: str, path: Path) -> Iterator[Path]:
    """Give a temporary folder whose files move to `path` when the block ends.

    Files of the same name in `path` are replaced, others are left alone. If the block raises,
    `path` is as it was.

    Raises
    ------
    InputError
        If `path` cannot be written.
    """
    path = path.absolute()
    try:
        work = Path(tempfile.mkdtemp(prefix=".ageha-", dir=_existing(path)))
    except OSError as error:
        raise _refuse(option, path, error.strerror) from None
    try:
        yield work
        for source in sorted(file for file in work.rglob("*") if file.is_file()):
            target = path / source.relative_to(work)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
    except OSError as error:
        raise _refuse(option, path, error.strerror or error) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
