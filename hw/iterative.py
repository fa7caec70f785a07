"""What arithmetic that takes one cycle a digit has in common."""

from abc import abstractmethod
from collections.abc import Mapping

from amaranth.hdl import Module, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class IterativeStage(wiring.Component):
    """Takes a value, works on it for some cycles, hands it on, takes the next.

    A subclass gives what happens when a value is taken, in each step, and what comes out. A value
    occupies the stage for its steps and two cycles more.

    Parameters
    ----------
    input_layout, output_layout : StructLayout
    maximum_steps : int
    settings : mapping of str to shape
        Further inputs, stable while the stage is in use.

    Members
    -------
    clear : in
        Forget the value.
    input : stream of `input_layout`, in
    output : stream of `output_layout`, out
    """

    def __init__(
        self,
        input_layout: data.StructLayout,
        output_layout: data.StructLayout,
        maximum_steps: int,
        settings: Mapping[str, object],
    ) -> None:
        self._maximum_steps = maximum_steps
        super().__init__(
            {
                "clear": In(1),
                "input": In(stream.Signature(input_layout)),
                "output": Out(stream.Signature(output_layout)),
                **{name: In(shape) for name, shape in settings.items()},
            }
        )

    @abstractmethod
    def take(self, m: Module) -> None:
        """Add what happens when `input` is taken."""

    @abstractmethod
    def step(self, m: Module, number: Value) -> None:
        """Add what happens in step `number`, from 0."""

    @abstractmethod
    def steps(self) -> Value:
        """Return how many steps a value needs, given the settings."""

    @abstractmethod
    def give(self, m: Module) -> None:
        """Drive the payload of `output` from registers."""

    def elaborate(self, platform: object):
        """Return the counter of steps around the subclass's arithmetic."""
        m = Module()
        full = Signal()
        number = Signal(range(self._maximum_steps + 1))
        finished = Signal()
        m.d.comb += [
            self.input.ready.eq(~full),
            self.output.valid.eq(full & finished),
        ]
        self.give(m)
        with m.If(~full):
            m.d.sync += [full.eq(self.input.valid), number.eq(0)]
            m.d.sync += finished.eq(self.steps() == 0)
            self.take(m)
        with m.Elif(~finished):
            m.d.sync += [number.eq(number + 1), finished.eq(number + 1 == self.steps())]
            self.step(m, number)
        with m.Elif(self.output.ready):
            m.d.sync += full.eq(0)
        return ResetInserter(self.clear)(m)
