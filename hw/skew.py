"""Where the lanes of a scratchpad access lie: depths of the banks, rotation of the lanes."""

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .ports import address_width


class BankDepths(wiring.Component):
    """Depth of the word that each bank reads or writes in one access; latency one cycle.

    Lane l touches word ``address + l·pitch`` with a pitch of 1 modulo L, which bank
    ``(address + l) mod L`` holds at depth ``(address + l) div L + l·(pitch div L)``. With
    ``r = address mod L`` and ``p = pitch div L``, bank b therefore holds lane ``(b - r) mod L``
    at depth ``(address div L - r·p) + b·p``, plus ``L·p + 1`` where b < r: multiples of p by
    constants and one product of a few bits, instead of a network that rotates L depths.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the number of banks L and their depth.

    Members
    -------
    enable : in
        Take an access; else the last one stays.
    address, pitch : in
        Of the access, in words. The low log2(L) bits of the pitch are ignored: they are a one.
    depth : out, array of L
        Depth in each bank, modulo the depth of a bank.
    rotation : out
        Bank of lane 0.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        depth = (config.bank_depth - 1).bit_length()
        super().__init__(
            {
                "enable": In(1),
                "address": In(address_width(config)),
                "pitch": In(16),
                "depth": Out(data.ArrayLayout(unsigned(depth), config.lanes)),
                "rotation": Out((config.lanes - 1).bit_length()),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the arithmetic."""
        m = Module()
        lanes = self.config.lanes
        width = len(self.depth[0])
        rotation = self.address[: len(self.rotation)]
        pitch = self.pitch[len(rotation) :]
        row = self.address[len(rotation) :]
        # Written as sums, since a synthesiser would spend multipliers on these few bits.
        terms = [Mux(bit, pitch << level, 0) for level, bit in enumerate(rotation)]
        step = Signal(width)
        unwrapped_row = Signal(width)
        wrapped_row = Signal(width)
        skewed = Signal(width)
        with m.If(self.enable):
            m.d.sync += [
                self.rotation.eq(rotation),
                step.eq(pitch),
                unwrapped_row.eq(row),
                wrapped_row.eq(row + (pitch * lanes | 1)),
                skewed.eq(sum(terms)),
            ]

        first = Signal(width)
        wrapped = Signal(width)
        m.d.comb += [first.eq(unwrapped_row - skewed), wrapped.eq(wrapped_row - skewed)]
        for bank, multiple in enumerate(_multiples(m, step, lanes, width)):
            m.d.comb += self.depth[bank].eq(Mux(bank < self.rotation, wrapped, first) + multiple)
        return m


def _multiples(m: Module, value: Value, count: int, width: int) -> list[Value]:
    """Return 0, 1 ... `count` - 1 times `value`, each at most one addition from an earlier one."""
    multiples = [Const(0, width), value[:width]]
    for factor in range(2, count):
        if factor % 2 == 0:
            product = multiples[factor // 2] << 1
        elif factor % 4 == 1:
            product = (multiples[factor // 4] << 2) + value
        else:
            product = (multiples[factor // 4 + 1] << 2) - value
        multiples.append(Signal(width, name=f"multiple{factor}"))
        m.d.comb += multiples[-1].eq(product)
    return multiples


def banks_to_lanes(m: Module, words: Value, rotation: Value, name: str) -> Value:
    """Rotate one field a bank so that bank `rotation` comes first; log2(L) levels deep.

    Parameters
    ----------
    m : Module
        Takes the multiplexers.
    words : Value
        L equal fields, bank 0 lowest.
    rotation : Value
        log2(L) bits: the bank of lane 0.
    name : str
        Prefix of the signals between the levels.
    """
    field = len(words) >> len(rotation)
    for level, bit in enumerate(rotation):
        rotated = Signal(len(words), name=f"{name}_level{level}")
        m.d.comb += rotated.eq(Mux(bit, words.rotate_right(field << level), words))
        words = rotated
    return words


def lanes_to_banks(m: Module, words: Value, rotation: Value, name: str) -> Value:
    """Undo `banks_to_lanes`."""
    field = len(words) >> len(rotation)
    for level, bit in enumerate(rotation):
        rotated = Signal(len(words), name=f"{name}_level{level}")
        m.d.comb += rotated.eq(Mux(bit, words.rotate_left(field << level), words))
        words = rotated
    return words
