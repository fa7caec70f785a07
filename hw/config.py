"""Parameters of the accelerator: validated, frozen, hashed, and the four presets."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

WORD_BYTES = 8
"""Bytes in one scratchpad word: the unit of every scratchpad address, pitch and mask."""

INSTRUCTION_BYTES = 64
"""Bytes in one instruction word."""


class ConfigError(ValueError):
    """A parameter is unknown or out of range. The message names field, value and range."""


def _require_integer(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} must be an integer from {low} to {high}, not {value!r}")


def _require_power_of_two(name: str, value: object, low: int, high: int) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not low <= value <= high
        or value & (value - 1)
    ):
        raise ConfigError(f"{name} must be a power of two from {low} to {high}, not {value!r}")


def _require_boolean(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, not {value!r}")


@dataclass(frozen=True)
class ArrayConfig:
    """The grid of processing elements.

    Parameters
    ----------
    rows : int
        Rows of processing elements, a power of two from 4 to 64.
    columns : int
        Columns, a power of two from 4 to 64: a row of a tile fills words of four results.
    accumulator_width : int
        Bits of an accumulator, 24 to 48.
    block : int
        Inputs among which an index selects: 4, 8 or 16; 1 leaves out compressed operands.
    panel_blocks : int
        Blocks of K of one row tile that the panel holds, a power of two from 16 to 4096: the
        sparse output stationary flows take K up to ``block · panel_blocks``.
    partial_rows : int
        Rows that may stream past a stationary tile, a power of two from 16 to 4096; 0 leaves
        out the stationary flows.
    drain_lanes : int
        Results that are requantised in a cycle, a power of two from 1 to the columns; 0 means a
        row of them.
    wide_rows : bool
        Whether dense output stationary products take rows of two planes, 15 bits an element. It
        takes a scratchpad of at least 16 banks.
    pipelined : bool
        Whether operands wait in registers for a cycle where that shortens the longest paths.
    """

    rows: int = 16
    columns: int = 16
    accumulator_width: int = 32
    block: int = 16
    panel_blocks: int = 256
    partial_rows: int = 512
    drain_lanes: int = 0
    wide_rows: bool = True
    pipelined: bool = False

    def __post_init__(self) -> None:
        _require_power_of_two("array.rows", self.rows, 4, 64)
        _require_power_of_two("array.columns", self.columns, 4, 64)
        _require_integer("array.accumulator_width", self.accumulator_width, 24, 48)
        if isinstance(self.block, bool) or self.block not in (1, 4, 8, 16):
            raise ConfigError(f"array.block must be 1, 4, 8 or 16, not {self.block!r}")
        _require_power_of_two("array.panel_blocks", self.panel_blocks, 16, 4096)
        if self.partial_rows != 0 or isinstance(self.partial_rows, bool):
            _require_power_of_two("array.partial_rows", self.partial_rows, 16, 4096)
        if self.drain_lanes != 0 or isinstance(self.drain_lanes, bool):
            _require_power_of_two("array.drain_lanes", self.drain_lanes, 1, self.columns)
        _require_boolean("array.wide_rows", self.wide_rows)
        _require_boolean("array.pipelined", self.pipelined)

    @property
    def drain_turns(self) -> int:
        """Cycles in which a row of results is requantised."""
        return self.columns // (self.drain_lanes or self.columns)


@dataclass(frozen=True)
class ScratchpadConfig:
    """The on-chip memory.

    Parameters
    ----------
    bytes : int
        Capacity, a power of two from 4096 to 8388608.
    banks : int
        Banks of eight bytes, hence lanes of a line; a power of two from 4 to 64.
    pipelined : bool
        Whether each client registers its requests before clients choose among themselves: a
        higher clock for a cycle more from request to line.
    """

    bytes: int = 512 * 1024
    banks: int = 16
    pipelined: bool = False

    def __post_init__(self) -> None:
        _require_power_of_two("scratchpad.bytes", self.bytes, 4096, 8 << 20)
        _require_power_of_two("scratchpad.banks", self.banks, 4, 64)
        _require_boolean("scratchpad.pipelined", self.pipelined)


@dataclass(frozen=True)
class VectorConfig:
    """The vector unit.

    Parameters
    ----------
    kept_slots : int
        Slots of a tile of activations of which N of every M are kept, a power of two from 64 to
        4096; 0 leaves out compressed activations.
    lanes : int
        Elements that enter the unit in a cycle, a power of two from 4 to the banks of the
        scratchpad; 0 means as many as these.
    pipelined : bool
        Whether what is written waits in a queue for the scratchpad: a higher clock for a cycle
        more an instruction.
    """

    kept_slots: int = 512
    lanes: int = 0
    pipelined: bool = False

    def __post_init__(self) -> None:
        _require_boolean("vector.pipelined", self.pipelined)
        if self.lanes != 0 or isinstance(self.lanes, bool):
            _require_power_of_two("vector.lanes", self.lanes, 4, 64)
        if self.kept_slots != 0 or isinstance(self.kept_slots, bool):
            _require_power_of_two("vector.kept_slots", self.kept_slots, 64, 4096)


@dataclass(frozen=True)
class ButterflyConfig:
    """The butterfly engine.

    Parameters
    ----------
    lanes : int
        Lanes that share each coefficient, a power of two from 4 to 64.
    stages : int
        Radix-2 stages chained in one pass, 1 or 2.
    pipelined : bool
        Whether memories, requests and results have further registers, for a higher clock.
    block_memory : bool
        Whether words wait before and behind the stages in block RAM, 64 of them with 4 lanes,
        instead of look-up tables; asks for `pipelined`.
    """

    lanes: int = 16
    stages: int = 2
    pipelined: bool = False
    block_memory: bool = False

    def __post_init__(self) -> None:
        _require_power_of_two("butterfly.lanes", self.lanes, 4, 64)
        _require_integer("butterfly.stages", self.stages, 1, 2)
        _require_boolean("butterfly.pipelined", self.pipelined)
        _require_boolean("butterfly.block_memory", self.block_memory)
        if self.block_memory and not self.pipelined:
            raise ConfigError(
                "butterfly.block_memory must be false where butterfly.pipelined is: block RAM is "
                "read a cycle later"
            )


@dataclass(frozen=True)
class AxiConfig:
    """The AXI4 memory master.

    Parameters
    ----------
    data_width : int
        Bits of a beat: 64, 128 or 256.
    address_width : int
        Bits of a byte address, 32 to 48.
    outstanding : int
        Bursts in flight a direction, a power of two from 2 to 16.
    burst_beats : int
        Longest burst in beats, a power of two from 4 to 64.
    """

    data_width: int = 128
    address_width: int = 40
    outstanding: int = 8
    burst_beats: int = 16

    def __post_init__(self) -> None:
        _require_power_of_two("axi.data_width", self.data_width, 64, 256)
        _require_integer("axi.address_width", self.address_width, 32, 48)
        _require_power_of_two("axi.outstanding", self.outstanding, 2, 16)
        _require_power_of_two("axi.burst_beats", self.burst_beats, 4, 64)


@dataclass(frozen=True)
class ControllerConfig:
    """The microcode controller.

    Parameters
    ----------
    queue_depth : int
        Instructions that wait in the queue of each unit, a power of two from 2 to 64.
    semaphores : int
        Counting semaphores, 4 to 32.
    windows : int
        Address windows that the host can open, 1 to 8.
    """

    queue_depth: int = 8
    semaphores: int = 32
    windows: int = 4

    def __post_init__(self) -> None:
        _require_power_of_two("controller.queue_depth", self.queue_depth, 2, 64)
        _require_integer("controller.semaphores", self.semaphores, 4, 32)
        _require_integer("controller.windows", self.windows, 1, 8)


@dataclass(frozen=True)
class AcceleratorConfig:
    """All parameters of one accelerator.

    Raises
    ------
    ConfigError
        If a field is out of its range or two fields contradict each other.
    """

    name: str = "base"
    array: ArrayConfig = field(default_factory=ArrayConfig)
    scratchpad: ScratchpadConfig = field(default_factory=ScratchpadConfig)
    vector: VectorConfig = field(default_factory=VectorConfig)
    butterfly: ButterflyConfig = field(default_factory=ButterflyConfig)
    axi: AxiConfig = field(default_factory=AxiConfig)
    controller: ControllerConfig = field(default_factory=ControllerConfig)

    def __post_init__(self) -> None:
        widest = max(self.array.rows, self.array.columns)
        if self.scratchpad.banks < widest:
            raise ConfigError(
                f"scratchpad.banks must be at least max(array.rows, array.columns) = {widest}, "
                f"not {self.scratchpad.banks}: one bank feeds one row or column"
            )
        if self.vector_lanes > self.lanes:
            raise ConfigError(
                f"vector.lanes must be at most scratchpad.banks = {self.lanes}, "
                f"not {self.vector_lanes}: a beat is at most a word's worth of each bank"
            )
        if self.array.block > self.chunk:
            raise ConfigError(
                f"array.block must be at most max(8, scratchpad.banks) = {self.chunk}, "
                f"not {self.array.block}: a chunk of an operand holds whole blocks"
            )
        if self.array.wide_rows and self.chunk < 2 * WORD_BYTES:
            raise ConfigError(
                f"array.wide_rows must be false where scratchpad.banks is {self.lanes}: a chunk "
                f"of {self.chunk} steps has no room for a word of each plane, 16 banks make it"
            )
        if self.scratchpad.bytes < self.minimum_scratchpad_bytes:
            raise ConfigError(
                f"scratchpad.bytes must be at least {self.minimum_scratchpad_bytes} to hold one "
                f"tile of a {self.array.rows}x{self.array.columns} array, "
                f"not {self.scratchpad.bytes}"
            )

    @property
    def lanes(self) -> int:
        """Lanes of a scratchpad line, equal to the number of banks."""
        return self.scratchpad.banks

    @property
    def vector_lanes(self) -> int:
        """Lanes of the vector unit: elements of a beat."""
        return self.vector.lanes or self.lanes

    @property
    def line_bytes(self) -> int:
        """Bytes that one scratchpad access moves."""
        return self.lanes * WORD_BYTES

    @property
    def chunk(self) -> int:
        """Steps of K that one fill of an operand buffer holds."""
        return max(WORD_BYTES, self.lanes)

    @property
    def largest_kept_group(self) -> int:
        """Largest M of which the vector unit can keep the N largest activations; 0 if none."""
        if self.array.block == 1 or not self.vector.kept_slots:
            return 0
        return min(self.array.block, self.vector_lanes)

    @property
    def scratchpad_words(self) -> int:
        """Capacity of the scratchpad in words of eight bytes."""
        return self.scratchpad.bytes // WORD_BYTES

    @property
    def bank_depth(self) -> int:
        """Words in one bank."""
        return self.scratchpad_words // self.lanes

    @property
    def axi_bytes(self) -> int:
        """Bytes of one AXI beat: DRAM addresses and strides are multiples of it."""
        return self.axi.data_width // 8

    @property
    def minimum_scratchpad_bytes(self) -> int:
        """Bytes that a double-buffered tile of operands, its scales and its result need."""
        return 16 * self.line_bytes * max(1, self.lanes // WORD_BYTES)

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as nested dictionaries."""
        return dataclasses.asdict(self)

    @property
    def hash(self) -> int:
        """32-bit hash of every parameter but the name; programs and registers carry it."""
        values = self.to_dict()
        del values["name"]
        text = json.dumps(values, sort_keys=True).encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:4], "little")


