"""Seven dataflows on one grid: from checked products to rows of sums."""

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Value, ValueLike, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .compressed_operand import CompressedOperand
from .config import AcceleratorConfig
from .dense_output import DenseOutput
from .family import Family
from .flow_gate import FlowGate
from .gather_reader import GatherReader
from .grid import Grid
from .matmul_check import checked_layout
from .matmul_events import step_events_layout
from .operand_reader import OperandReader
from .partial_sums import PartialSums
from .ports import ReadPortSignature, fault_layout
from .sparse_output import SparseOutput
from .stationary import Stationary

_TO_OPERAND = ("take", "step", "step_block")
_STEPPING = (Family.DENSE_OUTPUT, Family.SPARSE_OUTPUT)
_COMPRESSED = (Family.SPARSE_OUTPUT, Family.STATIONARY)


def operand_ports(config: AcceleratorConfig) -> tuple[str, ...]:
    """Return the names of the read ports that the dataflows of `config` have."""
    if config.array.block == 1:
        return ("operands",)
    if config.array.partial_rows == 0:
        return ("operands", "compressed")
    return ("operands", "compressed", "gather")


class Dataflows(wiring.Component):
    """Families of dataflows that share operand buffers, grid and drain, one at a time.

    Parameters
    ----------
    config : AcceleratorConfig
        ``array.block`` = 1 leaves out the sparse flows, ``array.partial_rows`` = 0 the stationary
        ones.

    Members
    -------
    product : stream of `checked_layout`, in
    operands : read port of the scratchpad, for dense operands
    compressed : read port, for compressed operands
    gather : read port, for the places of A that sWS wants
    full_next, row, shift, release, closing : towards the drain, as of `Grid`
    fault : `fault_layout`, out; a compressed operand is malformed. Stays until reset.
    events : `step_events_layout`, out; one cycle late.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        array = config.array
        members: dict[str, Any] = {
            name: Out(ReadPortSignature(config)) for name in operand_ports(config)
        }
        super().__init__(
            members
            | {
                "product": In(stream.Signature(checked_layout)),
                "full_next": Out(1),
                "row": Out(data.ArrayLayout(signed(array.accumulator_width), array.columns)),
                "shift": In(1),
                "release": In(1),
                "closing": In(1),
                "fault": Out(fault_layout),
                "events": Out(step_events_layout(config)),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return the families and what they share."""
        m = Module()
        config = self.config
        m.submodules.gate = gate = FlowGate()
        m.submodules.reader = reader = OperandReader(config)
        m.submodules.grid = grid = Grid(config)
        m.submodules.dense_output = dense = DenseOutput(config)
        families: dict[Family, Any] = {Family.DENSE_OUTPUT: dense}
        sources: dict[Family, Any] = {Family.DENSE_OUTPUT: grid}
        if config.array.block > 1:
            m.submodules.sparse_output = families[Family.SPARSE_OUTPUT] = SparseOutput(config)
        if config.array.partial_rows > 0:
            m.submodules.stationary = families[Family.STATIONARY] = Stationary(config)
            m.submodules.partial_sums = sources[Family.STATIONARY] = PartialSums(config)
            self._stream(m, families[Family.STATIONARY], grid, sources[Family.STATIONARY])
            m.d.comb += sources[Family.STATIONARY].in_order.eq(gate.in_order)
        if config.array.wide_rows:
            at_work = gate.at_work[Family.DENSE_OUTPUT.value]
            m.d.comb += [grid.wide.eq(dense.wide & at_work), grid.lows.eq(dense.lows)]
        wiring.connect(m, wiring.flipped(self.product), gate.checked)
        wiring.connect(m, reader.read, wiring.flipped(self.operands))
        quiet = [each.idle for each in (*families.values(), *sources.values())]
        m.d.comb += gate.quiet.eq(Cat(quiet).all())
        for family, user in families.items():
            wiring.connect(m, gate.products[family.value], user.product)
        for name in ("a", "b"):
            self._give_operand(m, gate, getattr(reader, name), name, families)
        self._give_grid(m, gate, grid, families)
        if config.array.block > 1:
            self._decompress(m, gate, reader, families)
        self._hand_over(m, gate, sources)
        return m

    def _choose(self, gate: FlowGate, values: Mapping[Family, ValueLike]) -> Value:
        """Return the value of the family at work."""
        chosen = Value.cast(values[Family.DENSE_OUTPUT])
        for family, value in values.items():
            if family is not Family.DENSE_OUTPUT:
                chosen = Mux(gate.at_work[family.value], Value.cast(value), chosen)
        return chosen

    def _give_operand(
        self, m: Module, gate: FlowGate, shared: Any, name: str, families: Mapping[Family, Any]
    ) -> None:
        """Let families ask for chunks of an operand and use them: one that is idle does not."""
        users = {family: getattr(user, name) for family, user in families.items()}
        bursts = {family: user.bursts.payload for family, user in users.items()}
        m.d.comb += [
            shared.bursts.valid.eq(Cat(user.bursts.valid for user in users.values()).any()),
            Value.cast(shared.bursts.payload).eq(self._choose(gate, bursts)),
        ]
        for signal in _TO_OPERAND:
            strobes = Cat(getattr(user, signal) for user in users.values())
            m.d.comb += getattr(shared, signal).eq(strobes.any())
        for family, user in users.items():
            # Only rows that stream past a tile take whatever chunk is there.
            streams = family is Family.STATIONARY and name == "a"
            meant = gate.at_work[family.value] if streams else 1
            m.d.comb += [
                user.bursts.ready.eq(shared.bursts.ready),
                user.available.eq(shared.available & meant),
                user.elements.eq(shared.elements),
                user.blocks.eq(shared.blocks),
            ]
            if self.config.array.wide_rows:
                m.d.comb += user.lows.eq(shared.lows)

    def _give_grid(
        self, m: Module, gate: FlowGate, grid: Grid, families: Mapping[Family, Any]
    ) -> None:
        """Let the family at work give rows and columns to the grid."""

        def choose(value: Callable[[Any], ValueLike], among: Mapping[Family, Any]) -> Value:
            return self._choose(gate, {family: value(user) for family, user in among.items()})

        blocks = families.get(Family.SPARSE_OUTPUT, families[Family.DENSE_OUTPUT])
        # Only that family chooses from more than one activation of a row.
        m.d.comb += grid.activations.eq(blocks.activations)
        firsts = {
            family: Cat(block[0] for block in user.activations) for family, user in families.items()
        }
        m.d.comb += Cat(block[0] for block in grid.activations).eq(self._choose(gate, firsts))
        weights = choose(lambda user: user.columns.weights, families)
        m.d.comb += Value.cast(grid.weights).eq(weights)
        if self.config.array.block > 1:
            indices = choose(lambda user: user.columns.indices, families)
            m.d.comb += Value.cast(grid.indices).eq(indices)
        m.d.comb += Value.cast(self.events).eq(choose(lambda user: user.events, families))
        stepping = {family: user for family, user in families.items() if family in _STEPPING}
        m.d.comb += [
            grid.step.eq(Cat(user.step for user in stepping.values()).any()),
            grid.first.eq(choose(lambda user: user.first, stepping)),
            grid.last.eq(choose(lambda user: user.last, stepping)),
        ]
        for user in stepping.values():
            m.d.comb += user.ready.eq(grid.ready)

    def _stream(
        self, m: Module, stationary: Stationary, grid: Grid, partial_sums: PartialSums
    ) -> None:
        """Let vectors pass the stationary tile, and add up what they leave as."""
        m.d.comb += [
            grid.load.eq(stationary.load),
            grid.load_row.eq(stationary.load_row),
            grid.stream.eq(stationary.stream),
            grid.swap.eq(stationary.swap),
            stationary.ready_given.eq(partial_sums.ready_given),
            stationary.ready_not.eq(partial_sums.ready_not),
            partial_sums.begin.eq(stationary.begin),
            partial_sums.stream.eq(stationary.stream),
            partial_sums.tag.eq(stationary.tag),
            partial_sums.sums.eq(grid.sums),
        ]

    def _decompress(
        self, m: Module, gate: FlowGate, reader: OperandReader, families: dict[Family, Any]
    ) -> None:
        """Give vectors of the compressed operand to the family at work."""
        m.submodules.compressed_operand = operand = CompressedOperand(self.config)
        wiring.connect(m, operand.read, wiring.flipped(self.compressed))
        m.d.comb += self.fault.eq(operand.fault)
        users = {family: user for family, user in families.items() if family in _COMPRESSED}
        chosen: Any = operand.matrix.payload
        matrices = [user.matrices for user in users.values()]
        m.d.comb += [
            operand.matrix.valid.eq(Cat(matrix.valid for matrix in matrices).any()),
            operand.vectors.ready.eq(Cat(user.vectors.ready for user in users.values()).any()),
        ]
        for family, user in users.items():
            with m.If(gate.at_work[family.value]):
                m.d.comb += chosen.eq(user.matrices.payload)
            m.d.comb += [
                user.matrices.ready.eq(operand.matrix.ready),
                user.vectors.valid.eq(operand.vectors.valid),
                user.vectors.payload.eq(operand.vectors.payload),
            ]
        if Family.STATIONARY in families:
            stationary = families[Family.STATIONARY]
            m.submodules.gather_reader = gather = GatherReader(self.config)
            wiring.connect(m, stationary.gathers, gather.operand)
            wiring.connect(m, stationary.places, gather.places)
            wiring.connect(m, gather.read, wiring.flipped(self.gather))
            wiring.connect(m, gather.fill, reader.fill)

    def _hand_over(self, m: Module, gate: FlowGate, sources: dict[Family, Any]) -> None:
        """Show the drain the rows of the family at work."""
        grid = sources[Family.DENSE_OUTPUT]
        m.d.comb += [
            self.full_next.eq(Cat(source.full_next for source in sources.values()).any()),
            self.row.eq(grid.row),
            grid.shift.eq(self.shift),
            grid.release.eq(self.release),
            grid.closing.eq(self.closing),
        ]
        if Family.STATIONARY in sources:
            partial_sums = sources[Family.STATIONARY]
            stationary = gate.at_work[Family.STATIONARY.value]
            m.d.comb += [
                grid.stationary.eq(stationary),
                partial_sums.shift.eq(self.shift),
                partial_sums.release.eq(self.release),
            ]
            with m.If(stationary):
                m.d.comb += self.row.eq(partial_sums.row)
