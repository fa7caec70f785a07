"""What the benches of load and store share: transfers, a rig, and the tests proper."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiResp
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import ErrorCode, Opcode
from ...hw.window import window_layout
from ..golden.fault import Fault
from ..golden.scratchpad import Scratchpad
from ..golden.transfer import Burst, Transfer
from ..golden.window import Window
from ..parameters import generator, parameters
from .bus import ChannelWatch, ReadMemory, WriteMemory, stalls
from .unit import UnitDriver, configuration, reset

WINDOWS = (
    Window(base=0x2000, size=0x8000, readable=True, writable=True),
    Window(base=0xB000, size=0x3F0 - 0x3F0 % 32, readable=True, writable=True),
    Window(base=0x1000, size=0x800, readable=True),
    Window(base=0x1800, size=0x800, writable=True),
)
"""Windows of every kind, guarded by memory that belongs to none."""

DRAM_BYTES = 0x10000


def random_transfer(
    generator: random.Random, config: AcceleratorConfig, *, most_words: int = 600
) -> Transfer:
    """Return a legal transfer of odd shape whose rows do not overlap, at most `most_words` long."""
    lanes = config.lanes
    beat = config.axi_bytes
    row_words = generator.choice((1, 2, 3, lanes - 1, lanes, lanes + 1, 2 * lanes + 3, 97, 300))
    pitch = row_words + generator.choice((0, 1, 2, lanes))
    row_bytes = -(-8 * row_words // beat) * beat
    stride = row_bytes + beat * generator.choice((0, 0, 1, 3, 64))
    most_rows = min(24, most_words // row_words, (WINDOWS[0].size - row_bytes) // stride + 1)
    rows = generator.randint(1, max(1, most_rows))
    span = (rows - 1) * stride + row_bytes
    number = generator.choice([n for n in (0, 1) if WINDOWS[n].size >= span] or [0])
    room = WINDOWS[number].size - span
    return Transfer(
        rows=rows,
        row_words=row_words,
        window=number,
        offset=generator.choice((0, room, generator.randint(0, room))) // beat * beat,
        stride=stride,
        address=generator.randint(0, config.scratchpad_words - (rows - 1) * pitch - row_words),
        pitch=pitch,
    )


def illegal_transfers(
    generator: random.Random, config: AcceleratorConfig, forbidden: int
) -> Sequence[Transfer]:
    """Return transfers that break each rule; window `forbidden` lacks the permission."""
    beat = config.axi_bytes
    words = config.scratchpad_words
    size = WINDOWS[0].size
    bits = {
        "rows": 1,
        "row_words": beat // 8,
        "window": 0,
        "offset": 0,
        "stride": 0,
        "address": 0,
        "pitch": 0,
    }
    changes: list[dict[str, int]] = [
        {"rows": 0},
        {"row_words": 0},
        {"offset": beat - 1},
        {"offset": beat // 2},
        {"rows": 2, "stride": beat + 4},
        {"address": words - beat // 8 + 1},
        {"address": (1 << 32) - 1},
        {"rows": 65535, "row_words": 65535, "pitch": 65535, "stride": (1 << 32) - beat},
        {"rows": 3, "pitch": words // 2},
        {"rows": words + 1, "pitch": 1, "row_words": 1},
        {"window": forbidden},
        {"window": len(WINDOWS)},
        {"window": 255},
        {"offset": size},
        {"offset": size - beat, "row_words": beat // 8 + 1},
        {"rows": 2, "stride": size},
        {"rows": 2, "stride": (1 << 32) - beat},
        {"offset": (1 << 48) - beat},
        {"offset": (1 << 48) - beat, "rows": 512, "stride": (1 << 32) - beat},
    ]
    transfers = [Transfer(**(bits | change)) for change in changes]
    generator.shuffle(transfers)
    return transfers


class TransferRig(ABC):
    """A load or store unit between a bus memory and a scratchpad, both full of noise.

    Parameters
    ----------
    dut : handle
        The unit.
    name : str
        Of the test; chooses the random numbers.

    Attributes
    ----------
    dram : bytearray
        What the bus reaches.
    scratchpad : Scratchpad
        What the unit's port reaches.
    bytes : int
        Sum of the unit's events.
    """

    opcode: ClassVar[Opcode]
    channel: ClassVar[Literal["ar", "aw"]]
    forbidden: ClassVar[int]
    errors: ClassVar[dict[AxiResp, ErrorCode]]
    memory_type: ClassVar[type[ReadMemory] | type[WriteMemory]]

    def __init__(self, dut: Any, name: str) -> None:
        self.dut = dut
        self.config = configuration()
        self.random = generator(name)
        self.dram = bytearray(self.random.randbytes(DRAM_BYTES))
        self.scratchpad = Scratchpad(self.config)
        noise = self.random.randbytes(self.config.scratchpad.bytes)
        self.scratchpad.bytes[:] = np.frombuffer(noise, dtype=np.uint8)
        self.expected = self.target()
        self.bytes = 0

    async def start(self, *, stall: bool = True) -> UnitDriver:
        """Reset the unit and begin to serve it; `stall` allows pauses on every stream."""
        dut, axi = self.dut, self.config.axi
        probability = parameters()["stalls"] if stall else 0.0
        bits = windows_bits(self.config)
        dut.windows.value = bits
        self.memory = self.memory_type(dut, "memory", self.dram)
        self.driver = UnitDriver(dut, self.pauses("instruction", probability))
        self.watch = ChannelWatch(
            dut, "memory", self.channel, self.config.axi_bytes, axi.burst_beats, axi.outstanding
        )
        await reset(dut)
        if probability:
            self.memory.stall(generator("bus"), probability)
        self.watch.start()
        cocotb.start_soon(self.serve(self.pauses("scratchpad", probability)))
        cocotb.start_soon(self._count())
        return self.driver

    def pauses(self, name: str, probability: float) -> Callable[[], bool]:
        """Return a function that tells each cycle whether to pause."""
        pattern = stalls(generator(name), probability)
        return lambda: next(pattern)

    async def _count(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            self.bytes += int(self.dut.events.value)

    @abstractmethod
    async def serve(self, paused: Callable[[], bool]) -> None:
        """Play the scratchpad."""

    @abstractmethod
    def target(self) -> NDArray[np.uint8]:
        """Return a copy of the memory that the unit writes."""

    @abstractmethod
    def model(self, transfer: Transfer, target: NDArray[np.uint8]) -> None:
        """Execute a transfer with the golden model, changing `target` in place."""

    def expect(self, transfer: Transfer) -> None:
        """Execute a transfer in what is expected."""
        self.model(transfer, self.expected)

    def compare(self) -> None:
        """Compare the whole memory with what is expected."""
        wrong = np.flatnonzero(self.target() != self.expected)
        assert not len(wrong), f"{len(wrong)} wrong bytes, the first at {wrong[0]:#x}"

    def compare_partly(self, transfers: Sequence[Transfer]) -> None:
        """Check that each byte is as it was or as one of `transfers` left it, and accept that."""
        actual = self.target()
        allowed = actual == self.expected
        for transfer in transfers:
            self.expect(transfer)
            allowed |= actual == self.expected
        wrong = np.flatnonzero(~allowed)
        assert not len(wrong), f"{len(wrong)} wrong bytes, the first at {wrong[0]:#x}"
        self.expected = actual

    def bursts(self, transfers: Sequence[Transfer]) -> Iterator[Burst]:
        """Return all bursts of legal transfers."""
        for transfer in transfers:
            first = WINDOWS[transfer.window].base + transfer.offset
            yield from transfer.bursts(self.config, first)

    def beats(self, transfer: Transfer) -> list[tuple[int, int]]:
        """Return the address of each beat of a legal transfer, and that of its burst."""
        return [
            (burst.address + place * self.config.axi_bytes, burst.address)
            for burst in self.bursts([transfer])
            for place in range(burst.beats)
        ]

    def random_transfer(self) -> Transfer:
        """Return a legal transfer."""
        return random_transfer(self.random, self.config)

    async def rest(self, cycles: int) -> None:
        """Wait."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)


