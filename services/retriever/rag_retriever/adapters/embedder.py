"""Question vectors from the embedder, by request over core NATS."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import nats.errors
import numpy as np
from pydantic import ValidationError

from rag_common.contracts import EmbedQuery, QueryVectors
from rag_common.errors import TransientError
from rag_retriever.domain.index import Vector
from rag_retriever.domain.ports import EncoderUnavailable

Request = Callable[[bytes, float], Awaitable[bytes]]
"""Sends a body and returns the reply's, within so many seconds."""

MAX_TEXTS = 64
"""Texts of one :class:`EmbedQuery`."""
TRIES = 2
RETRY_PAUSE = 0.1
"""Seconds; where nobody listens the first try fails at once."""


class NatsEncoder:
    """Encodes questions; those of one space travel in one request."""

    def __init__(self, request: Request, timeout: float) -> None:
        """``timeout``: seconds for each of two tries."""
        self._request = request
        self._timeout = timeout

    async def __call__(self, questions: Sequence[tuple[str, str]]) -> list[Vector]:
        """The vector of each (space, question); at most :data:`MAX_TEXTS`.

        :raises EncoderUnavailable: no usable answer, twice.
        """
        vectors: dict[tuple[str, str], Vector] = {}
        for space in sorted({space for space, _ in questions}):
            texts = tuple(dict.fromkeys(text for own, text in questions if own == space))
            rows = await self._encode(EmbedQuery(space=space, texts=texts))
            vectors.update({(space, text): row for text, row in zip(texts, rows, strict=True)})
        return [vectors[question] for question in questions]

    async def _encode(self, query: EmbedQuery) -> Vector:
        failure = EncoderUnavailable("the embedder was not asked")
        for number in range(TRIES):
            if number:
                await asyncio.sleep(RETRY_PAUSE)
            try:
                return _rows(await self._request(query.encode(), self._timeout), query)
            except EncoderUnavailable as error:
                failure = error
            except TimeoutError:
                failure = EncoderUnavailable(f"the embedder has not answered within {self._timeout:g} s")
            except nats.errors.NoRespondersError:
                failure = EncoderUnavailable("no embedder is running")
            except (nats.errors.Error, TransientError) as error:
                failure = EncoderUnavailable(f"NATS is unavailable: {error}")
        raise failure


def _rows(body: bytes, query: EmbedQuery) -> Vector:
    try:
        reply = QueryVectors.decode(body)
        if reply.error is not None:
            raise EncoderUnavailable(f"the embedder refuses: {reply.error}")
        rows = np.frombuffer(reply.vector_bytes(), "<f4").reshape(len(query.texts), reply.dimension)
    except (ValidationError, ValueError) as error:
        raise EncoderUnavailable("the embedder's answer does not decode") from error
    if reply.space != query.space:
        raise EncoderUnavailable(f"the embedder answered for the space {reply.space!r}")
    return rows.astype(np.float32, copy=False)
