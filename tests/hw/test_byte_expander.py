"""The byte expander, for vectors of several lengths."""

import pytest

from ageha.hw.byte_expander import ByteExpander
from ageha.hw.config import ConfigError
from ageha.verif.benches.byte_expander import TAG_BITS
from ageha.verif.simulator import run_bench


@pytest.mark.parametrize("size", [2, 4, 16])
def test_bench(size):
    expander = ByteExpander(size, TAG_BITS)
    assert run_bench(expander, "byte_expander", parameters={"size": size}) == 2


@pytest.mark.parametrize("size", [1, 12, 128, True])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(ConfigError, match="size must be a power of two from 2 to 64, not"):
        ByteExpander(size, TAG_BITS)
