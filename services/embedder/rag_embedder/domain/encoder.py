"""The interfaces that the domain needs, and the words that it uses."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag_common.errors import PermanentError

Tokens = Sequence[int]
"""Token ids of one text, cut to what the model reads."""
Vectors = NDArray[np.float32]
"""One row per text, each of length 1."""


class Priority(IntEnum):
    """Who goes first; the names are the lanes' and the metrics' labels in lower case."""

    QUERY = 0
    INTERACTIVE = 1
    BULK = 2


class EncodingFailed(PermanentError):
    """The model cannot encode a text; others of the same batch are not concerned."""

    code = "encoding_failed"


class Encoder(Protocol):
    """A loaded model. Both methods block; ``encode`` is called from several threads at once."""

    @property
    def dimension(self) -> int: ...

    def tokenize(self, texts: Sequence[str]) -> Sequence[Tokens]:
        """Token ids of each text, at least one per text."""
        ...

    def encode(self, batch: Sequence[Tokens]) -> Vectors:
        """Vectors of shape (texts, ``dimension``), in the order of the batch."""
        ...


class Meter(Protocol):
    """Is told what the batcher does."""

    def waited(self, priority: Priority, seconds: float) -> None:
        """The time between a request's arrival and the start of its first slice."""
        ...

    def encoded(self, priority: Priority, texts: int, tokens: int, seconds: float) -> None:
        """One slice went through the encoder; ``tokens`` without padding."""
        ...
