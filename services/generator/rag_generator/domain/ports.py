"""What quoting and grounding need from outside."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag_common.errors import TransientError

Vectors = NDArray[np.float32]
"""One row per text, of length 1."""


class EncoderUnavailable(TransientError):
    """No embedder has encoded the texts in time."""

    code = "embedder_unavailable"


class SentenceEncoder(Protocol):
    """Vectors of sentences, as the model of a space makes them of passages."""

    async def __call__(self, space: str, texts: Sequence[str]) -> Vectors:
        """Shape (texts, dimension), in the order of the texts; every row has length 1.

        :raises EncoderUnavailable: no usable answer in time.
        """
