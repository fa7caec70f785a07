"""Butterfly weights from files: NumPy's .npy and .npz, or safetensors of a PyTorch model.

PyTorch keeps complex parameters as pairs of reals on a last axis of two elements, as
``torch_butterfly`` does; complex tensors are read as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from .errors import ButterflyError
from .hierarchical import HierarchicalLinear
from .linear import ButterflyLinear
from .twiddle import Twiddle
from .validate import finite_tensor

TWIDDLE_AXES = 6

NUMPY_TYPES = frozenset(
    (
        "BOOL",
        "C64",
        "F16",
        "F32",
        "F64",
        *(f"{sign}{bits}" for sign in "IU" for bits in (8, 16, 32, 64)),
    )
)
"""Types of safetensors that NumPy has of its own."""


def load_twiddle(path: Path, name: str = "twiddle", increasing_stride: bool = True) -> Twiddle:
    """Return the twiddle in a file.

    Parameters
    ----------
    path : Path
        Ends in ``.npy``, ``.npz`` or ``.safetensors``.
    name : str
        Of the tensor, in a file of several.
    increasing_stride : bool
        As the layer was built; the file does not say.

    Raises
    ------
    ButterflyError
        If it cannot be read or is no twiddle.
    """
    with _errors_name(path):
        return Twiddle(_join_complex(_read_tensor(path, name), TWIDDLE_AXES), increasing_stride)


def load_linear(
    path: Path,
    in_features: int,
    out_features: int,
    prefix: str = "",
    increasing_stride: bool = True,
) -> ButterflyLinear:
    """Return the layer whose ``twiddle`` and, if present, ``bias`` stand in a file.

    Parameters
    ----------
    path : Path
        Ends in ``.npy`` (a twiddle alone), ``.npz`` or ``.safetensors``.
    in_features, out_features : int
    prefix : str
        Before both names, for instance ``encoder.0.query.``.
    increasing_stride : bool
        As the layer was built.

    Raises
    ------
    ButterflyError
        If they cannot be read or do not fit the layer.
    """
    with _errors_name(path):
        tensor, bias = _read_parameters(path, prefix)
        twiddle = Twiddle(tensor, increasing_stride)
        return ButterflyLinear(twiddle, in_features, out_features, bias)


def load_hierarchical(
    path: Path,
    in_features: int,
    out_features: int,
    prefix: str = "",
    increasing_stride: bool = True,
) -> HierarchicalLinear:
    """Return a layer in tiles; see `load_linear`, but for the first axes of the twiddle.

    They are tile rows and tile columns: those of one ``torch_butterfly`` layer of one block a tile
    column, concatenated on the second axis.

    Raises
    ------
    ButterflyError
        If they cannot be read or do not fit the layer.
    """
    with _errors_name(path):
        tensor, bias = _read_parameters(path, prefix)
        return HierarchicalLinear(tensor, in_features, out_features, increasing_stride, bias)


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Put `path` before the messages of errors, and make one line of those of the readers."""
    try:
        yield
    except ButterflyError as error:
        raise ButterflyError(f"{path}: {error}") from None
    except (SafetensorError, OSError, EOFError, BadZipFile, ValueError) as error:
        text = " ".join(str(error).split())
        raise ButterflyError(f"{path}: damaged or truncated: {text}") from None


def _read_parameters(path: Path, prefix: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the twiddle and, where there is one, the bias."""
    twiddle = _join_complex(_read_tensor(path, f"{prefix}twiddle"), TWIDDLE_AXES)
    if f"{prefix}bias" not in _names(path):
        return twiddle, None
    return twiddle, _join_complex(_read_tensor(path, f"{prefix}bias"), 1)


def _names(path: Path) -> list[str]:
    """Return the names of the tensors in a file; one that holds a single tensor has none."""
    if path.suffix == ".npz":
        with _open_npz(path) as file:
            return list(file.files)
    if path.suffix != ".safetensors":
        return []
    with safe_open(path, framework="np") as file:
        return list(file.keys())


def _read_tensor(path: Path, name: str) -> NDArray[Any]:
    if not path.is_file():
        raise ButterflyError("no such file")
    if path.suffix == ".npy":
        return _read_npy(path)
    if path.suffix not in (".npz", ".safetensors"):
        raise ButterflyError("the name must end in .npy, .npz or .safetensors")
    if name not in _names(path):
        raise ButterflyError(f"tensor {name} is missing")
    if path.suffix == ".npz":
        with _open_npz(path) as file:
            return file[name]
    with safe_open(path, framework="np") as file:
        kind = file.get_slice(name).get_dtype()
        # Other packages may teach NumPy more types than it has of its own.
        if kind not in NUMPY_TYPES:
            raise ButterflyError(f"tensor {name} must be of a NumPy type, not {kind}")
        return file.get_tensor(name)


def _open_npz(path: Path) -> NpzFile:
    file = np.load(path, allow_pickle=False)
    if not isinstance(file, NpzFile):
        raise ButterflyError("no .npz file: it holds a single array")
    return file


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except ValueError as error:
        raise ButterflyError(f"no .npy file: {' '.join(str(error).split())}") from None


def _join_complex(tensor: NDArray[Any], axes: int) -> NDArray[Any]:
    """Return `tensor` as complex if it has real and imaginary part on one axis more than `axes`."""
    if tensor.ndim != axes + 1 or tensor.shape[-1] != 2 or np.iscomplexobj(tensor):
        return tensor
    parts = finite_tensor("complex tensor", tensor)
    return parts[..., 0] + 1j * parts[..., 1]
