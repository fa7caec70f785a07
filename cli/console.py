"""What a command shows: tables on standard output, progress and errors on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

output = Console(highlight=False)
messages = Console(stderr=True, highlight=False)


@contextmanager
def step(description: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
    """Show that something takes time, for as long as the block runs.

    Gives a function that moves the bar to a value between zero and `total`; without a total the
    bar only shows that the command is alive. Without a terminal, one line is printed instead.
    """
    if not messages.is_terminal:
        messages.print(f"{description} ...", markup=False)
        yield lambda value: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=messages, transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda value: progress.update(task, completed=value)
