"""The bus side of the UART bridge: the words of a request, one AXI4-Lite transaction each."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiLiteSignature, Response
from .registers import ADDRESS_BITS as REGISTER_BITS
from .uart_packet import ADDRESS_BITS, PACKET_WORDS, WORD_BYTES, Operation, Status, is_one_of

_WORD_BITS = 8 * WORD_BYTES
_WORD_SHIFT = 2
_MEMORY = (Operation.READ_MEMORY, Operation.WRITE_MEMORY)
_WRITES = (Operation.WRITE_REGISTERS, Operation.WRITE_MEMORY)


class UartTransfer(wiring.Component):
    """Moves the words of a request between a buffer and a bus.

    Members
    -------
    operation, words_less_one, address : in
        Of the request, a valid operation; stable from before `start` to `done`.
    start : in, for a cycle
    done : out, for a cycle
    status : out
        Meant with `done`. After an error of the bus no further word is moved.
    buffer_word : in
        The word of the buffer that is stored or fetched from outside.
    store, store_data : in
        Puts a word in the buffer.
    fetch_data : out
        The word of the buffer that was `buffer_word` a cycle before, while nothing is moved.
    registers, memory : AXI4-Lite masters of 32 bits

    Latency: a poll or a refusal takes 2 cycles. A word takes 3 cycles (read) or 4 (write), and
    what the bus takes.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "operation": In(8),
                "words_less_one": In(range(PACKET_WORDS)),
                "address": In(ADDRESS_BITS),
                "start": In(1),
                "done": Out(1),
                "status": Out(Status),
                "buffer_word": In(range(PACKET_WORDS)),
                "store": In(1),
                "store_data": In(_WORD_BITS),
                "fetch_data": Out(_WORD_BITS),
                "registers": Out(AxiLiteSignature(REGISTER_BITS)),
                "memory": Out(AxiLiteSignature(ADDRESS_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the buffer and the machine that walks the words."""
        m = Module()
        place = Signal(range(PACKET_WORDS))
        address = Signal(ADDRESS_BITS)
        end = Signal(ADDRESS_BITS + 1)
        refused = Signal()
        in_memory, writes = Signal(), Signal()
        moving, got = Signal(), Signal()
        self._add_buffer(m, place, moving, got)
        bus = self._share(m, address, in_memory)
        m.d.sync += [
            in_memory.eq(is_one_of(self.operation, _MEMORY)),
            writes.eq(is_one_of(self.operation, _WRITES)),
        ]
        limit = Mux(in_memory, 1 << ADDRESS_BITS, 1 << REGISTER_BITS)
        m.d.comb += [
            refused.eq((end > limit) | (self.address[:_WORD_SHIFT] != 0)),
            moving.eq(1),
            got.eq(0),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += moving.eq(0)
                m.d.sync += [
                    place.eq(0),
                    address.eq(self.address),
                    end.eq(self.address + ((self.words_less_one + 1) << _WORD_SHIFT)),
                    self.status.eq(Status.OK),
                ]
                with m.If(self.start):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "BEGIN"
                with m.If(self.operation == Operation.POLL):
                    m.next = "DONE"
                with m.Elif(refused):
                    m.d.sync += self.status.eq(Status.ADDRESS)
                    m.next = "DONE"
            with m.State("BEGIN"):
                # The buffer shows its word a cycle after `place` has changed.
                m.d.sync += [
                    bus["arvalid"].eq(~writes),
                    bus["awvalid"].eq(writes),
                    bus["wvalid"].eq(writes),
                ]
                m.next = "ANSWER"
            with m.State("ANSWER"):
                answered = Mux(writes, bus["bvalid"], bus["rvalid"])
                response = Mux(writes, bus["bresp"], bus["rresp"])
                m.d.comb += got.eq(answered & ~writes)
                for channel in ("ar", "aw", "w"):
                    with m.If(bus[f"{channel}ready"]):
                        m.d.sync += bus[f"{channel}valid"].eq(0)
                with m.If(answered):
                    m.d.sync += [place.eq(place + 1), address.eq(address + WORD_BYTES)]
                    m.next = "BEGIN"
                    with m.If(response != Response.OKAY.value):
                        m.d.sync += self.status.eq(Status.BUS)
                        m.next = "DONE"
                    with m.Elif(place == self.words_less_one):
                        m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        return m

    def _add_buffer(self, m: Module, place: Signal, moving: Signal, got: Signal) -> None:
        """Add the memory of the words; the machine uses it while it moves them."""
        words = memory.Memory(shape=_WORD_BITS, depth=PACKET_WORDS, init=[])
        m.submodules.words = words
        write, read = words.write_port(), words.read_port()
        self._got_data = Signal(_WORD_BITS)
        m.d.comb += [
            read.addr.eq(Mux(moving, place, self.buffer_word)),
            self.fetch_data.eq(read.data),
            write.addr.eq(Mux(moving, place, self.buffer_word)),
            write.en.eq(Mux(moving, got, self.store)),
            write.data.eq(Mux(moving, self._got_data, self.store_data)),
        ]

    def _share(self, m: Module, address: Signal, in_memory: Signal) -> dict[str, Value]:
        """Return the signals of the bus that the request is for."""
        bus: dict[str, Value] = {}
        chosen = ((self.registers, ~in_memory), (self.memory, in_memory))
        for name in ("arvalid", "awvalid", "wvalid"):
            bus[name] = Signal(name=name)
            for port, here in chosen:
                m.d.comb += getattr(port, name).eq(bus[name] & here)
        for name in ("arready", "awready", "wready", "rvalid", "rresp", "bvalid", "bresp"):
            values = (Value.cast(getattr(port, name)) for port in (self.memory, self.registers))
            bus[name] = Mux(in_memory, *values)
        m.d.comb += self._got_data.eq(Mux(in_memory, self.memory.rdata, self.registers.rdata))
        for port, _here in chosen:
            m.d.comb += [
                port.araddr.eq(address),
                port.awaddr.eq(address),
                port.wdata.eq(self.fetch_data),
                port.wstrb.eq((1 << WORD_BYTES) - 1),
                port.rready.eq(1),
                port.bready.eq(1),
            ]
        return bus
