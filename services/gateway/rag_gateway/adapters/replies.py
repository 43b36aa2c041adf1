"""The one inbox of this gateway process, in raw nats-py: answers are many and short-lived."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from rag_common.broker import flush
from rag_common.contracts import PassagesFound
from rag_common.errors import TransientError
from rag_common.topology import Topology


class ReplyInbox:
    """Hands each answer to who waits for it; an answer that nobody waits for any more is dropped."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._gateway = uuid.uuid4().hex[:16]
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._subscription: Subscription | None = None

    async def open(self, client: Client) -> None:
        """Subscribe; after a reconnect the client subscribes again by itself."""
        pattern = self._topology.pattern(PassagesFound, gateway=self._gateway)
        subscription = await client.subscribe(pattern, cb=self._receive)
        # a query must not overtake the subscription that its answer needs
        await flush(client)
        self._subscription = subscription

    async def check(self) -> None:
        """:raises TransientError: NATS was not connected yet."""
        self._require_open()

    def address(self, query_id: str) -> str:
        """The subject that the answer is sent to.

        :raises TransientError: NATS was not connected yet.
        """
        self._require_open()
        return self._topology.subject(PassagesFound, gateway=self._gateway, query=query_id)

    @contextmanager
    def expect(self, query_id: str) -> Iterator["asyncio.Future[bytes]"]:
        """The answer's bytes, while the context lasts."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[query_id] = future
        try:
            yield future
        finally:
            del self._waiting[query_id]
            future.cancel()

    def _require_open(self) -> None:
        if self._subscription is None:
            raise TransientError("not connected to NATS yet")

    async def _receive(self, message: Msg) -> None:
        future = self._waiting.get(message.subject.rpartition(".")[2])
        if future is not None and not future.done():
            future.set_result(message.data)
