"""Bench of the scratchpad: many clients, any address, row and column, against the golden model."""

import random
from collections import deque
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from ...hw.config import AcceleratorConfig
from ...hw.ports import read_request_layout, write_request_layout
from ...hw.scratchpad import Scratchpad as HardwareScratchpad
from ...hw.scratchpad import scratchpad_events_layout
from ..golden.scratchpad import Scratchpad
from ..parameters import generator, parameters
from .unit import configuration, reset

CYCLES = 1500


class Client:
    """Puts random requests on one port and keeps each until it is accepted.

    Parameters
    ----------
    dut : handle
        The scratchpad.
    kind : "read" or "write"
    number : int
        Index of the port.
    activity : float
        Probability of a new request in a cycle.
    """

    def __init__(self, dut: Any, kind: str, number: int, activity: float) -> None:
        self.kind = kind
        self.number = number
        self.activity = activity
        self.random = generator(f"{kind} {number}")
        self.valid = getattr(dut, f"{kind}_{number}_request_valid")
        self.ready = getattr(dut, f"{kind}_{number}_request_ready")
        self.payload = getattr(dut, f"{kind}_{number}_request_payload")
        self.request: dict[str, Any] | None = None

    def drive(self, config: AcceleratorConfig, recent: deque[tuple[int, int]]) -> None:
        """Present a request, old or new; some go where another client has just been."""
        if self.request is None and self.random.random() < self.activity:
            self.request = random_request(self.random, config, self.kind, recent)
            layout = read_request_layout if self.kind == "read" else write_request_layout
            self.payload.value = layout(config).const(self.request).as_bits()
        self.valid.value = self.request is not None

    def accepted(self) -> dict[str, Any] | None:
        """Return the request that is accepted at this edge."""
        if self.request is None or not int(self.ready.value):
            return None
        request, self.request = self.request, None
        return request


def random_request(
    generator: random.Random,
    config: AcceleratorConfig,
    kind: str,
    recent: deque[tuple[int, int]],
) -> dict[str, Any]:
    """Return the fields of a request; only lanes in the memory are written."""
    lanes, words = config.lanes, config.scratchpad_words
    column = 1 + lanes * generator.randrange(1, 1 + words // lanes // lanes)
    farthest = 1 + lanes * ((0xFFFF - 1) // lanes)
    place = generator.randrange(words), generator.choice((1, 1, column, column, farthest))
    if recent and generator.random() < 0.6:
        place = generator.choice(recent)
    elif generator.random() < 0.2:
        place = words - generator.randrange(1, 2 * lanes), place[1]
    address, pitch = place
    request: dict[str, Any] = {"address": address, "pitch": pitch}
    if kind == "write":
        inside = sum(1 << lane for lane in range(lanes) if address + lane * pitch < words)
        request["mask"] = generator.choice((inside, inside & generator.getrandbits(lanes)))
        request["data"] = [generator.getrandbits(64) for _ in range(lanes)]
    return request


Accepted = tuple[Client, dict[str, Any]] | None
"""Who was accepted at an edge, and its request."""


class Model:
    """What must come back, and when."""

    def __init__(self, dut: Any, config: AcceleratorConfig, readers: int, writers: int) -> None:
        self.dut = dut
        self.memory = Scratchpad(config)
        self.readers = readers
        self.writers = writers
        self.pending: deque[tuple[int, bytes] | None] = deque(
            [None] * HardwareScratchpad.READ_LATENCY
        )
        self.reads = 0
        # The last line that was cleared.
        self.traffic = (0, 1, config.lanes)

    def check_events(self, read: Accepted, written: Accepted) -> None:
        """Compare the events with what the edge before accepted; remember what this one did."""
        layout = scratchpad_events_layout(self.memory.config, self.readers, self.writers)
        found = layout.from_bits(int(self.dut.events.value))
        assert (found["read"], found["written"], found["written_words"]) == self.traffic
        self.traffic = (
            1 << read[0].number if read else 0,
            1 << written[0].number if written else 0,
            written[1]["mask"].bit_count() if written else 0,
        )

    def check_responses(self) -> None:
        """Compare every response port with what was read `READ_LATENCY` cycles ago."""
        expected = self.pending.popleft()
        for reader in range(self.readers):
            valid = int(getattr(self.dut, f"read_{reader}_response_valid").value)
            assert bool(valid) == (expected is not None and expected[0] == reader)
            if valid and expected is not None:
                payload = int(getattr(self.dut, f"read_{reader}_response_payload").value)
                assert payload.to_bytes(len(expected[1]), "little") == expected[1]
                self.reads += 1

    def read(self, client: Client, request: dict[str, Any]) -> None:
        """Remember what an accepted read returns."""
        line = self.memory.read_line(request["address"], request["pitch"])
        self.pending.append((client.number, line.tobytes()))

    def write(self, request: dict[str, Any]) -> None:
        """Apply an accepted write."""
        line = np.array(request["data"], dtype=np.uint64)
        self.memory.write_line(request["address"], request["pitch"], request["mask"], line)


def winner(clients: list[Client]) -> Accepted:
    """Return who is accepted at this edge, after checking that it is the first with a request."""
    waiting = [client for client in clients if client.request is not None]
    accepted = [(client, request) for client in clients if (request := client.accepted())]
    assert [client for client, _ in accepted] == waiting[:1], "not the first client was served"
    return accepted[0] if accepted else None


async def run_traffic(dut: Any, activity: float) -> None:
    """Run random traffic; each client has a request in a share `activity` of the cycles."""
    config = configuration()
    readers = [Client(dut, "read", n, activity) for n in range(parameters()["readers"])]
    writers = [Client(dut, "write", n, activity) for n in range(parameters()["writers"])]
    model = Model(dut, config, len(readers), len(writers))
    recent: deque[tuple[int, int]] = deque(maxlen=4)
    for client in (*readers, *writers):
        client.valid.value = 0
    await reset(dut)
    for depth in range(config.bank_depth):
        await clear_line(dut, depth * config.lanes)
    for _ in range(CYCLES):
        for client in (*readers, *writers):
            client.drive(config, recent)
        await RisingEdge(dut.clk)
        model.check_responses()
        # A read in the cycle of a write does not see it; one in the next cycle does.
        read = winner(readers)
        if read:
            model.read(*read)
        else:
            model.pending.append(None)
        written = winner(writers)
        if written:
            model.write(written[1])
            recent.append((written[1]["address"], written[1]["pitch"]))
        model.check_events(read, written)
    assert model.reads > CYCLES * activity / 2
    dut._log.info("%d reads in %d cycles", model.reads, CYCLES)


async def clear_line(dut: Any, address: int) -> None:
    """Write zeros with the first writer."""
    config = configuration()
    mask = (1 << config.lanes) - 1
    request = {"address": address, "pitch": 1, "mask": mask, "data": [0] * config.lanes}
    dut.write_0_request_payload.value = write_request_layout(config).const(request).as_bits()
    dut.write_0_request_valid.value = 1
    await RisingEdge(dut.clk)
    dut.write_0_request_valid.value = 0


@cocotb.test()
async def sparse_traffic(dut: Any) -> None:
    """Each client asks now and then."""
    await run_traffic(dut, 0.3)


@cocotb.test()
async def full_traffic(dut: Any) -> None:
    """Every client asks always: a line is read and one written each cycle."""
    await run_traffic(dut, 1.0)
