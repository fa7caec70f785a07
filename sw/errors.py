"""What the front ends and the compiler raise; every message is one line."""


class FrontendError(ValueError):
    """A model or a text cannot be read. The message names field, value and limit."""


class CompileError(ValueError):
    """A model cannot be compiled. The message names operator, figure and limit."""


class NoRoomError(CompileError):
    """The scratchpad is too small for what a lowering holds at a time."""
