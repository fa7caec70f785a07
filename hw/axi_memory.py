"""Block RAM behind an AXI4 slave, with a second port for a host."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In

from .axi import ID_BITS, Axi4Signature, AxiLiteSignature, Burst, Response
from .config import AcceleratorConfig, ConfigError

SMALLEST, LARGEST = 4096, 8 << 20
HOST_ADDRESS_BITS = 32
HOST_BYTES = 4
_BYTE_BITS = 8
_QUEUE = 8
"""Beats that are read ahead of a master that does not take them."""

_PIPELINE = 2
"""Cycles from an address to its word at the queue: memory, register."""


class AxiMemory(wiring.Component):
    """Keeps bytes for an AXI4 master, and for a host on AXI4-Lite.

    Bursts are INCR of full beats, as the accelerator makes them; another kind is answered SLVERR,
    an address outside DECERR, and nothing is written. A burst crosses no multiple of 4096 bytes.
    Reads are answered in order. A read sees what was written before its address was taken. The
    host's words come first: each takes one cycle of the memory from the master.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the widths of the master.
    size : int
        Bytes, a power of two from 4096 to 8388608.
    base : int
        Address of the first byte for both ports, a multiple of the size below 2^32.

    Members
    -------
    s_axi : AXI4 of ``config.axi``, seen from the slave
    host : AXI4-Lite of 32 bits, seen from the slave

    Latency: the first beat of a burst 4 cycles after its address was taken, the response of a
    write 1 cycle after its last beat. Throughput: a beat a cycle and direction, a cycle between
    bursts (read) or two (write). Each byte of a beat is a memory of its own, so block RAM needs no
    partial writes.
    """

    def __init__(self, config: AcceleratorConfig, size: int, base: int = 0) -> None:
        for name, value in (("size", size), ("base", base)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"{name} must be an integer, not {value!r}")
        if not SMALLEST <= size <= LARGEST or size & (size - 1):
            raise ConfigError(
                f"size must be a power of two from {SMALLEST} to {LARGEST}, not {size}"
            )
        if not 0 <= base < 1 << HOST_ADDRESS_BITS or base % size:
            raise ConfigError(f"base must be a multiple of {size} below 2^32, not {base:#x}")
        self._config = config
        self._size = size
        self._base = base
        super().__init__(
            {
                "s_axi": In(Axi4Signature(config)),
                "host": In(AxiLiteSignature(HOST_ADDRESS_BITS)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    @property
    def base(self) -> int:
        """Address of the first byte."""
        return self._base

    def elaborate(self, platform: object) -> Module:
        """Return the memories and what shares them."""
        m = Module()
        self._beat_bytes = self.config.axi_bytes
        self._shift = (self._beat_bytes - 1).bit_length()
        self._words = range(self.size // self._beat_bytes)
        self._write_address = Signal(self._words)
        self._write_data = Signal(_BYTE_BITS * self._beat_bytes)
        self._write_mask = Signal(self._beat_bytes)
        self._read_address = Signal(self._words)
        self._read_data = Signal(_BYTE_BITS * self._beat_bytes)
        self._add_bytes(m)
        self._host_reads, self._host_writes = Signal(), Signal()
        self._read_bursts(m)
        self._write_bursts(m)
        self._serve_host(m)
        return m

    def _add_bytes(self, m: Module) -> None:
        """Add a memory for each byte of a beat; what it reads is registered once more."""
        words = []
        for place in range(self._beat_bytes):
            lane = memory.Memory(shape=_BYTE_BITS, depth=len(self._words), init=[])
            m.submodules[f"byte_{place}"] = lane
            write, read = lane.write_port(), lane.read_port()
            low = _BYTE_BITS * place
            m.d.comb += [
                write.addr.eq(self._write_address),
                write.data.eq(self._write_data[low : low + _BYTE_BITS]),
                write.en.eq(self._write_mask[place]),
                read.addr.eq(self._read_address),
            ]
            words.append(read.data)
        m.d.sync += self._read_data.eq(Cat(words))

    def _response(self, address: Signal, size: Signal, burst: Signal) -> Mux:
        """Return how a burst is to be answered."""
        is_inside = address >> (self.size - 1).bit_length() == self.base // self.size
        is_plain = (size == self._shift) & (burst == Burst.INCR)
        failure = Mux(is_inside, Response.SLVERR.value, Response.DECERR.value)
        return Mux(is_inside & is_plain, Response.OKAY.value, failure)

    def _read_bursts(self, m: Module) -> None:
        axi = self.s_axi
        active, issue = Signal(), Signal()
        word, left = Signal(self._words), Signal(8)
        beat = Signal(data.StructLayout({"id": ID_BITS, "response": 2, "last": 1}))
        room = Signal(range(_QUEUE + 1), init=_QUEUE)
        has_room = Signal(init=1)
        m.d.comb += [
            axi.arready.eq(~active),
            issue.eq(active & has_room & ~self._host_reads),
            beat.last.eq(left == 0),
        ]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [
                active.eq(1),
                word.eq(axi.araddr >> self._shift),
                left.eq(axi.arlen),
                beat.id.eq(axi.arid),
                beat.response.eq(self._response(axi.araddr, axi.arsize, axi.arburst)),
            ]
        with m.If(issue):
            m.d.sync += [word.eq(word + 1), left.eq(left - 1), active.eq(~beat.last)]

        m.submodules.queue = queue = SyncFIFO(
            width=len(self._read_data) + beat.shape().size, depth=_QUEUE
        )
        taken = axi.rvalid & axi.rready
        after = Signal.like(room)
        m.d.comb += after.eq(room - issue + taken)
        m.d.sync += [room.eq(after), has_room.eq(after != 0)]
        # What belongs to a beat goes beside it through the pipeline of the memory.
        flying, beside = issue, beat.as_value()
        for stage in range(_PIPELINE):
            later, next_beside = Signal(name=f"flying_{stage}"), Signal.like(beside)
            m.d.sync += [later.eq(flying), next_beside.eq(beside)]
            flying, beside = later, next_beside
        shown = data.View(beat.shape(), queue.r_data[len(self._read_data) :])
        m.d.comb += [
            queue.w_en.eq(flying),
            queue.w_data.eq(Cat(self._read_data, beside)),
            queue.r_en.eq(axi.rready),
            axi.rvalid.eq(queue.r_rdy),
            axi.rdata.eq(queue.r_data[: len(self._read_data)]),
            axi.rid.eq(shown.id),
            axi.rresp.eq(shown.response),
            axi.rlast.eq(shown.last),
        ]
        host_word = self.host.araddr >> self._shift
        m.d.comb += self._read_address.eq(Mux(self._host_reads, host_word, word))

    def _write_bursts(self, m: Module) -> None:
        axi = self.s_axi
        active = Signal()
        word, response = Signal(self._words), Signal(2)
        taken = axi.wvalid & axi.wready
        m.d.comb += [
            axi.awready.eq(~active & ~axi.bvalid),
            axi.wready.eq(active & ~self._host_writes),
        ]
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [
                active.eq(1),
                word.eq(axi.awaddr >> self._shift),
                axi.bid.eq(axi.awid),
                response.eq(self._response(axi.awaddr, axi.awsize, axi.awburst)),
            ]
        with m.If(taken):
            m.d.sync += word.eq(word + 1)
            with m.If(axi.wlast):
                m.d.sync += [active.eq(0), axi.bvalid.eq(1), axi.bresp.eq(response)]
        host = self.host
        is_allowed = taken & (response == Response.OKAY.value)
        mask = Mux(is_allowed, axi.wstrb, 0)
        lane = host.awaddr[2 : self._shift]
        with m.If(self._host_writes):
            m.d.comb += [
                self._write_address.eq(host.awaddr >> self._shift),
                self._write_data.eq(host.wdata.replicate(self._beat_bytes // HOST_BYTES)),
                self._write_mask.eq(host.wstrb << (lane << 2)),
            ]
        with m.Else():
            m.d.comb += [
                self._write_address.eq(word),
                self._write_data.eq(axi.wdata),
                self._write_mask.eq(mask),
            ]

    def _serve_host(self, m: Module) -> None:
        """Answer the host, one transaction a direction at a time."""
        host = self.host
        inside = {
            name: getattr(host, name) >> (self.size - 1).bit_length() == self.base // self.size
            for name in ("araddr", "awaddr")
        }
        responses = {
            name: Mux(found, Response.OKAY.value, Response.DECERR.value)
            for name, found in inside.items()
        }
        both = host.awvalid & host.wvalid & ~host.bvalid
        m.d.comb += [
            self._host_writes.eq(both & inside["awaddr"]),
            host.awready.eq(both),
            host.wready.eq(both),
        ]
        with m.If(host.bready):
            m.d.sync += host.bvalid.eq(0)
        with m.If(both):
            m.d.sync += [host.bvalid.eq(1), host.bresp.eq(responses["awaddr"])]

        waiting = Signal(_PIPELINE)
        lane = Signal(range(self._beat_bytes // HOST_BYTES))
        m.d.comb += [
            self._host_reads.eq(host.arvalid & host.arready),
            host.arready.eq((waiting == 0) & ~host.rvalid),
        ]
        m.d.sync += waiting.eq(Cat(self._host_reads, waiting))
        with m.If(self._host_reads):
            m.d.sync += [lane.eq(host.araddr[2:]), host.rresp.eq(responses["araddr"])]
        with m.If(host.rready):
            m.d.sync += host.rvalid.eq(0)
        with m.If(waiting[-1]):
            m.d.sync += [host.rvalid.eq(1), host.rdata.eq(self._read_data.word_select(lane, 32))]
