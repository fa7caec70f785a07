"""The speed record: its keys, and a program next to the bare clock."""

from ageha.bench.simulate import measure_simulation
from ageha.hw.config import PRESETS


def test_record() -> None:
    record = measure_simulation(PRESETS["tiny"], rebuild=False)
    assert set(record) == {
        "bench",
        "preset",
        "case",
        "build_seconds",
        "cycles",
        "cycles_per_second",
        "bare_cycles_per_second",
        "ratio",
    }
    assert (record["bench"], record["preset"]) == ("simulate", "tiny")
    assert record["cycles"] > 200_000
    assert record["ratio"] > 0.6
