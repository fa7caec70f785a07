"""Freedom from conflict in the scratchpad, proven."""

import numpy as np
import pytest
from amaranth.hdl import Assert, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ageha.hw.config import PRESETS, override, preset
from ageha.verif.formal.prover import ProofFailure, prove
from ageha.verif.formal.scratchpad import LanesFindTheirWords


class Claim(wiring.Component):
    """Claims something of its input, or nothing."""

    def __init__(self, claim):
        self.claim = claim
        super().__init__({"value": In(4)})

    def elaborate(self, platform):
        m = Module()
        if self.claim:
            m.d.comb += Assert(self.claim(self.value))
        return m


def test_prover_tells_true_from_false():
    prove(Claim(lambda value: value * value != 2))
    with pytest.raises(ProofFailure, match="Assert failed"):
        prove(Claim(lambda value: value != 13))
    with pytest.raises(ProofFailure, match="no assertion"):
        prove(Claim(None))


@pytest.mark.parametrize(
    "config",
    [preset("tiny"), override(preset("ecp5"), {"scratchpad.bytes": 4096})],
    ids=["tiny", "eight banks"],
)
def test_every_access_is_free_of_conflict(config):
    prove(LanesFindTheirWords(config), depth=2)


@pytest.mark.parametrize("name", PRESETS)
def test_address_arithmetic_exhaustively(name):
    """The formula that the hardware computes, for all pitches and lanes of every preset.

    The row of the address is added to both sides, so that a few of them stand for all.
    """
    config = PRESETS[name]
    lanes, depth = config.lanes, config.bank_depth
    step = np.arange((0xFFFF - 1) // lanes + 1)[:, None, None]
    rotation = np.arange(lanes)[None, :, None]
    lane = np.arange(lanes)[None, None, :]
    bank = (rotation + lane) % lanes
    for row in (0, 1, depth // 2, depth - 1):
        word = row * lanes + rotation + lane * (1 + lanes * step)
        wrapped = np.where(bank < rotation, lanes * step + 1, 0)
        computed = (row - rotation * step + bank * step + wrapped) % depth
        assert np.array_equal(word % lanes, np.broadcast_to(bank, word.shape))
        assert np.array_equal(word // lanes % depth, computed)
