"""Checks the operands of a MATMUL before anything is read or written."""

from collections.abc import Iterable

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import WORD_BYTES, AcceleratorConfig
from .isa import (
    COMPRESSED_A_FLOWS,
    COMPRESSED_B_FLOWS,
    SPARSE_OUTPUT_FLOWS,
    STATIONARY_FLOWS,
    ErrorCode,
    Flow,
    Matmul,
)
from .ports import INDEX_BITS, address_width, fault_layout, issue_layout

REGIONS = 6
_SHORTS_IN_WORD = WORD_BYTES // 2

_region_layout = data.StructLayout(
    {"rows": 16, "pitch": 16, "address": 33, "row_words": 32, "used": 1}
)

checked_layout = data.StructLayout({"word": Matmul, "index": INDEX_BITS})
"""A legal instruction with its place in the program."""


def supported_flows(config: AcceleratorConfig) -> tuple[Flow, ...]:
    """Return the flows that `config` does not leave out."""
    absent: set[Flow] = set()
    if config.array.block == 1:
        absent.update(COMPRESSED_A_FLOWS, COMPRESSED_B_FLOWS)
    if config.array.partial_rows == 0:
        absent.update(STATIONARY_FLOWS)
    return tuple(flow for flow in Flow if flow not in absent)


def _is_one_of(flow: data.View, flows: Iterable[Flow]) -> Value:
    return Value.cast(flow).matches(*(member.value for member in flows))


