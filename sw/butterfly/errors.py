"""What butterfly weights raise; every message is one line."""


class ButterflyError(ValueError):
    """Butterfly weights or operands cannot be used. The message names what, figure and limit."""
