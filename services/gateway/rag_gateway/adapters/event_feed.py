"""Hints about documents, from EVENTS to the event streams of this gateway's clients."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from pydantic import ValidationError

from rag_common.contracts import DocumentEvent
from rag_common.errors import TransientError
from rag_common.topology import Topology

_IDLE_SECONDS = 60.0
"""After this long without its reader the server removes the ephemeral consumer, and a restart of the
server loses it at once. It is made anew when the next event stream opens: until then those that are
open look at the registry every few seconds."""

_log = structlog.get_logger(__name__)


class EventFeed:
    """One ephemeral reader of EVENTS, there while anybody listens, fanned out by document.

    What a listener gets is a flag, not a queue: a slow client costs one bit, and the events
    themselves are read from the registry.
    """

    def __init__(self, jetstream: Callable[[], JetStreamContext], topology: Topology) -> None:
        self._jetstream = jetstream
        self._topology = topology
        self._listeners: dict[str, set[asyncio.Event]] = defaultdict(set)
        # a name of its own: the right to create a consumer is given by stream, name and filter
        self._consumer = f"gateway-{uuid.uuid4().hex}"
        self._reader: JetStreamContext.PushSubscription | None = None
        self._lock = asyncio.Lock()

    @property
    def listeners(self) -> int:
        """How many event streams are open."""
        return sum(map(len, self._listeners.values()))

    @asynccontextmanager
    async def listen(self, document_id: str) -> AsyncIterator[asyncio.Event]:
        """A flag that is set whenever something has happened to the document."""
        flag = asyncio.Event()
        self._listeners[document_id].add(flag)
        try:
            await self._start()
            yield flag
        finally:
            self._listeners[document_id].discard(flag)
            if not self._listeners[document_id]:
                del self._listeners[document_id]
            if not self._listeners:
                await asyncio.shield(self.close())

    async def close(self) -> None:
        """Stop reading, unless somebody has begun to listen meanwhile."""
        async with self._lock:
            reader, self._reader = self._reader, None
            if reader is not None:
                try:
                    await reader.unsubscribe()
                    await self._jetstream().delete_consumer(self._topology.stream("EVENTS"), self._consumer)
                except (nats.errors.Error, TimeoutError, TransientError) as error:
                    _log.debug("event_reader_gone", reason=str(error))

    async def _start(self) -> None:
        async with self._lock:
            try:
                if self._reader is not None:
                    if await self._exists():
                        return
                    lost, self._reader = self._reader, None
                    await lost.unsubscribe()
                self._reader = await self._jetstream().subscribe(
                    self._topology.subject(DocumentEvent),
                    stream=self._topology.stream("EVENTS"),
                    cb=self._receive,
                    config=ConsumerConfig(
                        name=self._consumer,
                        deliver_policy=DeliverPolicy.NEW,
                        ack_policy=AckPolicy.NONE,
                        inactive_threshold=_IDLE_SECONDS,
                        mem_storage=True,
                    ),
                )
            except (nats.errors.Error, TimeoutError, TransientError) as error:
                # hints only: without them an event stream looks at the registry every few seconds
                _log.warning("no_event_hints", reason=str(error))

    async def _exists(self) -> bool:
        """Whether the server still has the consumer behind the reader."""
        try:
            await self._jetstream().consumer_info(self._topology.stream("EVENTS"), self._consumer)
        except nats.js.errors.NotFoundError:
            return False
        return True

    async def _receive(self, message: Msg) -> None:
        try:
            event = DocumentEvent.decode(message.data)
        except ValidationError:
            _log.warning("event_not_understood", subject=message.subject)
            return
        for flag in self._listeners.get(event.document_id or "", ()):
            flag.set()