def windows_bits(config: AcceleratorConfig) -> int:
    """Return `WINDOWS` as the bits of the port `windows`."""
    assert config.controller.windows == len(WINDOWS)
    return sum(window.pack() << window_layout.size * n for n, window in enumerate(WINDOWS))


async def check_transfers(rig: TransferRig) -> None:
    """Back to back or one by one, transfers equal the golden model and touch nothing else."""
    driver = await rig.start()
    transfers = [rig.random_transfer() for _ in range(24)]
    for index, transfer in enumerate(transfers):
        rig.expect(transfer)
        driver.issue(transfer.pack(rig.opcode), index)
        if index < 8:
            await driver.finish(index + 1)
            rig.compare()
    await driver.finish(len(transfers))
    rig.compare()
    await rig.rest(3)
    assert not driver.busy
    assert driver.done == len(transfers)
    assert rig.watch.bursts == list(rig.bursts(transfers))
    assert rig.bytes == sum(transfer.rows * transfer.row_bytes for transfer in transfers)


async def check_throughput(rig: TransferRig, slack: int) -> None:
    """Without pauses a beat moves every cycle, across rows, but for `slack` cycles."""
    driver = await rig.start(stall=False)
    config = rig.config
    transfers = []
    for count, row_words in enumerate((1, config.lanes + 1, 97)):
        row_beats = -(-row_words * 8 // config.axi_bytes)
        rows = min(40, config.scratchpad_words // row_words)
        stride = row_beats * config.axi_bytes
        transfer = Transfer(rows, row_words, 0, 0, stride, 0, row_words)
        transfers.append(transfer)
        before = rig.watch.beats
        driver.issue(transfer.pack(rig.opcode), count)
        rig.expect(transfer)
        while rig.watch.beats == before:
            await rig.rest(1)
        first = driver.cycle
        await driver.finish(count + 1)
        cycles = driver.cycle - first
        beats = rig.watch.beats - before
        assert beats == rows * row_beats
        rig.compare()
        if config.axi.outstanding >= 8:
            assert cycles <= beats + slack, f"{beats} beats took {cycles} cycles"
            assert row_words == 1 or rig.watch.most_in_flight >= 3
    assert rig.watch.bursts == list(rig.bursts(transfers))


async def check_faults(rig: TransferRig) -> None:
    """An illegal instruction faults like the golden model, after those before it, alone."""
    driver = await rig.start()
    for count, illegal in enumerate(illegal_transfers(rig.random, rig.config, rig.forbidden)):
        legal = [rig.random_transfer() for _ in range(rig.random.randint(0, 2))]
        done, bursts = driver.done, len(rig.watch.bursts)
        for transfer in (*legal, illegal, rig.random_transfer()):
            driver.issue(transfer.pack(rig.opcode), 1000 * count + driver.waiting)
        for transfer in legal:
            rig.expect(transfer)
        await driver.faulted()
        await rig.rest(rig.random.randint(0, 20))
        actual, index = await driver.faulted()
        try:
            rig.expect(illegal)
            raise AssertionError(f"{illegal} is legal")
        except Fault as fault:
            assert (actual.code, actual.address) == (fault.code, fault.address), illegal
        assert index == 1000 * count + len(legal)
        assert driver.done == done + len(legal)
        assert rig.watch.bursts[bursts:] == list(rig.bursts(legal))
        rig.compare()
        await driver.halt()


async def check_bus_errors(rig: TransferRig) -> None:
    """An error response is reported with its burst; the bus is left in order."""
    driver = await rig.start()
    for response, code in [*rig.errors.items()] * 6:
        first, failing, unlucky = (rig.random_transfer() for _ in range(3))
        spared = {address for address, _ in rig.beats(first)}
        beats = [beat for beat in rig.beats(failing) if beat[0] not in spared]
        if not beats:
            continue
        address, burst = rig.random.choice(beats)
        rig.memory.fail(range(address, address + rig.config.axi_bytes), response)
        done = driver.done
        for index, transfer in enumerate((first, failing, unlucky)):
            driver.issue(transfer.pack(rig.opcode), 7 + index)
        rig.expect(first)
        await driver.faulted()
        await rig.rest(rig.random.randint(0, 20))
        actual, index = await driver.faulted()
        assert (actual.code, actual.address, index) == (code, burst, 8)
        assert driver.done == done + 1
        await driver.halt()
        assert rig.watch.in_flight == 0
        rig.memory.fail(range(0), response)
        rig.compare_partly([failing, unlucky])
        await _check_recovery(rig)


async def check_halt(rig: TransferRig) -> None:
    """Halted at any time, the unit leaves the bus in order, and works again."""
    driver = await rig.start()
    for _ in range(40):
        transfers = [rig.random_transfer() for _ in range(3)]
        for index, transfer in enumerate(transfers):
            driver.issue(transfer.pack(rig.opcode), index)
        await rig.rest(rig.random.choice((0, 1, 2, 3, 5, 9, 14, 30, 80, 200)))
        await driver.halt()
        assert rig.watch.in_flight == 0
        bursts = len(rig.watch.bursts)
        await rig.rest(10)
        assert len(rig.watch.bursts) == bursts, "a burst after the halt"
        rig.compare_partly(transfers)
        if rig.random.random() < 0.3:
            await _check_recovery(rig)


async def _check_recovery(rig: TransferRig) -> None:
    transfer = rig.random_transfer()
    rig.expect(transfer)
    rig.driver.issue(transfer.pack(rig.opcode), 3)
    await rig.driver.finish(rig.driver.done + 1)
    rig.compare()
