"""The one inbox of this gateway process, in raw nats-py: answers are many and short-lived."""

import asyncio
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import Field, TypeAdapter, ValidationError

from rag_common.broker import flush
from rag_common.contracts import AnswerWanted, PassagesFound, QueryFailed
from rag_common.errors import Overloaded, RagError, TransientError
from rag_common.permissions import inbox_prefix
from rag_common.topology import Topology
from rag_gateway.domain.answers import AnswerBroken
from rag_gateway.domain.frames import Frame, FrameOrder

MAX_WAITING_FRAMES = 512
"""Frames of one answer that the gateway has not come to: about ten seconds of a model's text. A client that
reads slowly has no part in it."""
_FRAME: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="kind")])
_WANTED = AnswerWanted(wanted=True).encode()
_NOT_WANTED = AnswerWanted(wanted=False).encode()
_ASKING = f"{inbox_prefix('generator')}."
"""Where an answer may go: any other subject could be one that only the gateway may write to."""

_log = structlog.get_logger(__name__)


class ReplyInbox:
    """Hands each answer to who waits for it; an answer that nobody waits for any more is dropped."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._gateway = uuid.uuid4().hex[:16]
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._listening: dict[str, FrameQueue] = {}
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

    @contextmanager
    def listen(self, query_id: str) -> Iterator["FrameQueue"]:
        """The frames of an answer, while the context lasts; the generator is told to stop after it."""
        frames = self._listening[query_id] = FrameQueue()
        try:
            yield frames
        finally:
            del self._listening[query_id]

    def end_all(self, reason: str) -> None:
        """Let whoever listens fail with a :class:`TransientError` instead of its next frame."""
        for frames in self._listening.values():
            frames.fail(TransientError(reason))

    def _require_open(self) -> None:
        if self._subscription is None:
            raise TransientError("not connected to NATS yet")

    async def _receive(self, message: Msg) -> None:
        query_id = message.subject.rpartition(".")[2]
        frames = self._listening.get(query_id)
        wanted = frames is not None and frames.put(message.data)
        if message.reply:
            if not message.reply.startswith(_ASKING):
                _log.warning("question_from_elsewhere", reply=message.reply)
                return
            await message.respond(_WANTED if wanted else _NOT_WANTED)
            return
        future = self._waiting.get(query_id)
        if future is not None and not future.done():
            future.set_result(message.data)


class FrameQueue:
    """The frames of one answer that its reader has not taken yet."""

    def __init__(self) -> None:
        self._order = FrameOrder()
        self._frames: deque[Frame] = deque()
        self._failure: RagError | None = None
        self._arrived = asyncio.Event()

    def put(self, body: bytes) -> bool:
        """Queue a frame if it comes next; whether the sender is to go on."""
        if self._failure is not None:
            return False
        try:
            frame = _FRAME.validate_json(body)
            if isinstance(frame, QueryFailed):
                if self._order.ends(frame):
                    self._add(frame)
                return False
            if self._order.admit(frame):
                self._add(frame)
            return self._order.wanted(frame)
        except ValidationError as error:
            _log.error("frame_not_understood", problems=error.error_count())
            self.fail(
                AnswerBroken("a piece of the answer could not be read; the log of the gateway says more")
            )
        except RagError as error:
            self.fail(error)
        return False

    def fail(self, reason: RagError) -> None:
        """The reader gets this instead of what is queued; nothing more is queued."""
        self._failure = reason
        self._frames.clear()
        self._arrived.set()

    async def next(self) -> Frame:
        """Waits for the next frame.

        :raises RagError: there is none; the reason.
        """
        while not self._frames:
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def _add(self, frame: Frame) -> None:
        if len(self._frames) >= MAX_WAITING_FRAMES:
            raise Overloaded("the gateway does not keep up with its answers; ask again in a moment")
        self._frames.append(frame)
        self._arrived.set()
