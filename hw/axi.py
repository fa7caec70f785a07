"""AXI4 and AXI4-Lite as flat signatures with the standard signal names.

All are seen from the master; a slave uses them flipped, ``In(AxiLiteSignature(8))``.
Source: AMBA AXI and ACE Protocol Specification, ARM IHI 0022, sections A2 and B1.
"""

from amaranth.lib import enum
from amaranth.lib.wiring import In, Member, Out, Signature

from .config import AcceleratorConfig, ConfigError

ID_BITS = 1
"""Bits of a transaction identifier: it tells two masters that share a port apart."""

BOUNDARY_BYTES = 4096
"""No burst crosses a multiple of this."""

NORMAL_MEMORY = 0b0011
"""AxCACHE of normal, non-cacheable, bufferable memory."""


class Burst(enum.Enum, shape=2):
    """AxBURST."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Response(enum.Enum, shape=2):
    """RRESP and BRESP."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def _address_channel(prefix: str, config: AcceleratorConfig) -> dict[str, Member]:
    return {
        f"{prefix}id": Out(ID_BITS),
        f"{prefix}addr": Out(config.axi.address_width),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(Burst),
        f"{prefix}cache": Out(4),
        f"{prefix}prot": Out(3),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


def _read_channels(config: AcceleratorConfig) -> dict[str, Member]:
    return {
        **_address_channel("ar", config),
        "rid": In(ID_BITS),
        "rdata": In(config.axi.data_width),
        "rresp": In(Response),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def _write_channels(config: AcceleratorConfig) -> dict[str, Member]:
    return {
        **_address_channel("aw", config),
        "wdata": Out(config.axi.data_width),
        "wstrb": Out(config.axi_bytes),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(ID_BITS),
        "bresp": In(Response),
        "bvalid": In(1),
        "bready": Out(1),
    }


class AxiReadSignature(Signature):
    """The channels AR and R of AXI4."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(_read_channels(config))


class AxiWriteSignature(Signature):
    """The channels AW, W and B of AXI4."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(_write_channels(config))


class Axi4Signature(Signature):
    """All five channels of AXI4."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__({**_write_channels(config), **_read_channels(config)})


class AxiLiteSignature(Signature):
    """AXI4-Lite.

    Parameters
    ----------
    address_width : int
        Bits of a byte address, 1 to 64.
    data_width : int
        32 or 64.

    Raises
    ------
    ConfigError
        If a width is none of these.
    """

    def __init__(self, address_width: int, data_width: int = 32) -> None:
        if not 1 <= address_width <= 64:
            raise ConfigError(f"address_width must be from 1 to 64, not {address_width!r}")
        if data_width not in (32, 64):
            raise ConfigError(f"data_width must be 32 or 64, not {data_width!r}")
        super().__init__(
            {
                "awaddr": Out(address_width),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(data_width),
                "wstrb": Out(data_width // 8),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(Response),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_width),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(data_width),
                "rresp": In(Response),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )
