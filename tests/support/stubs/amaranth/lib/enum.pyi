import enum
from typing import Any

class Enum(enum.Enum):  # type: ignore[misc]
    def __init_subclass__(cls, *, shape: Any = None, **arguments: Any) -> None: ...

class IntEnum(enum.IntEnum):  # type: ignore[misc]
    def __init_subclass__(cls, *, shape: Any = None, **arguments: Any) -> None: ...

class Flag(enum.Flag):  # type: ignore[misc]
    def __init_subclass__(cls, *, shape: Any = None, **arguments: Any) -> None: ...
