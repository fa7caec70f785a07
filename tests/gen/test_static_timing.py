"""Paths of a netlist before placement: sums of cells and wires, and what has none."""

import json

import pytest

from ageha.gen.placement import Hop
from ageha.gen.static_timing import estimate
from ageha.gen.synthesis import SynthesisError

WIRE = 0.9
CLOCK = 2


def cell(kind, **ports):
    wires = {port: [bits] if isinstance(bits, int | str) else bits for port, bits in ports.items()}
    return {"type": kind, "connections": wires}


def flip_flop(d, q, ce="1"):
    return cell("TRELLIS_FF", CLK=CLOCK, CE=ce, LSR="0", DI=d, Q=q)


def found(folder, **cells):
    cells = {name.replace("__", "."): item for name, item in cells.items()}
    target = folder / "netlist.json"
    target.write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    return estimate(target, "top")


def test_logic_between_flip_flops(tmp_path):
    """The wire to the flip-flop beside its look-up table is none."""
    paths = found(
        tmp_path,
        a__first_TRELLIS_FF_Q=flip_flop(20, 10),
        a__x_LUT4_Z=cell("LUT4", A=10, B="0", C="0", D="0", Z=11),
        b__y_LUT4_Z=cell("LUT4", A=11, B=10, C="0", D="0", Z=12),
        b__last_TRELLIS_FF_Q=flip_flop(12, 13),
    )
    nanoseconds = 0.52 + 2 * (WIRE + 0.24)
    assert paths.delays["b.last_TRELLIS_FF_Q"] == pytest.approx(nanoseconds)
    assert paths.delays["a.first_TRELLIS_FF_Q"] == pytest.approx(WIRE)
    longest = paths.longest
    assert (longest.start, longest.end) == ("a.first", "b.last")
    assert longest.fmax_mhz == round(1000 / nanoseconds, 2)
    assert longest.path == (Hop("a", 1.66), Hop("b", 1.14))
    assert paths.slower(2.0) == {"b": 1}
    assert paths.slower(3.0) == {}


def test_carry_chains_and_multiplexers_need_no_wires(tmp_path):
    paths = found(
        tmp_path,
        first=flip_flop(30, 10),
        low=cell("CCU2C", A0=10, B0="0", A1="0", B1="0", CIN="0", COUT=11, S0=40, S1=41),
        high=cell("CCU2C", A0="0", B0="0", A1="0", B1="0", CIN=11, S0=42, S1=12, COUT=43),
        one=cell("LUT4", A=12, B="0", C="0", D="0", Z=13),
        both=cell("PFUMX", ALUT=13, BLUT=13, C0="0", Z=14),
        last=flip_flop(14, 15),
    )
    carry = WIRE + 0.45 + 0.44
    assert paths.delays["last"] == pytest.approx(0.52 + carry + WIRE + 0.24 + 0.17)


def test_memories_multipliers_and_many_loads(tmp_path):
    many = {f"end{index}": flip_flop(11, 100 + index) for index in range(50)}
    paths = found(
        tmp_path,
        memory=cell("DP16KD", CLKA=CLOCK, ADA0=9, DOA0=10, WEA="0"),
        product=cell("MULT18X18D", A0=10, B0=10, P3=11),
        small=cell("TRELLIS_DPR16X4", RAD=[11], WAD=[9], DI=[9], WRE=9, WCK=CLOCK, DO=[12]),
        **many,
    )
    product = 5.6 + WIRE + 3.9
    assert paths.delays["end0"] == pytest.approx(product + WIRE + 0.8)
    assert paths.delays["small"] == pytest.approx(WIRE)
    assert paths.longest.start == "memory"
    assert sum(paths.slower(10).values()) == len(many)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"odd": cell("EHXPLLL", CLKI=1)}, "odd is a cell EHXPLLL, whose delay is not known"),
        ({"alone": flip_flop(5, 6)}, "no path from a register through logic"),
        (
            {
                "x": cell("LUT4", A=7, B="0", C="0", D="0", Z=8),
                "y": cell("LUT4", A=8, B="0", C="0", D="0", Z=7),
                "end": flip_flop(8, 9),
            },
            "is in a loop without a register",
        ),
    ],
)
def test_what_has_no_paths_is_refused(cells, message, tmp_path):
    with pytest.raises(SynthesisError, match=message):
        found(tmp_path, **cells)