def _merge(values: dict[str, Any], path: list[str], value: Any, full: str) -> None:
    head, *rest = path
    if head not in values:
        raise ConfigError(f"{full} is no parameter; choose from {', '.join(sorted(values))}")
    if rest:
        if not isinstance(values[head], dict):
            raise ConfigError(f"{full} is no parameter: {head} has no fields")
        _merge(values[head], rest, value, full)
    elif isinstance(values[head], dict):
        raise ConfigError(f"{full} is a group; set one of {', '.join(sorted(values[head]))}")
    else:
        values[head] = value


def flatten(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the values of nested tables by their dotted names."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def from_dict(values: Mapping[str, Any]) -> AcceleratorConfig:
    """Build a configuration from nested dictionaries, as `AcceleratorConfig.to_dict` gives."""
    return override(AcceleratorConfig(), dict(flatten(values)))


def override(config: AcceleratorConfig, settings: Mapping[str, Any]) -> AcceleratorConfig:
    """Return `config` with dotted `settings` such as ``{"array.rows": 8}`` replaced.

    Raises
    ------
    ConfigError
        If a name is unknown or a value out of range.
    """
    values = config.to_dict()
    for name, value in settings.items():
        _merge(values, name.split("."), value, name)
    return AcceleratorConfig(
        name=values["name"],
        array=ArrayConfig(**values["array"]),
        scratchpad=ScratchpadConfig(**values["scratchpad"]),
        vector=VectorConfig(**values["vector"]),
        butterfly=ButterflyConfig(**values["butterfly"]),
        axi=AxiConfig(**values["axi"]),
        controller=ControllerConfig(**values["controller"]),
    )


def _square(size: int, block: int, panel_blocks: int, partial_rows: int) -> ArrayConfig:
    return ArrayConfig(
        rows=size,
        columns=size,
        block=block,
        panel_blocks=panel_blocks,
        partial_rows=partial_rows,
        wide_rows=size >= 2 * WORD_BYTES,
    )


def _preset(
    name: str, array: ArrayConfig, scratchpad: int, stages: int, axi_width: int, kept_slots: int
) -> AcceleratorConfig:
    size = array.rows
    return AcceleratorConfig(
        name=name,
        array=array,
        scratchpad=ScratchpadConfig(bytes=scratchpad, banks=size),
        vector=VectorConfig(kept_slots=kept_slots),
        butterfly=ButterflyConfig(lanes=size, stages=stages),
        axi=AxiConfig(data_width=axi_width),
    )


_PIPELINED = {
    "array.pipelined": True,
    "butterfly.pipelined": True,
    "scratchpad.pipelined": True,
    "vector.pipelined": True,
}
"""Cycles of latency for a clock of 100 MHz on an ECP5."""

_HALVED = {
    "array.drain_lanes": 4,
    "butterfly.lanes": 4,
    "vector.lanes": 4,
}
"""Half the lanes beside the array, so that 64 elements with all flows come near an ECP5-85F."""

PRESETS: Mapping[str, AcceleratorConfig] = {
    "tiny": override(
        _preset("tiny", _square(4, 4, 128, 64), 16 << 10, 1, 64, 128),
        {"butterfly.block_memory": True} | _PIPELINED,
    ),
    "ecp5": override(
        _preset("ecp5", _square(8, 8, 512, 512), 128 << 10, 1, 64, 512), _HALVED | _PIPELINED
    ),
    "base": _preset("base", _square(16, 16, 256, 512), 512 << 10, 2, 128, 512),
    "large": _preset("large", _square(32, 16, 256, 512), 2 << 20, 2, 256, 512),
}
"""The named configurations."""


_SMALL = {
    "array.block": 1,
    "array.partial_rows": 0,
    "axi.address_width": 32,
    "butterfly.block_memory": False,
    "scratchpad.bytes": 64 << 10,
    "vector.kept_slots": 0,
}
"""Without compressed operands and stationary flows, so that there is room for memory beside it; the
scratchpad is large enough for `ageha run --workload digits`."""

BOARD_PRESETS: Mapping[str, AcceleratorConfig] = {
    name: override(PRESETS["tiny"], {"name": name, **_SMALL}) for name in ("ulx3s", "ecpix5")
}
"""What fits a board together with its memory, by the name of the board."""


def preset(name: str) -> AcceleratorConfig:
    """Return the preset called `name`.

    Raises
    ------
    ConfigError
        If there is no such preset.
    """
    presets = {**PRESETS, **BOARD_PRESETS}
    if name not in presets:
        raise ConfigError(f"preset must be one of {', '.join(presets)}, not {name!r}")
    return presets[name]
