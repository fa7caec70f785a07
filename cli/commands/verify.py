"""`ageha verify`: run the tests of blocks and sum them up."""

import importlib.util
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..console import messages, output, step
from ..errors import InputError, ResultError
from ..options import JsonFile
from ..output import require_writable, write_json

REPOSITORY = Path(__file__).resolve().parents[2]
PREFIX = "test_"


@dataclass(frozen=True)
class Outcome:
    """What the tests of one block gave."""

    block: str
    passed: int
    failed: int
    seconds: float


def known_blocks() -> dict[str, Path]:
    """Return the test file of each block.

    Raises
    ------
    InputError
        If the tests or pytest are not installed.
    """
    folder = REPOSITORY / "tests" / "hw"
    if not folder.is_dir():
        raise InputError("verify needs a checkout of the repository: the wheel holds no tests")
    if importlib.util.find_spec("pytest") is None:
        raise InputError("verify needs pytest; install it with pip install 'ageha[verif]'")
    files = sorted(folder.glob(f"{PREFIX}*.py"))
    return {path.stem.removeprefix(PREFIX): path for path in files}


def _count(results: Path) -> tuple[int, int]:
    if not results.is_file():
        return 0, 1
    cases = list(xml.etree.ElementTree.parse(results).iter("testcase"))
    failed = sum(
        case.find("failure") is not None or case.find("error") is not None for case in cases
    )
    return len(cases) - failed, failed


def run_block(block: str, path: Path, slow: bool = False) -> tuple[Outcome, str]:
    """Run the tests of one block; return their outcome and what pytest printed.

    Parameters
    ----------
    block : str
    path : Path
        Its test file.
    slow : bool
        Also run the tests that are marked as slow.
    """
    chosen = [] if slow else ["-m", "not slow"]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        process = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", str(path), f"--junitxml={results}", *chosen],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        passed, failed = _count(results)
    seconds = round(time.monotonic() - start, 1)
    if process.returncode != 0 and not failed:
        failed = 1
    return Outcome(block, passed, failed, seconds), process.stdout + process.stderr


def verify(
    blocks: Annotated[
        list[str] | None, typer.Argument(help="Blocks to verify; all by default.", metavar="BLOCK")
    ] = None,
    slow: Annotated[bool, typer.Option("--slow", help="Also run tests of minutes.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Run the testbenches of blocks against their golden models and show a summary."""
    known = known_blocks()
    chosen = blocks or list(known)
    for block in chosen:
        if block not in known:
            raise InputError(f"BLOCK must be one of {', '.join(known)}, not {block!r}")
    require_writable("--json", json_file)

    outcomes = []
    for block in chosen:
        with step(f"Verifying {block}"):
            outcome, log = run_block(block, known[block], slow)
        outcomes.append(outcome)
        if outcome.failed:
            messages.print(log, markup=False)

    table = Table("block", "passed", "failed", "seconds", "")
    for outcome in outcomes:
        verdict = "[red]failed[/red]" if outcome.failed else "[green]ok[/green]"
        counts = (str(outcome.passed), str(outcome.failed), f"{outcome.seconds:.1f}")
        table.add_row(outcome.block, *counts, verdict)
    output.print(table)
    write_json("--json", json_file, [asdict(outcome) for outcome in outcomes])
    wrong = [outcome.block for outcome in outcomes if outcome.failed]
    if wrong:
        raise ResultError(f"verification failed: {', '.join(wrong)}")
