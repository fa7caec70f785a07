"""Texts to token ids, with the model's own ``tokenizer.json``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as FastTokenizer

from ..errors import FrontendError
from .bert import BertConfig, model_folder, read_config

TOKENIZER = "tokenizer.json"


class Tokenizer:
    """Splits a text in tokens and refuses what the model cannot take.

    Parameters
    ----------
    source : path, optional
        Folder with ``tokenizer.json`` and ``config.json``; all-MiniLM-L6-v2 if left out.
    config : BertConfig, optional
        Of the model, in place of what ``config.json`` says.

    Raises
    ------
    FrontendError
        If a file is missing or damaged.
    """

    def __init__(self, source: Path | str | None = None, config: BertConfig | None = None) -> None:
        folder = model_folder(source)
        path = folder / TOKENIZER
        self.config = config or read_config(folder)
        self.maximum_tokens = self.config.maximum_tokens
        if not path.is_file():
            raise FrontendError(f"{path}: no such file")
        try:
            self._tokenizer = FastTokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise FrontendError(f"{path}: no tokenizer: {' '.join(str(error).split())}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, text: str, length: int | None = None) -> NDArray[np.int64]:
        """Return the ids of `text` with its two special tokens, int64 [tokens].

        Parameters
        ----------
        text : str
        length : int, optional
            Exact number of tokens wanted: the text is repeated and cut until it fits, which keeps
            the first and the last, special token. For measurements.

        Raises
        ------
        FrontendError
            If the text is empty or longer than the model's limit.
        """
        tokens = np.array(self._tokenizer.encode(text).ids, dtype=np.int64)
        if not text.strip():
            raise FrontendError("text must not be empty")
        if length is not None:
            tokens = _resize(tokens, length)
        if len(tokens) > self.maximum_tokens:
            raise FrontendError(
                f"text has {len(tokens)} tokens; the limit of the model is {self.maximum_tokens}"
            )
        if len(tokens) and tokens.max() >= self.config.vocabulary:
            raise FrontendError(
                f"token {tokens.max()} is not below vocab_size {self.config.vocabulary}"
            )
        return tokens

    def names(self, tokens: NDArray[np.integer]) -> list[str]:
        """Return the text of each id in `tokens`."""
        return [self._tokenizer.id_to_token(int(token)) or "?" for token in tokens]

    def words(self) -> NDArray[np.int64]:
        """Return the ids of all entries of two or more Latin letters, which begin a word."""
        entries = self._tokenizer.get_vocab().items()
        known = (
            index for text, index in entries if len(text) > 1 and text.isascii() and text.isalpha()
        )
        return np.array(
            sorted(index for index in known if index < self.config.vocabulary), dtype=np.int64
        )


def _resize(tokens: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    if length < 1:
        raise FrontendError(f"length must be at least 1, not {length}")
    if length < 3:
        return tokens[:length]
    inner = np.resize(tokens[1:-1], length - 2)
    return np.concatenate([tokens[:1], inner, tokens[-1:]])
