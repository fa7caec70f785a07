"""Model of the serial line: levels cycle by cycle, and the bytes in them."""

from collections.abc import Iterable, Sequence

from ...hw.uart import DATA_BITS, FRAME_BITS


def frame(byte: int, cycles: int) -> list[int]:
    """Return the levels of a byte on the line, `cycles` of each bit."""
    bits = [0, *((byte >> place) & 1 for place in range(DATA_BITS)), 1]
    return [bit for bit in bits for _ in range(cycles)]


def levels(data: Iterable[int], cycles: int) -> list[int]:
    """Return the levels of bytes that follow each other without a pause."""
    return [level for byte in data for level in frame(byte, cycles)]


def _vote(line: Sequence[int], middle: int) -> int:
    return int(sum(line[middle - 1 : middle + 2]) >= 2)


def decode(line: Sequence[int], cycles: int) -> list[int | None]:
    """Return what a receiver finds in the levels of a line.

    Parameters
    ----------
    line : sequence of int
        A level a cycle.
    cycles : int
        Cycles of a bit.

    Returns
    -------
    list of int or None
        Bytes in order; None is a framing error. A frame that the end cuts off is left out.
    """
    found: list[int | None] = []
    place = 0
    while place < len(line):
        if line[place]:
            place += 1
            continue
        middles = [place + cycles // 2 + bit * cycles for bit in range(FRAME_BITS)]
        if middles[0] + 1 < len(line) and _vote(line, middles[0]):
            place = middles[0] + 2
            continue
        if middles[-1] + 1 >= len(line):
            break
        place = middles[-1] + 2
        if _vote(line, middles[-1]):
            bits = (_vote(line, middle) << bit for bit, middle in enumerate(middles[1:-1]))
            found.append(sum(bits))
            continue
        found.append(None)
        while place < len(line) and not line[place]:
            place += 1
        place += 1
    return found
