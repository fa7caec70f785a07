"""The activation compressor: N of every M elements, as slots."""

import pytest

from ageha.hw.activation_compressor import ActivationCompressor
from ageha.hw.config import ConfigError, override, preset
from ageha.verif.simulator import run_bench

CONFIGS = {
    "tiny": preset("tiny"),
    "eight": override(
        preset("ecp5"), {"scratchpad.bytes": 32768, "vector.kept_slots": 64, "vector.lanes": 8}
    ),
    "beats of half a line": override(
        preset("ecp5"), {"scratchpad.bytes": 32768, "vector.kept_slots": 64, "vector.lanes": 4}
    ),
    "sixteen": override(preset("base"), {"scratchpad.bytes": 65536, "vector.kept_slots": 128}),
    "narrow": override(preset("base"), {"array.columns": 4, "scratchpad.bytes": 65536}),
    "blocks of two beats": override(preset("tiny"), {"array.block": 8}),
}


QUICK = ("tiny", "beats of half a line", "blocks of two beats")


@pytest.mark.parametrize(
    "name", [pytest.param(it, marks=() if it in QUICK else pytest.mark.slow) for it in CONFIGS]
)
def test_bench(name):
    config = CONFIGS[name]
    values = {"config": config.to_dict(), "rounds": 25}
    run_bench(ActivationCompressor(config), "activation_compressor", parameters=values)


@pytest.mark.parametrize("setting", [{"array.block": 1}, {"vector.kept_slots": 0}])
def test_what_is_left_out_is_refused(setting):
    config = override(preset("tiny"), setting)
    assert config.largest_kept_group == 0
    with pytest.raises(ConfigError, match="nothing is selected"):
        ActivationCompressor(config)


def test_a_number_of_slots_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="vector.kept_slots must be a power of two from 64"):
        override(preset("tiny"), {"vector.kept_slots": 100})
