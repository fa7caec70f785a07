"""The order in which the butterfly unit works: passes, groups of words, beats, coefficients.

All of it is bits of counters, permuted. The *element index* of a vector's elements is the number of
a point on the axis HIDDEN. On TOKENS it is four times the number of a point (a row) plus the
column in the word; either way its two lowest bits are the place in a word.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .config import ConfigError

WORD_BITS = 2
"""Log2 of the numbers in a word."""

FOLDED = 3
"""Factors of a folded pass."""

MAXIMUM_LOG_POINTS = 13
MAXIMUM_POINTS = 1 << 15
"""Most points of a vector, over all its blocks."""

MAXIMUM_TURNS = 256
"""Most blocks of vectors, each of which fills the lanes, in an instruction."""


def pass_lengths(stages: int, chained: int) -> tuple[int, ...]:
    """Return how many factors each pass applies.

    That is `chained`. A single one that is left over (of two) belongs to the last pass, which is
    *folded*: two stages do the work of three in one and a half times as many cycles.
    """
    if stages > chained and stages % chained:
        return (*(chained for _ in range(stages // chained - 1)), chained + 1)
    return (*(chained for _ in range(stages // chained)), *(stages,)[: stages % chained])


def pack_growths(growths: Sequence[int]) -> int:
    """Return `isa.Butterfly.growths` for the growth behind each factor since its pass began.

    Raises
    ------
    ConfigError
        If one is not from -8 to 7, or there are more than 13.
    """
    if len(growths) > MAXIMUM_LOG_POINTS:
        raise ConfigError(f"growths must be at most {MAXIMUM_LOG_POINTS}, not {len(growths)}")
    word = 0
    for index, growth in enumerate(growths):
        if not -8 <= growth <= 7:
            raise ConfigError(f"growth of factor {index} must be -8 to 7, not {growth}")
        word |= (growth & 15) << 4 * index
    return word


@dataclass(frozen=True)
class Pass:
    """What one pass does, and in which groups of words it visits a vector.

    A group is the elements whose indices differ in the two lowest bits and in those from `window`
    on: 2^`window_bits` words. Its elements have *local* numbers, in which these bits come first.

    Parameters
    ----------
    first : int
        Number of its first factor.
    bits : tuple of int
        Bit of the element index that each of its factors combines.
    window : int
    window_bits : int
        2, or 3 in a pass of three factors.
    """

    first: int
    bits: tuple[int, ...]
    window: int
    window_bits: int

    @property
    def local_bits(self) -> tuple[int, ...]:
        """The bits of a local number that the factors combine, and one more if there is but one.

        That one lets the points of a short pass through a longer chain.
        """
        local = tuple(self.local(bit) for bit in self.bits)
        return local if len(local) > 1 else (*local, int(local[0] == 0))

    @property
    def beats(self) -> int:
        """Beats of a group: a pair a lane each."""
        return 1 << (self.window_bits + 1)

    def local(self, bit: int) -> int:
        """Return the bit of a local number that is `bit` of the element index."""
        return bit if bit < WORD_BITS else bit - self.window + WORD_BITS

    def pair(self, factor: int, beat: int) -> tuple[int, int]:
        """Return the local numbers of the pair that factor `factor` of the pass takes in a beat.

        The lowest bits of `beat` count through a set, whose pairs differ in the bits of the other
        factors, the first factor lowest; then come the other bits, the lowest first.
        """
        own = self.local_bits[factor]
        inside = [bit for bit in self.local_bits if bit != own]
        others = [bit for bit in range(self.window_bits + WORD_BITS) if bit not in self.local_bits]
        number = sum((beat >> place & 1) << bit for place, bit in enumerate([*inside, *others]))
        return number, number | 1 << own

    def element(self, group: int, local: int) -> int:
        """Return the element index of local number `local` in group number `group`."""
        place, word = local & 3, local >> WORD_BITS
        low_bits = self.window - WORD_BITS
        low, high = group & (1 << low_bits) - 1, group >> low_bits
        return (((high << self.window_bits | word) << low_bits) | low) << WORD_BITS | place

    def groups(self, words: int) -> int:
        """Return how many groups vectors of `words` words have; the last may be filled in part."""
        return -(-words >> self.window_bits)


def plan_passes(
    chained: int,
    log_points: int,
    log_stride: int,
    stages: int,
    *,
    decreasing: bool = False,
    tokens: bool = False,
    bit_reversed: bool = False,
) -> list[Pass]:
    """Return the passes of an instruction; the arguments are its fields and the chained stages."""
    base = WORD_BITS if tokens else 0
    order = [log_stride - i if decreasing else log_stride + i for i in range(stages)]
    passes, first = [], 0
    for length in pass_lengths(stages, chained):
        bits = tuple(base + bit for bit in order[first : first + length])
        window_bits = max(2, length)
        # The window holds what the factors combine and, where that leaves room, a lower bit.
        window = max(WORD_BITS, max(bits) + 1 - window_bits)
        if first == 0 and bit_reversed and not tokens:
            window = max(WORD_BITS, log_points - window_bits)
        passes.append(Pass(first, bits, window, window_bits))
        first += length
    return passes


def coefficient_order(
    passes: Sequence[Pass], lanes: int, points: int, *, tokens: bool = False
) -> Iterator[tuple[int, int] | None]:
    """Yield factor and pair of each word at `coefficient_address`; none for a word without use.

    The words of a pass are the beats of its groups in order, `lanes` of them for its first
    factor, as many for its second, and so on; what is missing to whole lines is filled.

    Parameters
    ----------
    passes : sequence of Pass
    lanes : int
        Words of a line.
    points : int
        Of a vector, over all blocks; pairs are counted through all of them.
    tokens : bool
        Whether points are rows.
    """
    shift = WORD_BITS if tokens else 0
    words = points if tokens else -(-points >> WORD_BITS)
    for each in passes:
        beats = each.groups(words) * each.beats
        for begin in range(0, beats, lanes):
            for factor, bit in enumerate(each.bits):
                for beat in range(begin, begin + lanes):
                    group, inside = divmod(beat, each.beats)
                    first, _ = each.pair(factor, inside)
                    point = each.element(group, first) >> shift
                    log_stride = bit - shift
                    pair = (point >> log_stride + 1) << log_stride | point & (1 << log_stride) - 1
                    used = beat < beats and point < points
                    yield (each.first + factor, pair) if used else None


def pass_cycles(each: Pass, words: int) -> int:
    """Return the cycles of a pass over one vector a lane: a beat, folded two thirds of one, each.

    Parameters
    ----------
    each : Pass
    words : int
        Words of a vector, as in `Pass.groups`.
    """
    beats = each.groups(words) * each.beats
    return beats * 3 // 2 if len(each.bits) == FOLDED else beats
