"""The register file as the host sees it."""

from __future__ import annotations

from collections.abc import Iterator

from ...hw.config import AcceleratorConfig
from ...hw.registers import Access, Field, Register, register_map


class Registers:
    """Values of all fields, changed by the host and by the hardware.

    Parameters
    ----------
    config : AcceleratorConfig
        Chooses the registers.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._map = {register.offset: register for register in register_map(config)}
        self._names = {register.name: register for register in self._map.values()}
        self._values = {
            (register.name, field.name): field.reset for register, field in self.fields()
        }

    def fields(self) -> Iterator[tuple[Register, Field]]:
        """Yield every field with its register."""
        for register in self._map.values():
            for field in register.fields:
                yield register, field

    def value(self, register: str, field: str) -> int:
        """Return a field without the effect of a read."""
        return self._values[register, field]

    def show(self, register: str, field: str, value: int) -> None:
        """Set a `READ_ONLY` or `COUNTED` field, as the hardware does.

        Raises
        ------
        ValueError
            If the field is no such field.
        """
        shown = (Access.READ_ONLY, Access.COUNTED)
        if self._names[register].field(field).access not in shown:
            raise ValueError(f"{register}.{field} is not read-only")
        self._values[register, field] = value

    def read(self, offset: int) -> int:
        """Return the register at byte `offset` as the host reads it, with the effect of that."""
        register = self._map.get(offset)
        if register is None:
            return 0
        result = 0
        for field in register.fields:
            result |= self._values[register.name, field.name] << field.low
            if field.access is Access.READ_CLEAR:
                self._values[register.name, field.name] = 0
        return result

    def write(self, offset: int, value: int, strobes: int = 0xF) -> None:
        """Write the bytes of the register at byte `offset` that `strobes` chooses."""
        register = self._map.get(offset)
        if register is None:
            return
        mask = sum(0xFF << 8 * byte for byte in range(4) if strobes >> byte & 1)
        for field in register.fields:
            chosen = (mask & field.mask) >> field.low
            written = (value & mask & field.mask) >> field.low
            old = self._values[register.name, field.name]
            new = {
                Access.READ_WRITE: (old & ~chosen) | written,
                Access.WRITE_SET: old | written,
                Access.WRITE_TOGGLE: old ^ written,
            }
            self._values[register.name, field.name] = new.get(field.access, old)

    def event(self, register: str, field: str) -> None:
        """Set a `READ_CLEAR` field, or a `WRITE_TOGGLE` field if its event is enabled.

        Raises
        ------
        ValueError
            If the field is neither.
        """
        access = self._names[register].field(field).access
        if access not in (Access.READ_CLEAR, Access.WRITE_TOGGLE):
            raise ValueError(f"{register}.{field} notes no events")
        if access is Access.READ_CLEAR or self._values["interrupt_enable", field]:
            self._values[register, field] = 1

    def clear(self, register: str, field: str) -> None:
        """Clear a `WRITE_SET` field.

        Raises
        ------
        ValueError
            If the field is no such field.
        """
        if self._names[register].field(field).access is not Access.WRITE_SET:
            raise ValueError(f"{register}.{field} is not set by a write")
        self._values[register, field] = 0

    def forget(self) -> None:
        """Drop all events."""
        for register, field in self.fields():
            if field.access in (Access.READ_CLEAR, Access.WRITE_TOGGLE):
                self._values[register.name, field.name] = 0

    @property
    def interrupt(self) -> bool:
        """Whether the interrupt is high."""
        status = self._names["interrupt_status"]
        noted = any(self._values[status.name, field.name] for field in status.fields)
        return bool(noted and self._values["global_interrupt_enable", "enable"])
