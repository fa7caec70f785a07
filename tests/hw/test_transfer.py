"""Transfers: instruction fields, checks and bursts of the golden model; windows and signatures."""

import numpy as np
import pytest

from ageha.hw.axi import Axi4Signature, AxiLiteSignature
from ageha.hw.config import ConfigError, preset
from ageha.hw.isa import ErrorCode, Load, Opcode, Store
from ageha.hw.transfer import TransferCheck
from ageha.hw.window import WindowCheck, window_layout
from ageha.verif.golden.fault import Fault
from ageha.verif.golden.load import load
from ageha.verif.golden.scratchpad import Scratchpad
from ageha.verif.golden.store import store
from ageha.verif.golden.transfer import Burst, Transfer
from ageha.verif.golden.window import Window

BASE = preset("base")
WINDOWS = [Window(), Window(0x1000, 0x1000, True, True), Window(0x4000, 0x100, True, False)]
LEGAL = Transfer(rows=3, row_words=5, window=1, offset=64, stride=128, address=9, pitch=7)


def changed(**fields):
    return Transfer(**(LEGAL.__dict__ | fields))


def test_instruction_words_round_trip():
    transfer = Transfer(65535, 1, 255, (1 << 48) - 1, (1 << 32) - 1, (1 << 32) - 2, 65534)
    assert Transfer.unpack(transfer.pack(Opcode.STORE)) == transfer
    assert transfer.pack(Opcode.STORE)[0] == Opcode.STORE.value


def test_load_and_store_share_a_layout():
    assert list(Load.as_shape()) == list(Store.as_shape())


def test_window_is_packed_like_the_hardware():
    window = Window(0x123456789A, 0xFEDCBA9876, False, True)
    fields = window_layout.from_bits(window.pack())
    assert (fields.base, fields.size) == (window.base, window.size)
    assert (fields.readable, fields.writable) == (0, 1)


@pytest.mark.parametrize(
    ("fields", "code", "address"),
    [
        ({"rows": 0}, ErrorCode.ILLEGAL_OPERAND, 64),
        ({"row_words": 0, "address": 1 << 31}, ErrorCode.ILLEGAL_OPERAND, 64),
        ({"offset": 72}, ErrorCode.ILLEGAL_OPERAND, 72),
        ({"rows": 1, "stride": 8}, ErrorCode.ILLEGAL_OPERAND, 64),
        ({"address": 65536 - 18, "window": 9}, ErrorCode.SCRATCHPAD_RANGE, 65536),
        ({"window": 0}, ErrorCode.WINDOW, 64 + 2 * 128 + 39),
        ({"window": 3}, ErrorCode.WINDOW, 64 + 2 * 128 + 39),
        ({"window": 2, "stride": 80}, ErrorCode.WINDOW, 64 + 2 * 80 + 39),
    ],
)
def test_illegal_transfers(fields, code, address):
    memory = np.zeros(0x8000, dtype=np.uint8)
    with pytest.raises(Fault) as fault:
        load(BASE, changed(**fields), WINDOWS, memory, Scratchpad(BASE))
    assert (fault.value.code, fault.value.address) == (code, address)


def test_permission_of_a_store():
    transfer = changed(window=2, rows=1)
    memory = np.zeros(0x8000, dtype=np.uint8)
    load(BASE, transfer, WINDOWS, memory, Scratchpad(BASE))
    with pytest.raises(Fault, match="WINDOW"):
        store(BASE, transfer, WINDOWS, memory, Scratchpad(BASE))


def test_misaligned_window_is_refused():
    with pytest.raises(Fault, match="ILLEGAL_OPERAND"):
        LEGAL.check(BASE, [Window(), Window(0x1008, 0x1000, True, True)], "readable")


def test_transfer_that_fills_its_window():
    Transfer(1, 32, 2, 0, 0, 65536 - 32, 0).check(BASE, WINDOWS, "readable")


def test_load_then_store_moves_the_rows():
    memory = np.arange(0x8000).astype(np.uint8)
    scratchpad = Scratchpad(BASE)
    load(BASE, LEGAL, WINDOWS, memory, scratchpad)
    result = np.zeros_like(memory)
    store(BASE, LEGAL, WINDOWS, result, scratchpad)
    rows = 0x1040 + 128 * np.arange(3)[:, None] + np.arange(40)
    assert np.array_equal(result[rows], memory[rows])
    result[rows] = 0
    assert not result.any()


def test_burst_beyond_the_memory_is_a_decode_error():
    memory = np.zeros(0x1100, dtype=np.uint8)
    with pytest.raises(Fault) as fault:
        load(BASE, LEGAL, WINDOWS, memory, Scratchpad(BASE))
    assert fault.value.code == ErrorCode.READ_DECODE_ERROR
    assert fault.value.address == 0x1040 + 2 * 128
    with pytest.raises(Fault, match="WRITE_DECODE_ERROR"):
        store(BASE, LEGAL, WINDOWS, memory, Scratchpad(BASE))


def test_bursts_end_at_multiples_of_the_longest():
    transfer = changed(rows=2, row_words=41, stride=0x200)
    assert list(transfer.bursts(BASE, 0x1FF0)) == [
        Burst(0x1FF0, 1),
        Burst(0x2000, 16),
        Burst(0x2100, 4),
        Burst(0x21F0, 1),
        Burst(0x2200, 16),
        Burst(0x2300, 4),
    ]


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_parameters_are_checked():
    with pytest.raises(ConfigError, match="permission must be readable or writable, not 'both'"):
        WindowCheck(BASE, "both")
    with pytest.raises(ConfigError, match="permission"):
        TransferCheck(BASE, "executable")
    with pytest.raises(ConfigError, match="data_width must be 32 or 64, not 16"):
        AxiLiteSignature(8, 16)
    with pytest.raises(ConfigError, match="address_width must be from 1 to 64, not 0"):
        AxiLiteSignature(0)
    assert TransferCheck(BASE, "writable").permission == "writable"


def test_axi_has_the_standard_signals():
    members = Axi4Signature(BASE).members
    for channel, names in {
        "aw": "id addr len size burst cache prot valid ready",
        "w": "data strb last valid ready",
        "b": "id resp valid ready",
        "ar": "id addr len size burst cache prot valid ready",
        "r": "id data resp last valid ready",
    }.items():
        for name in names.split():
            assert f"{channel}{name}" in members
