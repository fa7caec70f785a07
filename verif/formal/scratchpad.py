"""Properties of the scratchpad: no access has a conflict, and each finds the right words."""

from amaranth.hdl import Assert, Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ...hw.config import AcceleratorConfig
from ...hw.ports import address_width
from ...hw.skew import BankDepths, banks_to_lanes, lanes_to_banks


class LanesFindTheirWords(wiring.Component):
    """For every address and every pitch of 1 modulo L, lane l touches word ``address + l·pitch``.

    That is: the networks route lane l, and no other, to and from bank ``word mod L``, and that bank
    is addressed at depth ``word div L``; words count modulo the capacity.

    The second cycle from reset shows the answer to any access of the first.

    Parameters
    ----------
    config : AcceleratorConfig
        What is proven for.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        bank_bits = (config.lanes - 1).bit_length()
        super().__init__({"row": In(address_width(config) - bank_bits), "step": In(16 - bank_bits)})

    def elaborate(self, platform: object) -> Module:
        """Return the arithmetic of the hardware beside that of the specification."""
        m = Module()
        started = Signal()
        m.d.sync += started.eq(1)
        for rotation in range(self.config.lanes):
            self._elaborate_case(m, rotation, started)
        return m

    def _elaborate_case(self, m: Module, rotation: int, started: Signal) -> None:
        """Prove for the addresses of one first bank: a constant that makes each proof small."""
        lanes = self.config.lanes
        bank_bits = (lanes - 1).bit_length()
        m.submodules[f"depths{rotation}"] = depths = BankDepths(self.config)
        address = Cat(Const(rotation, bank_bits), self.row)
        pitch = Cat(Const(1, bank_bits), self.step)
        m.d.comb += [depths.enable.eq(1), depths.address.eq(address), depths.pitch.eq(pitch)]

        # A tag that each bank sends shows which bank a lane reads; likewise for writes.
        tags = Const(sum(n << bank_bits * n for n in range(lanes)), bank_bits * lanes)
        read_from = banks_to_lanes(m, tags, depths.rotation, f"read{rotation}")
        written_by = lanes_to_banks(m, tags, depths.rotation, f"write{rotation}")
        for lane in range(lanes):
            bank = (rotation + lane) % lanes
            word = Signal(len(address), name=f"word{rotation}_{lane}")
            m.d.sync += word.eq(address + lane * pitch)
            with m.If(started):
                m.d.comb += [
                    Assert(word[:bank_bits] == bank),
                    Assert(read_from.word_select(lane, bank_bits) == bank),
                    Assert(written_by.word_select(bank, bank_bits) == lane),
                    Assert(depths.depth[bank] == word[bank_bits:]),
                ]
