"""Queues that answer from registers: cycle for cycle those of Amaranth."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.sim import Simulator

from ageha.hw.buffered_queue import BufferedQueue
from ageha.hw.config import ConfigError
from ageha.hw.queue import Queue


def late_queue(width, depth):
    return Queue(width, depth, latency=2)


BUFFERED = [(BufferedQueue, SyncFIFOBuffered), (late_queue, SyncFIFOBuffered)]


@pytest.mark.parametrize(
    "width, depth, kind",
    [
        *((*size, kind) for size in ((4, 5), (1, 8)) for kind in ((Queue, SyncFIFO), *BUFFERED)),
        (9, 2, (Queue, SyncFIFO)),
        (9, 2, BUFFERED[0]),
        (9, 3, BUFFERED[1]),
    ],
)
def test_equals_the_queue_of_amaranth(width, depth, kind):
    ours, theirs = kind
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    source = random.Random(seed)
    m = Module()
    m.submodules.queue = queue = ours(width, depth)
    m.submodules.reference = reference = theirs(width=width, depth=depth)

    async def bench(context):
        reached = set()
        for cycle in range(1500):
            if cycle % 50 == 0:
                writes, reads = (source.choice((0.1, 0.5, 0.9, 1.0)) for _ in range(2))
            given = {
                "w_data": source.getrandbits(width),
                "w_en": source.random() < writes,
                "r_en": source.random() < reads,
            }
            for each in (queue, reference):
                for name, value in given.items():
                    context.set(getattr(each, name), value)
            for name in ("w_rdy", "r_rdy", "level"):
                assert context.get(getattr(queue, name)) == context.get(getattr(reference, name))
            if context.get(queue.r_rdy):
                assert context.get(queue.r_data) == context.get(reference.r_data)
            reached.add(context.get(queue.level))
            await context.tick()
        assert reached == set(range(depth + 1))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("queue", [Queue, BufferedQueue])
def test_parameters_are_checked(queue):
    with pytest.raises(ConfigError, match="width must be at least 1, not 0"):
        queue(0, 4)
    with pytest.raises(ConfigError, match="depth must be at least 2, not 1"):
        queue(8, 1)


def test_latency_is_checked():
    with pytest.raises(ConfigError, match="depth must be at least 3, not 2"):
        Queue(8, 2, latency=2)
    with pytest.raises(ConfigError, match="latency must be 1 or 2, not 3"):
        Queue(8, 4, latency=3)
