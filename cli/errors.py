"""How a command fails: its exit status, and one line that says why."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..sw.driver import DeviceError, DriverError
from ..verif.devices.library import SimulationError

RIGHT = 0
WRONG_RESULT = 1
WRONG_INPUT = 2


class InputError(Exception):
    """The user's input is wrong. The message names the field, the value and the limit."""

    status = WRONG_INPUT


class ResultError(Exception):
    """The work was done and its result is wrong."""

    status = WRONG_RESULT


@contextmanager
def input_errors(*kinds: type[Exception], prefix: str = "") -> Iterator[None]:
    """Turn exceptions of `kinds` into `InputError` with `prefix` before their message."""
    try:
        yield
    except kinds as error:
        raise InputError(f"{prefix}{one_line(error)}") from error


@contextmanager
def machine_errors() -> Iterator[None]:
    """Turn what a device does wrong into `ResultError`."""
    try:
        yield
    except (DeviceError, DriverError, SimulationError) as error:
        raise ResultError(f"the machine stopped: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """Return the message of `error` on one line, or the name of its class if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
