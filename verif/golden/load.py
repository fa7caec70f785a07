"""The load unit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...hw.config import AcceleratorConfig
from ...hw.isa import ErrorCode
from .scratchpad import Scratchpad
from .transfer import Transfer
from .window import Window


def load(
    config: AcceleratorConfig,
    transfer: Transfer,
    windows: Sequence[Window],
    dram: NDArray[np.uint8],
    scratchpad: Scratchpad,
) -> None:
    """Copy rows from DRAM to the scratchpad.

    Parameters
    ----------
    config : AcceleratorConfig
        Parameters of the accelerator.
    transfer : Transfer
        The instruction.
    windows : sequence of Window
        What the host has opened.
    dram : uint8 [bytes]
        Physical memory from address 0.
    scratchpad : Scratchpad
        Is changed.

    Raises
    ------
    Fault
        As `Transfer.check`; `READ_DECODE_ERROR` with the address of the first burst beyond `dram`.
        The scratchpad is unchanged.
    """
    first = transfer.check(config, windows, "readable")
    rows = transfer.rows_of(config, dram, first, ErrorCode.READ_DECODE_ERROR)
    scratchpad.write(transfer.address, transfer.pitch, rows)
