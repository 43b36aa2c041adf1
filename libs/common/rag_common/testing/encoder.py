"""A fake encoder: vectors without a model, for tests and demonstrations of the flow."""

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")


class HashEncoder:
    """Each word has a random but fixed direction; a text's vector is the mean of its words'.

    So texts that share words are similar, and nothing else is: it knows no language and no
    meaning. The same text gives the same vector in every process. It needs numpy only.
    """

    def __init__(self, dimension: int = 384, *, max_tokens: int = 256) -> None:
        self.dimension = dimension
        self._max_tokens = max_tokens

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """A number for each word, regardless of case; 0 for a text without words."""
        return [
            [zlib.crc32(word.encode()) for word in _WORD.findall(text.lower())[: self._max_tokens]] or [0]
            for text in texts
        ]

    def encode(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Vectors of length 1, of shape (texts, ``dimension``)."""
        rows = np.zeros((len(batch), self.dimension), np.float32)
        for row, tokens in zip(rows, batch, strict=True):
            for token in tokens:
                row += _direction(token, self.dimension)
            row /= np.linalg.norm(row)
        return rows

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Tokenise and encode."""
        return self.encode(self.tokenize(texts))


@lru_cache(maxsize=65536)
def _direction(token: int, dimension: int) -> NDArray[np.float32]:
    return np.random.default_rng(token).standard_normal(dimension, dtype=np.float32)
