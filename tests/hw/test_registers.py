"""The register map, the register file and the golden model of it."""

import pytest

from ageha.hw.config import override, preset
from ageha.hw.isa import MAGIC, VERSION
from ageha.hw.register_file import RegisterFile
from ageha.hw.registers import ADDRESS_BITS, DATA_BITS, register_map
from ageha.verif.golden.registers import Registers
from ageha.verif.simulator import run_bench

TINY = preset("tiny")
FEW = override(TINY, {"controller.windows": 1})
MANY = override(TINY, {"controller.windows": 8})


@pytest.mark.parametrize("config, stalls", [(TINY, 0.0), (FEW, 0.5)])
def test_bench(config, stalls):
    parameters = {"config": config.to_dict(), "stalls": stalls}
    run_bench(RegisterFile(config), "registers", parameters=parameters)


@pytest.mark.parametrize("config", [FEW, TINY, MANY])
def test_map_is_consistent(config):
    registers = register_map(config)
    offsets = [register.offset for register in registers]
    assert offsets == sorted(set(offsets))
    assert all(offset % 4 == 0 and offset < 1 << ADDRESS_BITS for offset in offsets)
    assert len({register.name for register in registers}) == len(registers)
    for register in registers:
        masks = [field.mask for field in register.fields]
        assert sum(masks) < 1 << DATA_BITS
        assert all(not a & b for i, a in enumerate(masks) for b in masks[:i])
        assert all(field.reset < 1 << field.width for field in register.fields)


def test_map_follows_the_layout_of_hls_kernels():
    registers = {register.name: register for register in register_map(TINY)}
    assert registers["control"].offset == 0x00
    bits = [registers["control"].field(name).low for name in ("start", "done", "idle", "ready")]
    assert bits == [0, 1, 2, 3]
    assert registers["global_interrupt_enable"].offset == 0x04
    assert registers["interrupt_enable"].offset == 0x08
    assert registers["interrupt_status"].offset == 0x0C


def test_identity_is_that_of_the_parameters():
    golden = Registers(TINY)
    assert [golden.read(offset) for offset in (0x10, 0x14, 0x18)] == [MAGIC, VERSION, TINY.hash]
    assert Registers(MANY).read(0x18) != TINY.hash


def test_absent_field_is_named():
    with pytest.raises(KeyError, match="control has no field pause"):
        register_map(TINY)[0].field("pause")


def test_golden_refuses_the_wrong_kind_of_field():
    golden = Registers(TINY)
    with pytest.raises(ValueError, match="control.start is not read-only"):
        golden.show("control", "start", 1)
    with pytest.raises(ValueError, match="watchdog.cycles notes no events"):
        golden.event("watchdog", "cycles")
    with pytest.raises(ValueError, match="control.done is not set by a write"):
        golden.clear("control", "done")
