"""Results of a search in a file, as they come, so that a search that was cut goes on from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..sparsity.errors import SparsityError


class Partial:
    """Losses of layers, and figures of models, in a file or in memory alone.

    Parameters
    ----------
    path : Path, optional
        Is read if it is there, and written as a whole whenever something is added; its folder is
        made if it is absent.
    key : str
        What tells these results from those of another model, method or text.

    Raises
    ------
    SparsityError
        If the file is none of this kind, or has another key.
    """

    def __init__(self, path: Path | None = None, key: str = "") -> None:
        self._path, self._key = path, key
        self.losses: dict[str, dict[str, float]] = {}
        self._models: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            self._read(path)

    def add_loss(self, layer: str, sparsity: str, loss: float) -> None:
        """Add the loss of a layer with what it takes, as text."""
        self.losses.setdefault(layer, {})[sparsity] = loss
        self._write()

    def model(self, name: str) -> dict[str, Any] | None:
        """Return the figures of a model, or None."""
        return self._models.get(name)

    def add_model(self, name: str, figures: dict[str, Any]) -> None:
        """Add the figures of a model, such as JSON holds."""
        self._models[name] = figures
        self._write()

    def _read(self, path: Path) -> None:
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            key, losses = values["key"], values["losses"]
            self.losses = {layer: dict(found) for layer, found in losses.items()}
            self._models = dict(values.get("models", {}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            text = " ".join(str(error).split())
            raise SparsityError(f"{path}: no partial results of a search: {text}") from None
        if key != self._key:
            raise SparsityError(f"{path}: holds results of another model, method or text")

    def _write(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(self._path.name + ".new")
        values = {"key": self._key, "losses": self.losses, "models": self._models}
        temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")
        temporary.replace(self._path)
