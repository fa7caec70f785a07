"""Signatures that blocks share: scratchpad clients, unit control and faults."""

from amaranth import unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature

from .config import WORD_BYTES, AcceleratorConfig
from .isa import INSTRUCTION_BITS, ErrorCode

WORD_BITS = 8 * WORD_BYTES


def address_width(config: AcceleratorConfig) -> int:
    """Bits of a scratchpad word address of `config`."""
    return (config.scratchpad_words - 1).bit_length()


def line_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """One word a lane: what a scratchpad access moves."""
    return data.ArrayLayout(unsigned(WORD_BITS), config.lanes)


def read_request_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Lane l reads word ``address + l·pitch``; the pitch is 1 modulo the number of lanes."""
    return data.StructLayout({"address": address_width(config), "pitch": 16})


def write_request_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Lane l writes word ``address + l·pitch`` where bit l of the mask is set."""
    return data.StructLayout(
        {
            "address": address_width(config),
            "pitch": 16,
            "mask": config.lanes,
            "data": line_layout(config),
        }
    )


class ReadPortSignature(Signature):
    """A client's read port, seen from the client.

    Requests are accepted with valid/ready. Lines come back in the order of the requests with
    `valid` and without `ready`: a client asks only for what it has room for.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "request": Out(stream.Signature(read_request_layout(config))),
                "response": In(stream.Signature(line_layout(config), always_ready=True)),
            }
        )


class WritePortSignature(Signature):
    """A client's write port, seen from the client.

    A read that is accepted in any cycle after a write was accepted returns what was written.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__({"request": Out(stream.Signature(write_request_layout(config)))})


INDEX_BITS = 16

issue_layout = data.StructLayout({"word": INSTRUCTION_BITS, "index": INDEX_BITS})
"""An instruction on its way to a unit, with its place in the program."""

fault_layout = data.StructLayout(
    {"valid": 1, "code": ErrorCode, "index": INDEX_BITS, "address": 64}
)
"""An error report; `valid` stays high until the unit is halted."""


class UnitSignature(Signature):
    """Control of a unit, seen from the unit.

    Members
    -------
    instruction : stream of `issue_layout`
        Taken in order. A unit may take the next one before it is done with the last.
    done : one cycle for each finished instruction, in order, when all its writes are visible.
    busy : high while anything is in flight; low when the unit is back in its reset state.
    halt : abandon everything. A unit with bus transactions in flight completes them first.
    fault : why the unit stopped; it takes and finishes nothing until it has been halted.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "instruction": In(stream.Signature(issue_layout)),
                "done": Out(1),
                "busy": Out(1),
                "halt": In(1),
                "fault": Out(fault_layout),
            }
        )
