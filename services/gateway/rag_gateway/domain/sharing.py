"""One answer for several who ask the same at the same time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog

from rag_common.contracts import AnswerDone, AnswerOpened
from rag_common.errors import TransientError
from rag_gateway.domain.answers import AnswerBroken, AnswerEvent, AnswerTimedOut
from rag_gateway.domain.freshness import Position

CANCEL_SECONDS = 5.0
"""Longest wait for an answer to stop that nobody follows any more."""

_log = structlog.get_logger(__name__)


class SharedAnswer:
    """An answer while it is written, for any number of followers; each reads at a pace of its own.

    What has come is kept until the last one has left: the events of one attempt, so at most the passages of
    one message and as many tokens as an answer may have. A restart drops what came before it.
    """

    def __init__(self, events: AsyncGenerator[AnswerEvent, None], position: Position | None, timeout: float):
        """Begins at once. :param timeout: seconds after which ``events`` gives up by itself."""
        loop = asyncio.get_running_loop()
        self.position = position
        """What the documents were before the answer was begun; ``None``: not known."""
        self._ends = loop.time() + timeout
        self._events: list[AnswerEvent] = []
        self._restarts = 0
        self._followers = 0
        self._complete = False
        self._abandoned = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()
        self.task = loop.create_task(self._collect(events))
        self.task.add_done_callback(self._end)

    def admits(self, timeout: float) -> bool:
        """Whether a question with so many seconds to wait had better follow than start anew.

        Not if the answer will be given up in less than half of them.
        """
        left = self._ends - asyncio.get_running_loop().time()
        return self._complete or not (self._failure or self._abandoned or left < timeout / 2)

    async def follow(self, timeout: float) -> AsyncGenerator[AnswerEvent, None]:  # noqa: ASYNC109 - a generator
        """All events from the first on. When the last follower closes this, the answer is cancelled.

        :raises AnswerTimedOut: it was not complete within ``timeout`` seconds; the others are not concerned.
        :raises Exception: whatever has ended the answer, for each follower.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        seen, restarts = 0, self._restarts
        self._followers += 1
        try:
            while True:
                if restarts != self._restarts:
                    seen, restarts = 0, self._restarts
                if seen < len(self._events):
                    event = self._events[seen]
                    seen += 1
                    yield event
                    if isinstance(event, AnswerDone):
                        return
                elif self._failure is not None:
                    raise self._failure.with_traceback(None)
                else:
                    await self._wait(deadline)
        finally:
            self._followers -= 1
            if not self._followers and not self._complete:
                await self._abandon()

    async def _wait(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._news.wait()
        except TimeoutError as error:
            raise AnswerTimedOut("the question was not answered in time; ask again in a moment") from error

    async def _abandon(self) -> None:
        self._abandoned = True
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=CANCEL_SECONDS)

    async def _collect(self, events: AsyncGenerator[AnswerEvent, None]) -> None:
        """To the end of ``events``, which may have something to do after the end of the answer."""
        try:
            async with aclosing(events):
                async for event in events:
                    self._add(event)
            if not self._complete:
                raise AnswerBroken("a piece of the answer was lost on its way; ask again")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for those who follow
            self._fail(error)

    def _end(self, task: "asyncio.Task[None]") -> None:
        """A task that is cancelled before its first step has run nothing of :meth:`_collect`."""
        if task.cancelled() and not self._complete:
            self._fail(TransientError("the service is restarting; ask again"))

    def _add(self, event: AnswerEvent) -> None:
        if isinstance(event, AnswerOpened) and self._events:
            self._events = []
            self._restarts += 1
        self._events.append(event)
        self._complete = isinstance(event, AnswerDone)
        self._tell()

    def _fail(self, error: Exception) -> None:
        if self._complete:
            # everybody has the answer already
            _log.error("after_answer_failed", exc_info=error)
        else:
            self._failure = error
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class SharedAnswers:
    """The answers that are being written now, by the key of their question."""

    def __init__(self) -> None:
        self._newest: dict[str, SharedAnswer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def running(self, key: str) -> SharedAnswer | None:
        """The one that was started last."""
        return self._newest.get(key)

    def start(
        self,
        key: str,
        events: AsyncGenerator[AnswerEvent, None],
        *,
        position: Position | None,
        timeout: float,
    ) -> SharedAnswer:
        """Begin an answer. Follow it at once: it is cancelled when its last follower leaves."""
        shared = self._newest[key] = SharedAnswer(events, position, timeout)
        self._tasks.add(shared.task)
        shared.task.add_done_callback(lambda task: self._forget(key, shared, task))
        return shared

    async def close(self) -> None:
        """Cancel what is running; its followers get an error."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, key: str, shared: SharedAnswer, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._newest.get(key) is shared:
            del self._newest[key]
