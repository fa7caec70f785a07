"""Read an encoder, of whatever family it is."""

from __future__ import annotations

from pathlib import Path

from ..errors import FrontendError
from . import bert, vit
from .bert import EncoderModel
from .onnx.load import is_onnx, load_onnx


def load_encoder(source: Path | str | None = None, weights: Path | None = None) -> EncoderModel:
    """Read an encoder.

    Parameters
    ----------
    source : path, optional
        A folder with ``config.json`` and ``model.safetensors``, whose ``model_type`` or
        ``architecture`` tells the family, or an ``.onnx`` file; all-MiniLM-L6-v2 if left out.
    weights : path, optional
        A checkpoint to take the place of the folder's.

    Raises
    ------
    FrontendError
        If a file is missing or damaged, or the model is not supported.
    """
    if source is not None and is_onnx(source):
        if weights is not None:
            raise FrontendError(f"{source}: holds its weights, and takes none from {weights}")
        return load_onnx(Path(source))
    if source is not None and vit.is_vit(source):
        return vit.load(source, weights)
    return bert.load(source, weights)
