"""Model of the memory behind AXI4: bytes, and how each access is answered."""

from dataclasses import dataclass

from ...hw.axi import Burst, Response
from ...hw.config import AcceleratorConfig


@dataclass(frozen=True)
class Access:
    """A burst.

    Parameters
    ----------
    address : int
        Byte address of the first beat.
    beats : int
        1 to 256.
    size : int
        Logarithm of the bytes of a beat.
    burst : Burst
    """

    address: int
    beats: int
    size: int
    burst: Burst = Burst.INCR


class Memory:
    """Bytes from `base` on.

    Parameters
    ----------
    config : AcceleratorConfig
        Gives the bytes of a beat.
    size, base : int
        As `hw.axi_memory.AxiMemory` takes them.
    """

    def __init__(self, config: AcceleratorConfig, size: int, base: int = 0) -> None:
        self.beat_bytes = config.axi_bytes
        self.base = base
        self.contents = bytearray(size)

    def response(self, access: Access) -> Response:
        """Return how every beat of an access is answered."""
        if not self.base <= access.address < self.base + len(self.contents):
            return Response.DECERR
        if 1 << access.size != self.beat_bytes or access.burst is not Burst.INCR:
            return Response.SLVERR
        return Response.OKAY

    def write(self, access: Access, beats: list[tuple[int, int]]) -> Response:
        """Write pairs of data and strobes; return the response."""
        response = self.response(access)
        if response is not Response.OKAY:
            return response
        start = access.address - self.base
        for place, (data, strobes) in enumerate(beats):
            for byte in range(self.beat_bytes):
                if strobes >> byte & 1:
                    offset = start + place * self.beat_bytes + byte
                    self.contents[offset] = data >> 8 * byte & 0xFF
        return response

    def read(self, access: Access) -> tuple[Response, list[int]]:
        """Return the response and the data of each beat, which counts if it is OKAY."""
        start = access.address - self.base
        offsets = (start + place * self.beat_bytes for place in range(access.beats))
        beats = [
            int.from_bytes(self.contents[offset : offset + self.beat_bytes], "little")
            for offset in offsets
        ]
        return self.response(access), beats
