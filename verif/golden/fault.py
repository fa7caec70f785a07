"""The exception by which a golden model reports what the hardware reports as a fault."""

from ...hw.isa import ErrorCode


class Fault(Exception):
    """An instruction that the hardware refuses.

    Parameters
    ----------
    code : ErrorCode
        Why.
    address : int
        What the hardware reports as the address of the fault; its meaning depends on the code.
    """

    def __init__(self, code: ErrorCode, address: int) -> None:
        super().__init__(f"{code.name} at {address:#x}")
        self.code = code
        self.address = address
