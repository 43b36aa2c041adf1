"""Asking the retriever, and waiting for its answer with a deadline."""

import asyncio
import time
import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic_core import from_json

from rag_common.contracts import Filter, RetrievePassages, SearchMode
from rag_common.errors import Overloaded, PermanentError, TransientError


class SearchTimedOut(TransientError):
    """No answer came within the deadline."""

    code = "deadline_exceeded"


class SearchFailed(PermanentError):
    """The retriever has answered that it cannot; ``code`` is the retriever's."""


@dataclass(frozen=True, slots=True)
class Search:
    """A validated question of one caller."""

    tenant: str
    principals: tuple[str, ...]
    question: str
    collections: tuple[str, ...]
    mode: SearchMode
    limit: int
    filter: Filter | None
    expand: int = 0
    diversity: float = 0.0
    rerank: bool | None = None
    space: str | None = None


class Inbox(Protocol):
    """Where the answers to this gateway's queries arrive."""

    def address(self, query_id: str) -> str:
        """The subject that the answer is sent to."""

    def expect(self, query_id: str) -> AbstractContextManager["asyncio.Future[bytes]"]:
        """The answer's bytes, while the context lasts."""


class Queries(Protocol):
    async def retrieve(self, query: RetrievePassages) -> None:
        """:raises Overloaded: the queue of queries is full."""


class Searches:
    """The use case behind ``/v1/search``."""

    def __init__(self, inbox: Inbox, queries: Queries, *, timeout: float, most: int) -> None:
        """:param timeout: seconds until a query is given up. :param most: queries in flight."""
        self._inbox = inbox
        self._queries = queries
        self._timeout = timeout
        self._most = most
        self._running = 0

    async def __call__(self, search: Search) -> dict[str, Any]:
        """The fields of :class:`PassagesFound`, with the time of the whole way in ``timings_ms``.

        :raises SearchTimedOut: there was no answer in time.
        :raises SearchFailed: the retriever cannot answer.
        :raises Overloaded: too many searches are waiting.
        """
        if self._running >= self._most:
            raise Overloaded("too many searches at once; try again in a moment")
        self._running += 1
        started = time.perf_counter()
        try:
            answer = await self._ask(search)
        finally:
            self._running -= 1
        answer.setdefault("timings_ms", {})["total"] = round((time.perf_counter() - started) * 1000, 3)
        return answer

    async def _ask(self, search: Search) -> dict[str, Any]:
        query_id = uuid.uuid4().hex
        # constructed, not validated: every field has passed the request's model
        query = RetrievePassages.model_construct(
            query_id=query_id,
            reply_to=self._inbox.address(query_id),
            deadline=time.time() + self._timeout,
            tenant=search.tenant,
            principals=search.principals,
            collections=search.collections,
            question=search.question,
            mode=search.mode,
            limit=search.limit,
            filter=search.filter,
            space=search.space,
            expand=search.expand,
            diversity=search.diversity,
            rerank=search.rerank,
        )
        with self._inbox.expect(query_id) as reply:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._queries.retrieve(query)
                    body = await reply
            except TimeoutError as error:
                raise SearchTimedOut(f"the search was not answered within {self._timeout:g} s") from error
        # the retriever has validated its answer; it is passed on as it is
        answer: dict[str, Any] = from_json(body)
        if answer["kind"] == "failed":
            raise SearchFailed(answer["message"], code=answer["code"])
        return answer
