"""Energies: the table, its mistakes, and events of which the sum is known."""

import re

import pytest

from ageha.hw.config import override, preset
from ageha.hw.registers import COUNTERS
from ageha.sw import energy
from ageha.sw.energy import EnergyError, default_table, measure_energy, parse_table, read_table

BASE = preset("base")
TEXT = """
title = "round numbers"
multiply_8 = 64
add_32 = 32
memory_64 = 8
memory_bytes = 1024
memory_exponent = 1
register_32 = 32
dram_64 = 80
cycle = 5
"""
ROUND = parse_table(TEXT, "round.toml")


def counters(**counted):
    """Return all counters; those that are not given are zero."""
    names = {counter.name for counter in COUNTERS}
    assert set(counted) <= names
    return dict.fromkeys(names, 0) | counted


def test_default_table_is_that_of_the_figure():
    table = default_table()
    assert "ISSCC 2014" in table.title
    assert (table.multiply(8, 8), table.add(32)) == (0.2, 0.1)
    # Figures that the scaling laws must meet: 32-bit multiply 3.1 pJ, 8-bit add 0.03 pJ,
    # 8, 32 KiB and 1 MiB of cache 10, 20 and 100 pJ a word.
    assert table.multiply(32, 32) == pytest.approx(3.1, rel=0.05)
    assert table.add(8) == pytest.approx(0.03, rel=0.2)
    sizes = [table.memory_word(kibibytes << 10) for kibibytes in (8, 32, 1024)]
    assert sizes == pytest.approx([10, 20, 100], rel=0.15)
    assert table.register(32) == pytest.approx(table.memory_word(4) / 2, rel=0.01)
    assert 1300 <= table.dram_64 <= 2600


@pytest.mark.parametrize(
    ("counted", "part", "expected"),
    [
        # A product, a sum, two operands of 8 bits and the accumulator read and written.
        ({"array_multiplies": 3}, "array", 3 * (64 + 32 + 16 + 64)),
        # Four results a word: 32 x 16 bits, accumulator and scale.
        ({"array_written_words": 2}, "array", 8 * (64 * 8 + 32 + 16)),
        ({"butterfly_multiplies": 2}, "butterfly", 2 * (18 * 16 + 34 + 68)),
        ({"vector_beats": 1}, "vector", 16 * 2 * (18 * 18 + 36)),
        ({"array_read_lines": 2}, "scratchpad", 2 * 16 * 8 * 32),
        ({"load_written_words": 5}, "scratchpad", 5 * 8 * 32),
        ({"dram_read_bytes": 16, "dram_written_bytes": 8}, "dram", 240),
        ({"cycles": 7}, "base", 35),
    ],
)
def test_events(counted, part, expected):
    found = measure_energy(counters(**counted), BASE, ROUND)
    assert found.parts[part] == expected
    assert found.total == sum(found.parts.values())
    assert found.delay_product == found.total * counted.get("cycles", 0)


def test_every_counter_of_traffic_costs_energy():
    names = [item.name for item in COUNTERS if item.name.endswith(("_lines", "_words"))]
    assert len(names) == 8
    for name in names:
        assert measure_energy(counters(**{name: 1}), BASE, ROUND).scratchpad > 0


def test_larger_banks_cost_more():
    large = override(BASE, {"scratchpad.bytes": 2 << 20})
    words = counters(store_read_lines=1)
    found = [measure_energy(words, config, ROUND).scratchpad for config in (BASE, large)]
    assert found[1] == 4 * found[0]


@pytest.mark.parametrize(
    ("entry", "replacement", "text"),
    [
        ("add_32 = 32", "", "e.toml: add_32 is missing"),
        ("add_32 = 32", "add_32 = -1", "add_32 must be a number from 0 to 1e+09 pJ, not -1"),
        ("add_32 = 32", "add_32 = true", "add_32 must be a number from 0 to 1e+09 pJ, not True"),
        ("add_32 = 32", "add_32 = nan", "not nan"),
        ("add_32 = 32", "add_32 = 'much'", "not 'much'"),
        ("add_32 = 32", "add_32 = 1\nwire = 2", "wire is no entry; choose from title, multiply_8"),
        ("memory_bytes = 1024", "memory_bytes = 0", "from 1 to 1e+09 bytes, not 0"),
        ("memory_exponent = 1", "memory_exponent = 3", "from 0 to 2, not 3"),
        ('title = "round numbers"', "title = 3", "title must be a text, not 3"),
        ("add_32 = 32", "add_32 = ", "e.toml: is no TOML"),
    ],
)
def test_a_wrong_table_is_refused(entry, replacement, text):
    with pytest.raises(EnergyError, match=re.escape(text)) as caught:
        parse_table(TEXT.replace(entry, replacement), "e.toml")
    assert "\n" not in str(caught.value)


def test_files(tmp_path):
    assert read_table(None) is default_table()
    path = tmp_path / "e.toml"
    with pytest.raises(EnergyError, match=r"e\.toml: cannot be read"):
        read_table(path)
    path.write_text(TEXT)
    assert read_table(path) == ROUND
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(EnergyError, match="is no text file"):
        read_table(path)


def test_parts_are_all_of_the_energy():
    names = [name for name in energy.Energy.__dataclass_fields__ if name != "cycles"]
    assert tuple(names) == energy.ENERGY_PARTS
