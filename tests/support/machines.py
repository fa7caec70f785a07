"""Configurations that several tests build, so that they build them once."""

from ageha.hw.config import override, preset

ODD = override(
    preset("tiny"),
    {
        "array.rows": 8,
        "array.block": 8,
        "scratchpad.banks": 8,
        "axi.data_width": 128,
        "axi.burst_beats": 4,
        "axi.outstanding": 2,
        "axi.address_width": 32,
        "controller.queue_depth": 2,
        "butterfly.stages": 2,
    },
)
"""Sizes that differ from each other, and blocks that hold groups of 8."""
