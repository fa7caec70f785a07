"""Counting semaphores: the only order between the units."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig, ConfigError

COUNT_BITS = 8

MAXIMUM = (1 << COUNT_BITS) - 1
"""The highest count of a semaphore."""


class Semaphores(wiring.Component):
    """Counters that one client takes from and another adds to, in any cycle.

    A client offers the mask of the semaphores that it waits for; `available` answers one cycle
    later, so it may miss the newest addition but, as only the grant below takes, never claims
    too much: after a `take` all answers are withheld for one cycle.

    Parameters
    ----------
    config : AcceleratorConfig
        ``config.controller.semaphores`` counters of `COUNT_BITS` bits.
    clients : int
        Who may wait, 1 to 16.

    Members
    -------
    waiting : array of masks, one a client
        What each client waits for; must be stable from one cycle to the next to be answered.
    valid : one bit a client, high while its mask is meant.
    available : one bit a client
        In the cycle before, all semaphores of the mask were above zero.
    take, taken : strobe and mask; takes one from each semaphore of an available mask.
    give, given : strobe and mask; adds one to each semaphore.
    overflow, place : a semaphore that was full was given to, and its number; two cycles later.
    clear : sets all to zero.

    Latency: from `give` to `available` 2 cycles. Throughput: one `give` a cycle, one `take` every
    second cycle.
    """

    def __init__(self, config: AcceleratorConfig, clients: int) -> None:
        if not 1 <= clients <= 16:
            raise ConfigError(f"clients must be from 1 to 16, not {clients}")
        self._config = config
        self._clients = clients
        count = config.controller.semaphores
        super().__init__(
            {
                "waiting": In(data.ArrayLayout(count, clients)),
                "valid": In(clients),
                "available": Out(clients),
                "take": In(1),
                "taken": In(count),
                "give": In(1),
                "given": In(count),
                "overflow": Out(1),
                "place": Out(range(count)),
                "clear": In(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    @property
    def clients(self) -> int:
        """How many may wait."""
        return self._clients

    def elaborate(self, platform: object) -> Module:
        """Return the counters."""
        m = Module()
        count = self.config.controller.semaphores
        counts = [Signal(COUNT_BITS, name=f"count{place}") for place in range(count)]
        above_zero = Cat(value.any() for value in counts)
        full = Cat(value.all() for value in counts)

        for place, value in enumerate(counts):
            takes = self.take & self.taken[place]
            gives = self.give & self.given[place]
            with m.If(self.clear):
                m.d.sync += value.eq(0)
            # One adder, of one or of minus one.
            with m.Elif(gives ^ takes):
                m.d.sync += value.eq(value + Cat(1, takes.replicate(COUNT_BITS - 1)))

        for client in range(self.clients):
            missing = self.waiting[client] & ~above_zero
            answer = self.valid[client] & ~missing.any() & ~self.take & ~self.clear
            m.d.sync += self.available[client].eq(answer)

        overflows = Signal(count)
        takes, gives = self.take.replicate(count), self.give.replicate(count)
        m.d.sync += [
            overflows.eq(self.given & gives & full & ~(self.taken & takes)),
            self.overflow.eq(overflows.any() & ~self.clear),
        ]
        with m.If(self.clear):
            m.d.sync += overflows.eq(0)
        for place in reversed(range(count)):
            with m.If(overflows[place]):
                m.d.sync += self.place.eq(place)
        return m
