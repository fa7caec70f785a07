"""Picks the N largest magnitudes of every M elements of a beat."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .compressed_reader import index_bits
from .config import AcceleratorConfig, ConfigError
from .delay import DelayLine
from .kept_shape import KEEP_BITS, LOG_GROUP_BITS

_MAGNITUDE_BITS = 7


def kept_element_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A value and its place in its block of the array; a zero has place 0."""
    return data.StructLayout({"value": 8, "index": index_bits(config)})


def kept_beat_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A beat of a row with what is kept of it.

    Kept elements have the `places` 0, 1, 2 ... in their order. `first` and `last` of the row.
    """
    lanes = config.vector_lanes
    return data.StructLayout(
        {
            "valid": 1,
            "first": 1,
            "last": 1,
            "kept": lanes,
            "places": data.ArrayLayout(range(lanes), lanes),
            "elements": data.ArrayLayout(kept_element_layout(config), lanes),
        }
    )


class StructuredSelector(wiring.Component):
    """Keeps N of every M elements, M a power of two up to `largest_kept_group`.

    Every element counts the others of its group that come before it: those of a larger magnitude,
    and of an equal one those in a lower lane. It is kept if these are fewer than N. All pairs of
    the largest group are compared at once; smaller groups take some of the comparisons.
    Throughput one beat a cycle; nothing stalls.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clear : in
        Forget all beats.
    keep, log_group : in
        N, and the logarithm of M; stable while there are beats.
    valid, first, last : in
        There is a beat; it begins, ends a row.
    elements : in, int8 [lanes]
        From -127 to 127; zero beyond the row.
    output : out, `kept_beat_layout`
        `LATENCY` cycles later.

    Raises
    ------
    ConfigError
        If the parameters leave out compressed activations.
    """

    LATENCY = 6

    def __init__(self, config: AcceleratorConfig) -> None:
        if not config.largest_kept_group:
            raise ConfigError(
                "array.block must be 4, 8 or 16 and vector.kept_slots from 64, not "
                f"{config.array.block} and {config.vector.kept_slots}: nothing is selected"
            )
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "keep": In(KEEP_BITS),
                "log_group": In(LOG_GROUP_BITS),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "elements": In(data.ArrayLayout(signed(8), config.vector_lanes)),
                "output": Out(kept_beat_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The accelerator's parameters."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return magnitudes, comparisons, ranks, choice and places, a stage each."""
        m = Module()
        lanes = self.config.vector_lanes
        logs = range(1, self.config.largest_kept_group.bit_length())
        # Bit g says that groups have at least 2^g elements.
        at_least = Signal(max(logs) + 1)
        m.d.sync += at_least.eq(Cat(Const(1), *(self.log_group >= log for log in logs)))

        magnitudes = [Signal(_MAGNITUDE_BITS, name=f"magnitude_{lane}") for lane in range(lanes)]
        for element, magnitude in zip(self.elements, magnitudes, strict=True):
            m.d.sync += magnitude.eq(Mux(element < 0, -element, element))
        kept = self._choose(m, magnitudes, at_least)
        self._place(m, kept, at_least)
        self._carry(m)
        return m

    def _partners(self, lane: int) -> list[int]:
        """Return the lanes of the largest group of `lane`, but itself."""
        largest = self.config.largest_kept_group
        first = lane - lane % largest
        return [other for other in range(first, first + largest) if other != lane]

    def _choose(self, m: Module, magnitudes: list[Signal], at_least: Signal) -> list[Signal]:
        """Return which lanes are kept, three cycles after the magnitudes."""
        lanes = range(self.config.vector_lanes)
        holds = {}
        for low in lanes:
            for high in (other for other in self._partners(low) if other > low):
                holds[low, high] = Signal(name=f"holds_{low}_{high}")
                m.d.sync += holds[low, high].eq(magnitudes[low] >= magnitudes[high])
        kept = []
        for lane in lanes:
            before = []
            for other in self._partners(lane):
                wins = holds[other, lane] if other < lane else ~holds[lane, other]
                before.append(wins & at_least[(lane ^ other).bit_length()])
            rank = Signal(range(len(before) + 1), name=f"rank_{lane}")
            chosen = Signal(name=f"kept_{lane}")
            m.d.sync += [rank.eq(_count(before)), chosen.eq(rank < self.keep)]
            kept.append(chosen)
        return kept

    def _place(self, m: Module, kept: list[Signal], at_least: Signal) -> None:
        """Number what is kept: N for every group before, and those before in the group."""
        output = self.output
        for lane, chosen in enumerate(kept):
            before = [
                kept[other] & at_least[(lane ^ other).bit_length()]
                for other in self._partners(lane)
                if other < lane
            ]
            place = Signal(range(self.config.vector_lanes), name=f"place_{lane}")
            base = Signal(range(self.config.vector_lanes), name=f"base_{lane}")
            base_of: Value = Const(0)
            for log in range(1, self.config.largest_kept_group.bit_length()):
                base_of = Mux(at_least[log], (lane >> log) * self.keep, base_of)
            delayed = Signal(name=f"delayed_{lane}")
            m.d.sync += [
                base.eq(base_of),
                place.eq(_count(before)),
                delayed.eq(chosen),
                output.kept[lane].eq(delayed),
                output.places[lane].eq(base + place),
            ]

    def _carry(self, m: Module) -> None:
        """Take values, indices and the tag along."""
        lanes, block = self.config.vector_lanes, self.config.array.block
        element = kept_element_layout(self.config)
        width = lanes * element.size + 2
        m.submodules.elements = line = DelayLine(width, self.LATENCY - 1)
        beats = max(1, block // lanes)
        beat = Signal(range(beats))
        with m.If(self.valid):
            m.d.sync += beat.eq(Mux(self.last, 0, beat + 1))
        with m.If(self.clear):
            m.d.sync += beat.eq(0)
        elements = []
        width = index_bits(self.config)
        for lane, value in enumerate(self.elements):
            index = (beat * lanes + lane if beats > 1 else Const(lane % block))[:width]
            elements.append(Cat(value, Mux(value == 0, 0, index), Const(0, width - len(index))))
        m.d.comb += line.input.eq(Cat(self.first, self.last, *elements))
        m.d.sync += Cat(self.output.first, self.output.last, self.output.elements.as_value()).eq(
            line.output
        )
        valid = Signal(self.LATENCY)
        m.d.sync += valid.eq(Mux(self.clear, 0, Cat(self.valid, valid)))
        m.d.comb += self.output.valid.eq(valid[-1])


def _count(bits: list[Value]) -> Value:
    """Return how many of `bits` are set, as a balanced tree of adders."""
    values: list[Value] = list(bits) or [Const(0, 1)]
    while len(values) > 1:
        pairs = [
            values[number] + values[number + 1] if number + 1 < len(values) else values[number]
            for number in range(0, len(values), 2)
        ]
        values = pairs
    return values[0]
