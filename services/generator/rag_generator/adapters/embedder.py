"""Vectors of sentences from the embedder, by request over core NATS."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import nats.errors
import numpy as np
from pydantic import ValidationError

from rag_common.contracts import EmbedQuery, QueryVectors
from rag_common.errors import TransientError
from rag_generator.domain.ports import EncoderUnavailable, Vectors

Request = Callable[[bytes, float], Awaitable[bytes]]
"""Sends a body and returns the reply's, within so many seconds."""

MAX_TEXTS = 64
"""Texts of one :class:`EmbedQuery`."""
MAX_REQUESTS = 8
"""Requests under way at once for all answers of this process; the others wait."""


class NatsSentenceEncoder:
    """Encodes sentences on the side of the passages. There is no second try: an answer does without."""

    def __init__(self, request: Request, timeout: float) -> None:
        """``timeout``: seconds for all the texts of one call, waiting for a turn included."""
        self._request = request
        self._timeout = timeout
        self._turns = asyncio.Semaphore(MAX_REQUESTS)

    async def __call__(self, space: str, texts: Sequence[str]) -> Vectors:
        """See :class:`rag_generator.domain.ports.SentenceEncoder`; ``texts`` must not be empty."""
        queries = [
            EmbedQuery(space=space, side="passage", texts=tuple(texts[start : start + MAX_TEXTS]))
            for start in range(0, len(texts), MAX_TEXTS)
        ]
        try:
            async with asyncio.timeout(self._timeout), asyncio.TaskGroup() as group:
                parts = [group.create_task(self._encode(query)) for query in queries]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        except TimeoutError as error:
            raise EncoderUnavailable(f"the embedder has not answered within {self._timeout:g} s") from error
        try:
            return np.concatenate([part.result() for part in parts])
        except ValueError as error:
            raise EncoderUnavailable("the embedder's answers are of different dimensions") from error

    async def _encode(self, query: EmbedQuery) -> Vectors:
        async with self._turns:
            try:
                body = await self._request(query.encode(), self._timeout)
            except nats.errors.NoRespondersError as error:
                raise EncoderUnavailable("no embedder is running") from error
            except TimeoutError as error:
                raise EncoderUnavailable(
                    f"the embedder has not answered within {self._timeout:g} s"
                ) from error
            except (nats.errors.Error, TransientError) as error:
                raise EncoderUnavailable(f"NATS is unavailable: {error}") from error
        return _rows(body, query)


def _rows(body: bytes, query: EmbedQuery) -> Vectors:
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