class MatmulCheck(wiring.Component):
    """Holds an instruction until it is known to be legal.

    ILLEGAL_OPERAND (address 0): m, n or k is zero; the flow is not known or left out; the pitch
    of a dense operand, or of a transposed Y or residual, is not 1 modulo the lanes; what the flow
    does not take, see "Operand checks" in `docs/dataflows.md`. Then SCRATCHPAD_RANGE: the last word
    of A (of its lower plane, if it has one), B, row scales, column scales, Y or residual, examined
    in this order, is beyond the scratchpad; the address is that word.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    instruction : stream of `issue_layout`, in
    checked : stream of `checked_layout`, out; legal instructions.
    fault : `fault_layout`, out; stays until reset.

    Latency: `LATENCY` cycles; one instruction in `LATENCY` + 1 cycles.
    """

    LATENCY = REGIONS + 4

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(issue_layout)),
                "checked": Out(stream.Signature(checked_layout)),
                "fault": Out(fault_layout),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        """Parameters of the accelerator."""
        return self._config

    def elaborate(self, platform: object) -> Module:
        """Return a pipeline that computes one last word a cycle with one multiplier."""
        m = Module()
        word = Signal(Matmul)
        index = Signal.like(self.instruction.payload.index)
        held, legal = Signal(), Signal()
        region = Signal(range(REGIONS + 1))
        illegal = Signal()
        finished, outside, last_word = self._last_words(m, word, held, region)

        m.d.comb += [
            self.instruction.ready.eq(~held),
            self.checked.valid.eq(legal),
            self.checked.payload.word.eq(word),
            self.checked.payload.index.eq(index),
            self.fault.index.eq(index),
        ]
        with m.If(self.instruction.valid & ~held):
            m.d.sync += [held.eq(1), region.eq(0), index.eq(self.instruction.payload.index)]
            m.d.sync += word.eq(self.instruction.payload.word)
        with m.Elif(region != REGIONS):
            m.d.sync += region.eq(region + 1)
        with m.If(self.checked.valid & self.checked.ready):
            m.d.sync += [legal.eq(0), held.eq(0)]

        m.d.sync += illegal.eq(self._illegal(word))
        # The operands are judged with the first region, so that they come before any range.
        with m.If(held & ~self.fault.valid & ~legal):
            with m.If((region == 1) & illegal):
                m.d.sync += [
                    self.fault.valid.eq(1),
                    self.fault.code.eq(ErrorCode.ILLEGAL_OPERAND),
                    self.fault.address.eq(0),
                ]
            with m.Elif(outside):
                m.d.sync += [
                    self.fault.valid.eq(1),
                    self.fault.code.eq(ErrorCode.SCRATCHPAD_RANGE),
                    self.fault.address.eq(last_word),
                ]
            with m.Elif(finished):
                m.d.sync += legal.eq(1)
        return m

    def _illegal(self, word: data.View) -> Value:
        array = self.config.array
        longest = array.block * array.panel_blocks
        is_compressed = _is_one_of(word.flow, (*COMPRESSED_A_FLOWS, *COMPRESSED_B_FLOWS))
        conditions = [
            word.m == 0,
            word.n == 0,
            word.k == 0,
            ~_is_one_of(word.flow, supported_flows(self.config)),
            ~_is_one_of(word.flow, COMPRESSED_A_FLOWS) & self._is_not_skewed(word.a_pitch),
            ~_is_one_of(word.flow, COMPRESSED_B_FLOWS) & self._is_not_skewed(word.b_pitch),
            is_compressed & (word.compressed_words == 0),
            _is_one_of(word.flow, STATIONARY_FLOWS) & (word.m > array.partial_rows),
            _is_one_of(word.flow, SPARSE_OUTPUT_FLOWS) & (word.k > longest),
            _is_one_of(word.flow, (Flow.SPARSE_WEIGHT_STATIONARY,)) & word.a_transposed,
            self._is_illegally_wide(word),
            word.y_transposed & self._is_not_skewed(word.y_pitch),
            word.y_transposed & word.residual_enable & self._is_not_skewed(word.residual_pitch),
        ]
        return Cat(conditions).any()

    def _is_illegally_wide(self, word: data.View) -> Value:
        if not self.config.array.wide_rows:
            return word.wide
        is_dense = _is_one_of(word.flow, (Flow.DENSE_OUTPUT_STATIONARY,))
        return word.wide & (~is_dense | word.a_transposed)

    def _is_not_skewed(self, pitch: Value) -> Value:
        return pitch[: (self.config.lanes - 1).bit_length()] != 1

    def _regions(self, word: data.View) -> list[tuple]:
        """Return rows, pitch, address, words of a row, and whether it is used, of each region."""

        def operand(name: str, outputs: Value, flows: Iterable[Flow]) -> tuple:
            transposed, is_compressed = word[f"{name}_transposed"], _is_one_of(word.flow, flows)
            words = self._words(Mux(transposed, outputs, word.k), WORD_BYTES)
            has_low = name == "a" and self.config.array.wide_rows
            # The lower plane lies behind the upper one, so its last word is that of both.
            distance = Mux(word.wide, word.plane_words, 0) if has_low else 0
            return (
                Mux(is_compressed, 1, Mux(transposed, word.k, outputs)),
                word[f"{name}_pitch"],
                word[f"{name}_address"] + distance,
                Mux(is_compressed, word.compressed_words, words),
                1,
            )

        y_rows = Mux(word.y_transposed, word.n, word.m)
        y_words = self._words(Mux(word.y_transposed, word.m, word.n), _SHORTS_IN_WORD)
        return [
            operand("a", word.m, COMPRESSED_A_FLOWS),
            operand("b", word.n, COMPRESSED_B_FLOWS),
            (word.m, 1, word.row_scale_address, 1, 1),
            (word.n, 1, word.column_scale_address, 1, 1),
            (y_rows, word.y_pitch, word.y_address, y_words, 1),
            (y_rows, word.residual_pitch, word.residual_address, y_words, word.residual_enable),
        ]

    def _words(self, elements, in_word: int):
        return (elements + in_word - 1) // in_word

    def _last_words(self, m: Module, word, held: Signal, region: Signal):
        """Return, three cycles after `region`: it is the last, it is outside, its last word."""
        chosen = Signal(_region_layout, reset_less=True)
        with m.Switch(region):
            for number, (rows, pitch, address, words, used) in enumerate(self._regions(word)):
                with m.Case(number):
                    m.d.sync += [
                        chosen.rows.eq(rows - 1),
                        chosen.pitch.eq(pitch),
                        chosen.address.eq(address),
                        chosen.row_words.eq(words - 1),
                        chosen.used.eq(used),
                    ]
        offset = Signal(32, reset_less=True)
        base = Signal(34, reset_less=True)
        last_word = Signal(35, reset_less=True)
        used = Signal(2, reset_less=True)
        under_way = Signal(3)
        m.d.sync += [
            under_way.eq(Cat(held & (region != REGIONS), under_way)),
            offset.eq(chosen.rows * chosen.pitch),
            base.eq(chosen.address + chosen.row_words),
            last_word.eq(offset + base),
            used.eq(Cat(chosen.used, used)),
        ]
        beyond = last_word[address_width(self.config) :].any()
        outside = under_way[2] & used[1] & beyond
        finished = under_way[2] & ~under_way[1]
        return finished, outside, last_word
