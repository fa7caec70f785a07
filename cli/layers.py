"""Layers of a model as a user writes them."""

from .errors import InputError

ALL = "all"


def parse_layers(text: str, available: int) -> list[int]:
    """Return the layers in a text such as ``0``, ``0,2``, ``0-5`` or ``all``.

    Parameters
    ----------
    text : str
    available : int
        Layers of the model.

    Raises
    ------
    InputError
        If it is something else, or names a layer that is not there.
    """
    if text == ALL:
        return list(range(available))
    layers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise InputError(f"--layers must be numbers such as 0, 0,2 or 0-5, not {text!r}")
        bounds = int(first), int(last or first)
        if max(bounds) >= available:
            raise InputError(f"--layers must be from 0 to {available - 1}, not {max(bounds)}")
        layers += range(bounds[0], bounds[1] + 1)
    if not layers:
        raise InputError(f"--layers must name at least one layer, not {text!r}")
    return layers
