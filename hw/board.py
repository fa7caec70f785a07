"""All that a board needs beside clock and pins: accelerator, memory, serial line and lights."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .accelerator import Accelerator
from .axi_memory import AxiMemory
from .config import AcceleratorConfig, ConfigError
from .uart import FRAME_BITS, UartReceiver, UartTransmitter, bit_cycles
from .uart_bridge import UartBridge

SILENCE_BYTES = 4
"""Shortest silence between two requests, in bytes of the line, that a board may be given."""


class Board(wiring.Component):
    """The accelerator with memory of its own, run from a serial line.

    Parameters
    ----------
    config : AcceleratorConfig
    memory_bytes : int
        As `hw.axi_memory.AxiMemory` takes them; the memory begins at address zero.
    clock_hz, baud : int
        As `hw.uart.bit_cycles` takes them.
    silence_cycles : int
        As `hw.uart_bridge.UartBridge` takes them, and at least four bytes on the line.
    light_cycles : int
        Cycles for which a light stays on at least, 1 to 2^28.

    Members
    -------
    serial_in, serial_out : the serial line, seen from the board
    busy : out
        A program runs, or has run less than `light_cycles` ago.
    done : out
        The last program has ended without an error.
    error : out
        The last program was stopped by an error.
    alive : out
        Toggles every `light_cycles`.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        *,
        memory_bytes: int,
        clock_hz: int,
        baud: int,
        silence_cycles: int,
        light_cycles: int,
    ) -> None:
        shortest = SILENCE_BYTES * FRAME_BITS * bit_cycles(clock_hz, baud)
        if isinstance(silence_cycles, bool) or not isinstance(silence_cycles, int):
            raise ConfigError(f"silence_cycles must be an integer, not {silence_cycles!r}")
        if silence_cycles < shortest:
            raise ConfigError(
                f"silence_cycles must be at least {SILENCE_BYTES} bytes on the line = {shortest}, "
                f"not {silence_cycles}"
            )
        if isinstance(light_cycles, bool) or not isinstance(light_cycles, int):
            raise ConfigError(f"light_cycles must be an integer, not {light_cycles!r}")
        if not 1 <= light_cycles <= 1 << 28:
            raise ConfigError(f"light_cycles must be from 1 to 2^28, not {light_cycles}")
        self._config = config
        self._memory_bytes = memory_bytes
        self._clock_hz = clock_hz
        self._baud = baud
        self._silence_cycles = silence_cycles
        self._light_cycles = light_cycles
        super().__init__(
            {
                "serial_in": In(1),
                "serial_out": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(1),
                "alive": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    @property
    def memory_bytes(self) -> int:
        """Bytes of the memory."""
        return self._memory_bytes

    @property
    def clock_hz(self) -> int:
        """Frequency of the clock."""
        return self._clock_hz

    @property
    def baud(self) -> int:
        """Bits a second on the serial line."""
        return self._baud

    @property
    def silence_cycles(self) -> int:
        """Longest pause inside a request."""
        return self._silence_cycles

    @property
    def light_cycles(self) -> int:
        """Cycles for which a light stays on at least."""
        return self._light_cycles

    def elaborate(self, platform: object) -> Module:
        """Return the parts, connected."""
        m = Module()
        m.submodules.accelerator = accelerator = Accelerator(self.config)
        m.submodules.memory = memory = AxiMemory(self.config, self.memory_bytes)
        m.submodules.receiver = receiver = UartReceiver(self.clock_hz, self.baud)
        m.submodules.transmitter = transmitter = UartTransmitter(self.clock_hz, self.baud)
        m.submodules.bridge = bridge = UartBridge(self.silence_cycles)
        wiring.connect(m, accelerator.m_axi, memory.s_axi)
        wiring.connect(m, bridge.memory, memory.host)
        wiring.connect(m, bridge.registers, accelerator.s_axi)
        wiring.connect(m, receiver.received, bridge.received)
        wiring.connect(m, bridge.answer, transmitter.bytes)
        m.d.comb += [
            receiver.line.eq(self.serial_in),
            self.serial_out.eq(transmitter.line),
            bridge.framing_error.eq(receiver.framing_error),
            bridge.interrupt.eq(accelerator.interrupt),
        ]
        self._add_lights(m, accelerator)
        return m

    def _add_lights(self, m: Module, accelerator: Accelerator) -> None:
        """Show what the accelerator does, long enough to be seen."""
        ran = Signal()
        left = Signal(range(self.light_cycles + 1))
        beat = Signal(range(self.light_cycles))
        m.d.sync += [
            self.busy.eq(left != 0),
            self.done.eq(ran & accelerator.idle & ~accelerator.failed),
            self.error.eq(accelerator.failed),
        ]
        with m.If(~accelerator.idle):
            m.d.sync += [ran.eq(1), left.eq(self.light_cycles)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.sync += beat.eq(beat + 1)
        with m.If(beat == self.light_cycles - 1):
            m.d.sync += [beat.eq(0), self.alive.eq(~self.alive)]
