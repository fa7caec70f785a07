"""The simulator that a command needs."""

from pathlib import Path

from ..bench.execute import build_library
from ..hw.config import AcceleratorConfig
from ..verif.verilator import VerilatorError
from .console import step
from .errors import input_errors


def simulator(config: AcceleratorConfig) -> Path:
    """Return the simulated machine as a shared library, built on the first call.

    Raises
    ------
    InputError
        If Verilator or g++ is missing.
    """
    text = f"Building the simulator of {config.name} (minutes, the first time)"
    with input_errors(VerilatorError), step(text):
        return build_library(config)
