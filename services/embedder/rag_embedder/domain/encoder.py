"""The interfaces that the domain needs, and the words that it uses."""

from collections.abc import Sequence, Sized
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rag_common.errors import PermanentError

Tokens = Sized
"""What an encoder made of one text, cut to what the model reads. Its length is the number of tokens; the
rest is known only to the encoder."""
Vectors = NDArray[np.float32]
"""One row per text; those of a space have length 1."""


class Priority(IntEnum):
    """Who goes first; the names are the metrics' labels in lower case."""

    QUERY = 0
    RERANK = 1
    INTERACTIVE = 2
    BULK = 3


class BadModel(PermanentError):
    """The model's files are missing or are not the expected ones."""

    code = "bad_model"


class EncodingFailed(PermanentError):
    """The model cannot encode a text; others of the same batch are not concerned."""

    code = "encoding_failed"


class Encoder(Protocol):
    """A loaded model. Both methods block; ``encode`` is called from several threads at once.

    A text is a string, or for a cross-encoder a pair of question and passage, which becomes one number.
    """

    @property
    def dimension(self) -> int: ...

    def tokenize(self, texts: Sequence[Any]) -> Sequence[Tokens]:
        """The tokens of each text, at least one per text."""
        ...

    def encode(self, batch: Sequence[Any]) -> Vectors:
        """Of what ``tokenize`` made: shape (texts, ``dimension``), in the order of the batch."""
        ...


class Meter(Protocol):
    """Is told what the batcher does."""

    def waited(self, priority: Priority, seconds: float) -> None:
        """The time between a request's arrival and the start of its first slice."""
        ...

    def encoded(self, priority: Priority, texts: int, tokens: int, seconds: float) -> None:
        """One slice went through the encoder; ``tokens`` without padding."""
        ...
