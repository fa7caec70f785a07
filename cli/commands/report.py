"""`ageha report`: draw the report of a stored run again."""

from pathlib import Path
from typing import Annotated

import typer

from ...bench.record import RecordError, RunRecord
from ..errors import InputError, input_errors
from ..output import require_writable, write_file
from ..page.page import render_page


def read_text(option: str, path: Path) -> str:
    """Return the text of a file that the user named.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{option} {path}: is no text file") from None


def report(
    record: Annotated[Path, typer.Argument(help="A stored run.json.", metavar="RECORD")],
    target: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The HTML page.")],
) -> None:
    """Draw the report of a stored run as one self-contained HTML page."""
    require_writable("--output", target)
    text = read_text("RECORD", record)
    with input_errors(RecordError, prefix=f"RECORD {record}: "):
        parsed = RunRecord.from_json(text)
    write_file("--output", target, render_page(parsed))
