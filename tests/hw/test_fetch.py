"""The fetch unit on buses of several widths."""

import pytest

from ageha.hw.config import override, preset
from ageha.hw.fetch import Fetch, header_offset
from ageha.verif.simulator import run_bench

TINY = preset("tiny")
SHORT_BURSTS = override(TINY, {"axi.burst_beats": 4, "controller.windows": 1})
WIDE = override(TINY, {"axi.data_width": 256, "axi.address_width": 32, "controller.windows": 8})


@pytest.mark.parametrize(
    "config, stalls",
    [(TINY, 0.0), (SHORT_BURSTS, 0.5), (WIDE, 0.3)],
    ids=["tiny", "short-bursts", "wide"],
)
def test_bench(config, stalls):
    parameters = {"config": config.to_dict(), "stalls": stalls}
    run_bench(Fetch(config), "fetch", parameters=parameters)


def test_header_offsets():
    names = ("magic", "version", "parameter_hash", "instructions", "checksum")
    assert [header_offset(name) for name in names] == [0, 4, 8, 12, 16]
