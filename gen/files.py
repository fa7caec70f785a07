"""Text files that appear whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write `text` beside `path` and rename it to `path`; folders are made as needed.

    Raises
    ------
    OSError
        If the file cannot be written; what was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        work.write_text(text, encoding="utf-8")
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, as `write_text` does."""
    write_text(path, json.dumps(value, indent=2) + "\n")
