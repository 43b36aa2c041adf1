"""A follow-up made standalone by the generator's model, by request over core NATS."""

import time
from collections.abc import Awaitable, Callable

import nats.errors
from pydantic import ValidationError

from rag_common.contracts import QuestionRewritten, RewriteQuestion
from rag_common.errors import TransientError
from rag_retriever.domain.ports import RewriterUnavailable

Request = Callable[[bytes, float], Awaitable[bytes]]
"""Sends a body and returns the reply's, within so many seconds."""


class NatsRewriter:
    """Asks once: there is a way without it."""

    def __init__(self, request: Request, timeout: float) -> None:
        """``timeout``: seconds that the generator has."""
        self._request = request
        self._timeout = timeout

    async def __call__(self, request: RewriteQuestion, within: float) -> str:
        """See :class:`rag_retriever.domain.ports.Rewriter`."""
        seconds = min(self._timeout, within)
        request = request.model_copy(update={"deadline": time.time() + seconds})
        try:
            return _question(await self._request(request.encode(), seconds))
        except TimeoutError as error:
            raise RewriterUnavailable(f"the generator has not answered within {seconds:.2g} s") from error
        except nats.errors.NoRespondersError as error:
            raise RewriterUnavailable("no generator is running") from error
        except RewriterUnavailable:
            raise
        except (nats.errors.Error, TransientError) as error:
            raise RewriterUnavailable(f"NATS is unavailable: {error}") from error


def _question(body: bytes) -> str:
    try:
        reply = QuestionRewritten.decode(body)
    except ValidationError as error:
        raise RewriterUnavailable("the generator's question does not decode") from error
    if reply.question is None:
        raise RewriterUnavailable(f"the generator does not rewrite: {reply.error}")
    return reply.question
