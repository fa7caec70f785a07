"""Addresses of the butterfly unit, proven."""

import pytest

from ageha.hw.config import preset
from ageha.verif.formal.butterfly import RequestsAreSkewed, WordsComeOnce
from ageha.verif.formal.prover import prove


def test_each_word_comes_once_a_pass():
    prove(WordsComeOnce())


@pytest.mark.parametrize("name", ["tiny", "base"])
def test_requests_have_a_skewed_pitch(name):
    prove(RequestsAreSkewed(preset(name)), depth=8)
