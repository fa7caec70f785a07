"""The store unit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import ErrorCode
from .scratchpad import Scratchpad
from .transfer import Transfer
from .window import Window


def store(
    config: AcceleratorConfig,
    transfer: Transfer,
    windows: Sequence[Window],
    dram: NDArray[np.uint8],
    scratchpad: Scratchpad,
) -> None:
    """Copy rows from the scratchpad to DRAM.

    Parameters
    ----------
    config : AcceleratorConfig
        Parameters of the accelerator.
    transfer : Transfer
        The instruction.
    windows : sequence of Window
        What the host has opened.
    dram : uint8 [bytes]
        Physical memory from address 0; is changed. Rows that overlap are written in their order.
    scratchpad : Scratchpad
        What is read.

    Raises
    ------
    Fault
        As `Transfer.check`; `WRITE_DECODE_ERROR` with the address of the first burst beyond
        `dram`. DRAM is unchanged.
    """
    first = transfer.check(config, windows, "writable")
    rows = transfer.rows_of(config, dram, first, ErrorCode.WRITE_DECODE_ERROR)
    block = scratchpad.read(transfer.address, transfer.pitch, transfer.rows, transfer.row_words)
    for row, values in zip(rows, block, strict=True):
        row[:] = values
