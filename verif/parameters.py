"""What a cocotb bench is told by `ageha.verif.simulator.run_bench`."""

import json
import os
import random
from typing import Any

PARAMETERS_VARIABLE = "AGEHA_BENCH_PARAMETERS"
SEED_VARIABLE = "AGEHA_BENCH_SEED"


def parameters() -> dict[str, Any]:
    """Return the parameters that the test gave to `run_bench`."""
    values: dict[str, Any] = json.loads(os.environ[PARAMETERS_VARIABLE])
    return values


def seed() -> int:
    """Return the seed of this run."""
    return int(os.environ[SEED_VARIABLE])


def generator(stream: object = 0) -> random.Random:
    """Return a random generator; each `stream` (any printable value) is independent."""
    return random.Random(f"{seed()}/{stream}")
