"""Vectors from the embedder, by request over core NATS."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import nats.errors
from pydantic import ValidationError

from rag_common.contracts import EmbedQuery, QueryVectors
from rag_common.errors import Overloaded, TransientError

Request = Callable[[bytes, float], Awaitable[bytes]]
"""Sends a body and returns the reply's, within so many seconds."""

MAX_TEXTS = 64
"""Texts of one :class:`EmbedQuery`."""
MAX_CHARACTERS = 8000
"""Of one request, where it has more than one text: questions of searches wait behind it."""
TRIES = 2
RETRY_PAUSE = 0.1
"""Seconds; where nobody listens the first try fails at once."""
FLOAT_BYTES = 4


class EmbedderUnavailable(TransientError):
    """No embedder, or none that serves the space, answers in time."""

    code = "embedder_unavailable"


class EmbeddingsTimedOut(TransientError):
    """There were too many texts for the time."""

    code = "deadline_exceeded"


class NatsEmbeddings:
    """Encodes texts for whoever asks for vectors, a little at a time."""

    def __init__(
        self, request: Request, *, timeout: float, deadline: float, at_once: int = 2, waiting: int = 32
    ) -> None:
        """:param timeout: seconds for each of two tries of one request to the embedder.
        :param deadline: seconds for all texts of a caller.
        :param at_once: requests to the embedder; more would make searches wait.
        :param waiting: callers, above which the next one is refused.
        """
        self._request = request
        self._timeout = timeout
        self._deadline = deadline
        self._turns = asyncio.Semaphore(at_once)
        self._waiting = waiting
        self._callers = 0

    async def __call__(
        self, space: str, texts: Sequence[str], side: Literal["question", "passage"]
    ) -> list[bytes]:
        """The vector of each text, as little-endian float32.

        :raises EmbedderUnavailable: no usable answer, twice.
        :raises EmbeddingsTimedOut: not all vectors came within the deadline.
        :raises Overloaded: too many callers wait.
        """
        vectors: list[bytes] = []
        async with self._place():
            try:
                async with asyncio.timeout(self._deadline):
                    for batch in batches(texts):
                        async with self._turns:
                            vectors += await self._encode(EmbedQuery(space=space, side=side, texts=batch))
            except TimeoutError as error:
                raise EmbeddingsTimedOut(
                    f"the texts were not encoded within {self._deadline:g} s; send fewer at a time"
                ) from error
        return vectors

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._callers >= self._waiting:
            raise Overloaded("too many texts wait for the embedder; try again in a moment")
        self._callers += 1
        try:
            yield
        finally:
            self._callers -= 1

    async def _encode(self, query: EmbedQuery) -> list[bytes]:
        failure = EmbedderUnavailable("the embedder was not asked")
        for number in range(TRIES):
            if number:
                await asyncio.sleep(RETRY_PAUSE)
            try:
                return _rows(await self._request(query.encode(), self._timeout), query)
            except EmbedderUnavailable as error:
                failure = error
            except nats.errors.TimeoutError:
                failure = EmbedderUnavailable(f"the embedder has not answered within {self._timeout:g} s")
            except nats.errors.NoRespondersError:
                failure = EmbedderUnavailable("no embedder is running")
            except (nats.errors.Error, TransientError) as error:
                failure = EmbedderUnavailable(f"NATS is unavailable: {error}")
        raise failure


def batches(texts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The texts in order, as many at a time as one request may carry."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(batch) == MAX_TEXTS or characters + len(text) > MAX_CHARACTERS):
            yield tuple(batch)
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield tuple(batch)


def _rows(body: bytes, query: EmbedQuery) -> list[bytes]:
    try:
        reply = QueryVectors.decode(body)
        if reply.error is not None:
            raise EmbedderUnavailable(f"the embedder refuses: {reply.error}")
        vectors = reply.vector_bytes()
    except (ValidationError, ValueError) as error:
        raise EmbedderUnavailable("the embedder's answer does not decode") from error
    if reply.space != query.space:
        raise EmbedderUnavailable(f"the embedder answered for the space {reply.space!r}")
    size = reply.dimension * FLOAT_BYTES
    if len(vectors) != size * len(query.texts):
        raise EmbedderUnavailable("the embedder's answer does not decode")
    return [vectors[begin : begin + size] for begin in range(0, len(vectors), size)]
