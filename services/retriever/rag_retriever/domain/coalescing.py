"""Merges calls that are made at the same time into few batches."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from rag_common.errors import PermanentError

Q = TypeVar("Q")
R = TypeVar("R")


class Coalescer(Generic[Q, R]):
    """Calls ``run`` with whatever waits, as soon as one of ``in_flight`` batches is free.

    Nobody waits for company: a lone item is a batch of one. The callers bound the queue; a caller
    that gave up is left out. A batch that is refused for good is run item by item, so that one bad
    item fails alone.
    """

    def __init__(
        self, run: Callable[[Sequence[Q]], Awaitable[Sequence[R]]], *, max_batch: int, in_flight: int = 1
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._in_flight = in_flight
        self._waiting: deque[tuple[Q, asyncio.Future[R]]] = deque()
        self._running: set[asyncio.Task[None] | None] = set()

    async def __call__(self, item: Q) -> R:
        """The answer to one item, or what its batch has raised."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._running) < self._in_flight:
            # the task takes its batch when it starts: items of the same turn of the loop go together
            task = asyncio.create_task(self._work())
            self._running.add(task)
        return await future

    async def _work(self) -> None:
        try:
            await self._work_off()
        finally:
            # not in a callback of the task, which runs later: an item that comes in between would
            # count on a worker that is gone
            self._running.discard(asyncio.current_task())

    async def _work_off(self) -> None:
        while batch := self._take():
            try:
                answers = await self._run([item for item, _ in batch])
            except PermanentError as error:
                if len(batch) == 1:
                    _fail(batch[0][1], error)
                for entry in batch if len(batch) > 1 else []:
                    await self._alone(*entry)
            except Exception as error:  # noqa: BLE001 - belongs to the callers, who all get it
                for _, future in batch:
                    _fail(future, error)
            else:
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)

    async def _alone(self, item: Q, future: "asyncio.Future[R]") -> None:
        try:
            (answer,) = await self._run([item])
        except Exception as error:  # noqa: BLE001 - belongs to the caller
            _fail(future, error)
        else:
            if not future.done():
                future.set_result(answer)

    def _take(self) -> list[tuple[Q, "asyncio.Future[R]"]]:
        batch: list[tuple[Q, asyncio.Future[R]]] = []
        while self._waiting and len(batch) < self._max_batch:
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        return batch


def _fail(future: "asyncio.Future[R]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
