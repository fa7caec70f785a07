"""The on-chip memory: skewed banks that serve rows and columns alike."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig, ConfigError
from .ports import (
    WORD_BITS,
    ReadPortSignature,
    WritePortSignature,
    read_request_layout,
    write_request_layout,
)
from .skew import BankDepths, banks_to_lanes, lanes_to_banks

MAXIMUM_CLIENTS = 16


def _require_clients(name: str, value: int) -> None:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not is_integer or not 1 <= value <= MAXIMUM_CLIENTS:
        raise ConfigError(f"{name} must be an integer from 1 to {MAXIMUM_CLIENTS}, not {value!r}")


def read_latency(config: AcceleratorConfig) -> int:
    """Return the cycles from a request to its line, if nobody comes first.

    With ``scratchpad.pipelined`` a client registers its request before the scratchpad accepts it.
    """
    return Scratchpad.READ_LATENCY + config.scratchpad.pipelined


def scratchpad_events_layout(
    config: AcceleratorConfig, readers: int, writers: int
) -> data.StructLayout:
    """Whose line is read and whose is written, one bit a client, and how many words of the latter.

    A mask leaves out lanes of a written line; a line that is read always has a word of each bank.
    """
    return data.StructLayout(
        {"read": readers, "written": writers, "written_words": range(config.lanes + 1)}
    )


class Scratchpad(wiring.Component):
    """L banks of words of eight bytes, of which every access touches each once.

    Reads and writes each move one line a cycle, at any address, along a row (pitch 1) or down a
    column (pitch 1 modulo L); see `BankDepths` for where a word lies. Clients have a fixed
    priority, the first before the second.

    A response comes `READ_LATENCY` cycles after its request was accepted. A read that is accepted
    in any cycle after a write was accepted sees it; a read accepted in the same cycle does not.
    Addresses are not checked: clients do that before they begin.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives banks and capacity.
    readers, writers : int
        Clients of each kind, 1 to 16.

    Members
    -------
    read : array of `ReadPortSignature`, `readers` of them
    write : array of `WritePortSignature`, `writers` of them
    events : `scratchpad_events_layout`, out; one cycle after the requests were accepted.

    Raises
    ------
    ConfigError
        If there are too few or too many clients.
    """

    READ_LATENCY = 3

    def __init__(self, config: AcceleratorConfig, readers: int, writers: int) -> None:
        _require_clients("readers", readers)
        _require_clients("writers", writers)
        self._config = config
        self._readers = readers
        self._writers = writers
        super().__init__(
            {
                "read": In(ReadPortSignature(config)).array(readers),
                "write": In(WritePortSignature(config)).array(writers),
                "events": Out(scratchpad_events_layout(config, readers, writers)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    @property
    def readers(self) -> int:
        """Number of clients that read."""
        return self._readers

    @property
    def writers(self) -> int:
        """Number of clients that write."""
        return self._writers

    def elaborate(self, platform: object) -> Module:
        """Return the banks and the networks to and from them."""
        m = Module()
        read_ports = []
        write_ports = []
        for index in range(self.config.lanes):
            bank = Memory(shape=WORD_BITS, depth=self.config.bank_depth, init=[])
            m.submodules[f"bank{index}"] = bank
            read_ports.append(bank.read_port())
            write_ports.append(bank.write_port())
        self._elaborate_read(m, read_ports)
        self._elaborate_write(m, write_ports)
        return m

    def _elaborate_read(self, m: Module, banks: list) -> None:
        request = Signal(read_request_layout(self.config))
        accepted = self._arbitrate(m, [port.request for port in self.read], request)
        addressed = Signal(self.readers)
        fetched = Signal(self.readers)
        m.d.sync += [addressed.eq(accepted), fetched.eq(addressed)]
        m.d.comb += self.events.read.eq(addressed)

        m.submodules.read_depths = depths = BankDepths(self.config)
        m.d.comb += [
            depths.enable.eq(accepted.any()),
            depths.address.eq(request.address),
            depths.pitch.eq(request.pitch),
        ]
        for bank, depth in zip(banks, depths.depth, strict=True):
            m.d.comb += [bank.addr.eq(depth), bank.en.eq(addressed.any())]

        rotation = Signal.like(depths.rotation)
        words = Signal(WORD_BITS * self.config.lanes)
        line = Signal.like(words)
        m.d.sync += rotation.eq(depths.rotation)
        for index, bank in enumerate(banks):
            m.d.comb += words.word_select(index, WORD_BITS).eq(bank.data)
        lanes = banks_to_lanes(m, words, rotation, "read")
        with m.If(fetched.any()):
            m.d.sync += line.eq(lanes)

        for index, port in enumerate(self.read):
            m.d.sync += port.response.valid.eq(fetched[index])
            m.d.comb += port.response.payload.eq(line)

    def _elaborate_write(self, m: Module, banks: list) -> None:
        request = Signal(write_request_layout(self.config))
        accepted = self._arbitrate(m, [port.request for port in self.write], request)
        line = Signal.like(request.data)
        enabled = Signal.like(request.mask)
        m.d.sync += [enabled.eq(0), self.events.written.eq(accepted)]
        m.d.comb += self.events.written_words.eq(sum(enabled))
        with m.If(accepted.any()):
            m.d.sync += [line.eq(request.data), enabled.eq(request.mask)]

        m.submodules.write_depths = depths = BankDepths(self.config)
        m.d.comb += [
            depths.enable.eq(accepted.any()),
            depths.address.eq(request.address),
            depths.pitch.eq(request.pitch),
        ]
        words = lanes_to_banks(m, line.as_value(), depths.rotation, "write")
        mask = lanes_to_banks(m, enabled, depths.rotation, "mask")
        for index, bank in enumerate(banks):
            m.d.comb += [
                bank.addr.eq(depths.depth[index]),
                bank.data.eq(words.word_select(index, WORD_BITS)),
                bank.en.eq(mask[index]),
            ]

    def _arbitrate(self, m: Module, clients: list, request: Signal) -> Signal:
        """Select the request of the first client that has one; return who was accepted."""
        accepted = Signal(len(clients), name="accepted")
        taken = 0
        for index, client in enumerate(clients):
            m.d.comb += [
                client.ready.eq(~taken if index else 1),
                accepted[index].eq(client.valid & client.ready),
            ]
            taken = taken | client.valid
        for client in reversed(clients):
            with m.If(client.valid):
                m.d.comb += request.eq(client.payload)
        return accepted
