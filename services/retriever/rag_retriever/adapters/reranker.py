"""Scores of a cross-encoder from the embedder, by request over core NATS."""

import math
from collections.abc import Awaitable, Callable, Sequence

import nats.errors
from pydantic import ValidationError

from rag_common.contracts import MAX_MESSAGE_BYTES, PassageScores, RerankPassages
from rag_common.errors import TransientError
from rag_retriever.domain.ports import RerankerUnavailable

Request = Callable[[bytes, float], Awaitable[bytes]]
"""Sends a body and returns the reply's, within so many seconds."""

MAX_CHARACTERS = 2000
"""Of one text: about 500 tokens in English or Russian, and a cross-encoder reads 512 with the question."""


class NatsReranker:
    """Asks once: who waits has something to read without it."""

    def __init__(self, request: Request, model: str, timeout: float) -> None:
        """``timeout``: seconds that the embedder has."""
        self._request = request
        self._model = model
        self._timeout = timeout

    async def __call__(self, question: str, texts: Sequence[str], within: float) -> tuple[float, ...]:
        """See :class:`rag_retriever.domain.ports.Reranker`; of each text its first 2,000 characters count."""
        seconds = min(self._timeout, within)
        try:
            return self._scores(await self._request(self._body(question, texts), seconds), len(texts))
        except TimeoutError as error:
            raise RerankerUnavailable(f"the embedder has not answered within {seconds:.2g} s") from error
        except nats.errors.NoRespondersError as error:
            raise RerankerUnavailable("no embedder with a reranker is running") from error
        except RerankerUnavailable:
            raise
        except (nats.errors.Error, TransientError) as error:
            raise RerankerUnavailable(f"NATS is unavailable: {error}") from error

    def _body(self, question: str, texts: Sequence[str]) -> bytes:
        """One message: where long texts do not fit into it, all are cut shorter."""
        characters = MAX_CHARACTERS
        while True:
            cut = tuple(_beginning(text, characters) for text in texts)
            body = RerankPassages(model=self._model, question=question, texts=cut).encode()
            if len(body) <= MAX_MESSAGE_BYTES or characters == 1:
                return body
            characters //= 2

    def _scores(self, body: bytes, count: int) -> tuple[float, ...]:
        try:
            reply = PassageScores.decode(body)
        except ValidationError as error:
            raise RerankerUnavailable("the embedder's scores do not decode") from error
        if reply.error is not None:
            raise RerankerUnavailable(f"the embedder refuses: {reply.error}")
        if reply.model != self._model:
            raise RerankerUnavailable(f"the embedder answered with the model {reply.model!r}")
        if len(reply.scores) != count or not all(map(math.isfinite, reply.scores)):
            raise RerankerUnavailable(f"the embedder's answer is not {count} scores")
        return reply.scores


def _beginning(text: str, characters: int) -> str:
    """Cut between words, unless the words are very long."""
    if len(text) <= characters:
        return text
    cut = text[:characters]
    space = max(cut.rfind(" "), cut.rfind("\n"))
    return cut[:space] if space > characters // 2 else cut
