"""Bytes on a serial line: 8 data bits, no parity, one stop bit, least significant bit first.

Source: the asynchronous format of ANSI/TIA-232-F; how a bit is sampled is our own.
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .config import ConfigError

DATA_BITS = 8
FRAME_BITS = DATA_BITS + 2
"""Bits of a byte on the line: start, data, stop."""

MINIMUM_BIT_CYCLES = 4
"""Three samples decide a bit, and the edge is found to one cycle."""

TOLERANCE_PERCENT = 2
"""Difference of the two ends' rates at which the stop bit is still sampled well inside."""


def bit_cycles(clock_hz: int, baud: int) -> int:
    """Return the cycles of a bit.

    Parameters
    ----------
    clock_hz : int
        Frequency of the clock, 1 to 1,000,000,000.
    baud : int
        Bits a second, at most a quarter of the clock.

    Raises
    ------
    ConfigError
        If a value is out of range, or no whole number of cycles is within 2 % of a bit.
    """
    for name, value, limit in (("clock_hz", clock_hz, 10**9), ("baud", baud, clock_hz)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
            raise ConfigError(f"{name} must be an integer from 1 to {limit}, not {value!r}")
    cycles = (clock_hz + baud // 2) // baud
    if cycles < MINIMUM_BIT_CYCLES:
        raise ConfigError(
            f"baud must be at most clock_hz / {MINIMUM_BIT_CYCLES} = "
            f"{clock_hz // MINIMUM_BIT_CYCLES}, not {baud}"
        )
    if abs(cycles * baud - clock_hz) * 100 > TOLERANCE_PERCENT * clock_hz:
        raise ConfigError(
            f"baud {baud} cannot be made of {clock_hz} Hz: {cycles} cycles a bit are "
            f"{clock_hz // cycles} baud, more than {TOLERANCE_PERCENT} % off"
        )
    return cycles


class UartReceiver(wiring.Component):
    """Receives bytes.

    A falling edge begins a frame. Each bit is the majority of three samples around its middle; a
    start bit that is high there was a glitch and is forgotten. A stop bit that is low is a framing
    error, and the receiver waits until the line is high again.

    Parameters
    ----------
    clock_hz, baud : int
        As `bit_cycles` takes them.

    Members
    -------
    line : in
        Any clock; high when idle.
    received : stream of bytes, out; not held back
    framing_error : out
        High for one cycle.

    Latency: a byte is given 4 cycles after the middle of its stop bit.
    """

    def __init__(self, clock_hz: int, baud: int) -> None:
        self._bit_cycles = bit_cycles(clock_hz, baud)
        self._clock_hz = clock_hz
        self._baud = baud
        super().__init__(
            {
                "line": In(1),
                "received": Out(stream.Signature(DATA_BITS, always_ready=True)),
                "framing_error": Out(1),
            }
        )

    @property
    def clock_hz(self) -> int:
        """Frequency of the clock."""
        return self._clock_hz

    @property
    def baud(self) -> int:
        """Bits a second."""
        return self._baud

    def elaborate(self, platform: object) -> Module:
        """Return the synchroniser, the vote and the counters of cycles and bits."""
        m = Module()
        # Two flip-flops, because the line knows nothing of the clock; two more for the vote.
        levels = Signal(4, init=0b1111)
        m.d.sync += levels.eq(Cat(self.line, levels))
        level, middle, oldest = levels[1], levels[2], levels[3]
        vote = (level & middle) | (level & oldest) | (middle & oldest)

        timer = Signal(range(self._bit_cycles))
        place = Signal(range(FRAME_BITS))
        data = Signal(DATA_BITS)
        m.d.sync += [self.received.valid.eq(0), self.framing_error.eq(0), timer.eq(timer - 1)]
        with m.FSM():
            with m.State("IDLE"), m.If(~level):
                m.d.sync += [timer.eq(self._bit_cycles // 2), place.eq(0)]
                m.next = "FRAME"
            with m.State("FRAME"), m.If(timer == 0):
                m.d.sync += [
                    timer.eq(self._bit_cycles - 1),
                    place.eq(place + 1),
                    data.eq(Cat(data[1:], vote)),
                ]
                with m.If((place == 0) & vote):
                    m.next = "IDLE"
                with m.Elif(place == FRAME_BITS - 1):
                    m.d.sync += [
                        self.received.valid.eq(vote),
                        self.received.payload.eq(data),
                        self.framing_error.eq(~vote),
                    ]
                    m.next = "IDLE"
                    with m.If(~vote):
                        m.next = "BREAK"
            with m.State("BREAK"), m.If(level):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes.

    Parameters
    ----------
    clock_hz, baud : int
        As `bit_cycles` takes them.

    Members
    -------
    bytes : stream of bytes, in
    line : out
        A flip-flop; high when idle.

    A byte takes ten bits and one cycle; its start bit begins the cycle after it was taken.
    """

    def __init__(self, clock_hz: int, baud: int) -> None:
        self._bit_cycles = bit_cycles(clock_hz, baud)
        self._clock_hz = clock_hz
        self._baud = baud
        super().__init__({"bytes": In(stream.Signature(DATA_BITS)), "line": Out(1, init=1)})

    @property
    def clock_hz(self) -> int:
        """Frequency of the clock."""
        return self._clock_hz

    @property
    def baud(self) -> int:
        """Bits a second."""
        return self._baud

    def elaborate(self, platform: object) -> Module:
        """Return a shift register and the counters of cycles and bits."""
        m = Module()
        timer = Signal(range(self._bit_cycles))
        left = Signal(range(FRAME_BITS + 1))
        following = Signal(FRAME_BITS - 1)
        m.d.comb += self.bytes.ready.eq(left == 0)
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [
                self.line.eq(0),
                following.eq(Cat(self.bytes.payload, 1)),
                left.eq(FRAME_BITS),
                timer.eq(self._bit_cycles - 1),
            ]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(left != 0):
            m.d.sync += [
                self.line.eq(following[0]),
                following.eq(Cat(following[1:], 1)),
                left.eq(left - 1),
                timer.eq(self._bit_cycles - 1),
            ]
        return m
