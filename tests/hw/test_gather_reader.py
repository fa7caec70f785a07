"""The gathering of places of K for packed stationary weights."""

import numpy as np
import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ageha.hw.config import ConfigError, override, preset
from ageha.hw.gather_reader import GatherReader, gather_layout, place_layout
from ageha.hw.operand_reader import OperandReader, burst_layout
from ageha.hw.ports import ReadPortSignature
from ageha.verif.golden.gather_reader import gather, lines_read
from ageha.verif.simulator import run_bench

CONFIGS = {
    "tiny": {},
    "wide": {"array.columns": 8, "scratchpad.banks": 8},
    "square": {"array.rows": 8, "array.columns": 8, "scratchpad.banks": 8, "array.block": 8},
    "long": {"array.rows": 8, "scratchpad.banks": 16},
}


class GatheredOperand(wiring.Component):
    """Operand A with both of its sources."""

    def __init__(self, config):
        self.config = config
        elements = data.ArrayLayout(signed(8), config.array.rows)
        super().__init__(
            {
                "bursts": In(stream.Signature(burst_layout(config))),
                "announced": In(stream.Signature(gather_layout(config))),
                "places": In(stream.Signature(place_layout)),
                "operands": Out(ReadPortSignature(config)),
                "gather": Out(ReadPortSignature(config)),
                "idle": Out(1),
                "available": Out(1),
                "take": In(1),
                "step": In(1),
                "elements": Out(elements),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = OperandReader(self.config)
        m.submodules.gather_reader = gather_reader = GatherReader(self.config)
        wiring.connect(m, wiring.flipped(self.bursts), reader.a.bursts)
        wiring.connect(m, wiring.flipped(self.announced), gather_reader.operand)
        wiring.connect(m, wiring.flipped(self.places), gather_reader.places)
        wiring.connect(m, reader.read, wiring.flipped(self.operands))
        wiring.connect(m, gather_reader.read, wiring.flipped(self.gather))
        wiring.connect(m, gather_reader.fill, reader.fill)
        m.d.comb += [
            self.idle.eq(gather_reader.idle),
            self.available.eq(reader.a.available),
            reader.a.take.eq(self.take),
            reader.a.step.eq(self.step),
            self.elements.eq(reader.a.elements),
        ]
        return m


@pytest.mark.parametrize("name", ["tiny", "square"])
def test_gathered_chunks_keep_the_order(name):
    config = override(preset("tiny"), CONFIGS[name])
    values = {"config": config.to_dict(), "products": 60}
    run_bench(GatheredOperand(config), "gathered_operand", parameters=values)


@pytest.mark.parametrize("name", CONFIGS)
def test_gather_reader(name):
    config = override(preset("tiny"), CONFIGS[name])
    run_bench(
        GatherReader(config),
        "gather_reader",
        parameters={"config": config.to_dict(), "products": 30},
        testcase=["gathers"] if name == "wide" else None,
    )


def test_golden_chunks():
    a = np.arange(30, dtype=np.int8).reshape(10, 3)
    chunks = gather(a, [2, 0], 8)
    assert [chunk.shape for chunk in chunks] == [(2, 8), (2, 2)]
    assert chunks[1].tolist() == [[26, 29], [24, 27]]


def test_successive_places_in_the_same_words_share_a_line():
    assert lines_read([0, 7, 8, 9, 31], rows=9, lanes=4) == 3 * 3
    assert lines_read([5], rows=1, lanes=16) == 1


@pytest.mark.parametrize("name, value", [("array.block", 1), ("array.partial_rows", 0)])
def test_it_is_refused_where_flows_are_left_out(name, value):
    config = override(preset("tiny"), {name: value})
    with pytest.raises(
        ConfigError, match="at least 4 and array.partial_rows at least 16 to gather"
    ):
        GatherReader(config)
