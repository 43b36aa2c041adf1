"""Ending work that nobody waits for any more."""

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Coroutine
from typing import Any

import structlog
from faststream.nats import NatsMessage
from pydantic import ValidationError

from rag_common.broker.connection import Broker
from rag_common.contracts import CancelQuery
from rag_common.topology import Topology

REMEMBERED_SECONDS = 300.0
"""As long as the stream QUERY keeps a query: none can come later than that."""
REMEMBERED_QUERIES = 10_000
"""Above what the stream QUERY holds; beyond it the oldest are forgotten, and answered in vain."""

_log = structlog.get_logger(__name__)


class Cancellations:
    """Hears every :class:`CancelQuery`, of queries that are worked on here and of those still to come.

    Every replica hears them all: which one has the query, or will get it, nobody knows.
    """

    def __init__(self, broker: Broker, topology: Topology) -> None:
        """Made before the broker starts, which then subscribes."""
        self._cancelled: OrderedDict[str, float] = OrderedDict()
        self._running: defaultdict[str, set[asyncio.Task[object]]] = defaultdict(set)
        broker.subscriber(topology.pattern(CancelQuery), no_reply=True)(self._receive)

    async def run(self, query_id: str, coroutine: Coroutine[Any, Any, object]) -> bool:
        """Run the coroutine to its end, unless the query is cancelled; whether it came to its end.

        A query that was cancelled before is not begun. One that is cancelled meanwhile has ended, its
        ``finally`` blocks included, when this returns. The coroutine's own exceptions are raised, and so
        is the cancellation of the caller.
        """
        self._forget_the_oldest()
        if query_id in self._cancelled:
            coroutine.close()
            return False
        work = asyncio.create_task(coroutine)
        self._running[query_id].add(work)
        try:
            await asyncio.wait((work,))
        finally:
            self._running[query_id].discard(work)
            if not self._running[query_id]:
                del self._running[query_id]
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        if work.cancelled() and query_id in self._cancelled:
            return False
        work.result()
        return True

    async def _receive(self, received: NatsMessage) -> None:
        try:
            query_id = CancelQuery.decode(received.raw_message.data).query_id
        except ValidationError as error:
            _log.warning("cancellation_ignored", wrong_fields=error.error_count())
            return
        self._cancelled[query_id] = time.monotonic()
        self._cancelled.move_to_end(query_id)
        self._forget_the_oldest()
        for work in self._running.get(query_id, ()):
            work.cancel()

    def _forget_the_oldest(self) -> None:
        horizon = time.monotonic() - REMEMBERED_SECONDS
        while self._cancelled:
            query_id, heard = next(iter(self._cancelled.items()))
            if heard >= horizon and len(self._cancelled) <= REMEMBERED_QUERIES:
                return
            del self._cancelled[query_id]
