"""Matrices that a user gives as .npy files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import InputError


def read_array(option: str, path: Path) -> NDArray:
    """Return the array in a .npy file.

    Raises
    ------
    InputError
        If the file cannot be read, is no .npy file, or holds objects.
    """
    try:
        return np.load(path, allow_pickle=False)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{option} {path}: cannot be read: {reason}") from None
    except (ValueError, EOFError):
        raise InputError(f"{option} {path}: is no .npy file of numbers") from None
