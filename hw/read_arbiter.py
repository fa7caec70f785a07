"""Two AXI read masters on one port."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .axi import ID_BITS, AxiReadSignature, Response
from .config import AcceleratorConfig
from .stream_buffer import StreamBuffer

MASTERS = 1 << ID_BITS


class ReadArbiter(wiring.Component):
    """Merges the read channels of two masters; the identifier tells whose a transaction is.

    Each direction adds one cycle and keeps a transfer a cycle. Masters that ask at the same time
    take turns. A master whose `rready` stays low holds up the other's data: masters ask only for
    what they can take without waiting for each other.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the AXI port.

    Members
    -------
    masters : array of two `AxiReadSignature`, seen from the slave
        Their own identifiers are ignored and come back as zero.
    memory : `AxiReadSignature`
        `arid` is the index of the master.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "masters": In(AxiReadSignature(config)).array(MASTERS),
                "memory": Out(AxiReadSignature(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """The parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the choice of requests and the routing of answers."""
        m = Module()
        self._elaborate_requests(m)
        self._elaborate_answers(m)
        return m

    def _elaborate_requests(self, m: Module) -> None:
        fields = ("addr", "len", "size", "burst", "cache", "prot")
        layout = data.StructLayout(
            {f"ar{name}": self.memory.signature.members[f"ar{name}"].shape for name in fields}
            | {"arid": ID_BITS}
        )
        m.submodules.requests = requests = StreamBuffer(layout)
        first, second = self.masters
        previous = Signal(ID_BITS)
        chosen = Signal(ID_BITS)
        m.d.comb += chosen.eq(second.arvalid & ~(first.arvalid & previous))
        with m.If(requests.input.valid & requests.input.ready):
            m.d.sync += previous.eq(chosen)
        m.d.comb += [
            requests.input.valid.eq(first.arvalid | second.arvalid),
            requests.input.payload.arid.eq(chosen),
            first.arready.eq(requests.input.ready & ~chosen),
            second.arready.eq(requests.input.ready & chosen),
            self.memory.arvalid.eq(requests.output.valid),
            self.memory.arid.eq(requests.output.payload.arid),
            requests.output.ready.eq(self.memory.arready),
        ]
        for name in (f"ar{name}" for name in fields):
            m.d.comb += [
                requests.input.payload[name].eq(
                    Mux(chosen, getattr(second, name), getattr(first, name))
                ),
                getattr(self.memory, name).eq(requests.output.payload[name]),
            ]

    def _elaborate_answers(self, m: Module) -> None:
        layout = data.StructLayout(
            {"rid": ID_BITS, "rdata": self.config.axi.data_width, "rresp": Response, "rlast": 1}
        )
        m.submodules.answers = answers = StreamBuffer(layout)
        answer = answers.output
        for name in layout.members:
            m.d.comb += answers.input.payload[name].eq(getattr(self.memory, name))
        m.d.comb += [
            answers.input.valid.eq(self.memory.rvalid),
            self.memory.rready.eq(answers.input.ready),
        ]
        for index, master in enumerate(self.masters):
            mine = answer.payload.rid == index
            m.d.comb += [
                master.rdata.eq(answer.payload.rdata),
                master.rresp.eq(answer.payload.rresp),
                master.rlast.eq(answer.payload.rlast),
                master.rvalid.eq(answer.valid & mine),
            ]
            with m.If(mine):
                m.d.comb += answer.ready.eq(master.rready)
