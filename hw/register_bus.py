"""From AXI4-Lite to the strobes of a register file."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiLiteSignature
from .config import ConfigError

DATA_BITS = 32
STROBE_BITS = DATA_BITS // 8
WORD_SHIFT = 2


class RegisterBus(wiring.Component):
    """Turns AXI4-Lite transactions into single-cycle accesses of 32-bit words.

    Address and data of a write may come in either order. Every answer is OKAY.

    Parameters
    ----------
    address_bits : int
        Bits of a byte address, 3 to 32.

    Members
    -------
    s_axi : AXI4-Lite, seen from the slave
    write : strobe; register `write_word` takes `write_data` where `write_mask` has ones.
    write_word, write_data, write_mask : meant while `write` is high.
    read : high until `answered`; `read_data` is taken in the last of these cycles.
    read_word : stable from the first cycle of `read` to the next read.
    answered : in; only meant while `read` is high.
    read_data : what register `read_word` shows, a combinational function of it.

    Latency: read data is valid 2 cycles after its address was taken if `answered` is high, the
    write response 2 cycles after the later of address and data. Throughput: a read every 3 and a
    write every 2 cycles.
    """

    def __init__(self, address_bits: int) -> None:
        if not 3 <= address_bits <= 32:
            raise ConfigError(f"address_bits must be an integer from 3 to 32, not {address_bits}")
        self._address_bits = address_bits
        word_bits = address_bits - WORD_SHIFT
        super().__init__(
            {
                "s_axi": In(AxiLiteSignature(address_bits, DATA_BITS)),
                "write": Out(1),
                "write_word": Out(word_bits),
                "write_data": Out(DATA_BITS),
                "write_mask": Out(DATA_BITS),
                "read": Out(1),
                "answered": In(1),
                "read_word": Out(word_bits),
                "read_data": In(DATA_BITS),
            }
        )

    @property
    def address_bits(self) -> int:
        """Bits of a byte address."""
        return self._address_bits

    def elaborate(self, platform: object) -> Module:
        """Return the bus logic."""
        m = Module()
        self._accept_writes(m)
        self._accept_reads(m)
        return m

    def _accept_writes(self, m: Module) -> None:
        axi = self.s_axi
        have_address, have_data = Signal(), Signal()
        strobes = Signal(STROBE_BITS)
        m.d.comb += [
            axi.awready.eq(~have_address),
            axi.wready.eq(~have_data),
            self.write.eq(have_address & have_data & ~axi.bvalid),
            self.write_mask.eq(Cat(strobe.replicate(8) for strobe in strobes)),
        ]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [have_address.eq(1), self.write_word.eq(axi.awaddr >> WORD_SHIFT)]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [
                have_data.eq(1),
                self.write_data.eq(axi.wdata),
                strobes.eq(axi.wstrb),
            ]
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(self.write):
            m.d.sync += [have_address.eq(0), have_data.eq(0), axi.bvalid.eq(1)]

    def _accept_reads(self, m: Module) -> None:
        axi = self.s_axi
        m.d.comb += axi.arready.eq(~self.read & ~axi.rvalid)
        with m.If(axi.arready):
            m.d.sync += [
                self.read.eq(axi.arvalid),
                self.read_word.eq(axi.araddr >> WORD_SHIFT),
            ]
        with m.If(self.read & self.answered):
            m.d.sync += [
                self.read.eq(0),
                axi.rvalid.eq(1),
                axi.rdata.eq(self.read_data),
            ]
        with m.Elif(axi.rready):
            m.d.sync += axi.rvalid.eq(0)
