"""Asking: the question goes to the retriever, the answer comes from the generator."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager
from typing import Protocol

from rag_common.contracts import AnswerDone, QueryFailed, RetrievePassages
from rag_gateway.domain.answers import AnswerEvent, AnswerFailed, AnswerTimedOut, Ask
from rag_gateway.domain.frames import Frame


class Frames(Protocol):
    """The frames of one answer as they arrive, in order and each once."""

    async def next(self) -> Frame:
        """Waits for the next one.

        :raises AnswerBroken: it is missing.
        :raises Overloaded: too many frames were waiting to be taken.
        :raises TransientError: this gateway is stopping.
        """


class Inbox(Protocol):
    """Where the answers to this gateway's questions arrive."""

    def address(self, query_id: str) -> str:
        """The subject that the answer is sent to."""

    def listen(self, query_id: str) -> AbstractContextManager[Frames]:
        """The answer's frames, while the context lasts; after it the generator is told to stop."""


class Queries(Protocol):
    async def retrieve(self, query: RetrievePassages) -> None:
        """:raises Overloaded: the queue of queries is full."""

    async def cancel(self, query_id: str) -> None:
        """Tell whoever works on a query that nobody waits for it."""


class AskTheGenerator:
    """The innermost of the layers that answer; see :class:`rag_gateway.domain.answers.Answers`."""

    def __init__(self, inbox: Inbox, queries: Queries) -> None:
        self._inbox = inbox
        self._queries = queries

    async def __call__(self, ask: Ask) -> AsyncGenerator[AnswerEvent, None]:
        """The events of one answer, straight from the generator."""
        query_id = uuid.uuid4().hex
        deadline = asyncio.get_running_loop().time() + ask.timeout
        over = False
        try:
            with self._inbox.listen(query_id) as frames:
                async with asyncio.timeout_at(deadline):
                    await self._queries.retrieve(self._query(ask, query_id))
                while not over:
                    # not around the loop: whoever takes the events may do so in several tasks
                    async with asyncio.timeout_at(deadline):
                        frame = await frames.next()
                    over = isinstance(frame, AnswerDone | QueryFailed)
                    if isinstance(frame, QueryFailed):
                        raise AnswerFailed(frame.message, code=frame.code)
                    yield frame
        except TimeoutError as error:
            raise AnswerTimedOut("the question was not answered in time; ask again in a moment") from error
        finally:
            if not over:
                await self._queries.cancel(query_id)

    def _query(self, ask: Ask, query_id: str) -> RetrievePassages:
        # constructed, not validated: every field has passed the request's model
        return RetrievePassages.model_construct(
            query_id=query_id,
            reply_to=self._inbox.address(query_id),
            deadline=time.time() + ask.timeout,
            tenant=ask.tenant,
            principals=ask.principals,
            collections=ask.collections,
            question=ask.question,
            mode=ask.mode,
            limit=ask.limit,
            filter=ask.filter,
            space=ask.space,
            expand=ask.expand,
            diversity=ask.diversity,
            rerank=ask.rerank,
            answer=ask.options,
        )
