"""Server-sent events, and clients that leave before their answer."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, NoReturn, TypeVar

from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
T = TypeVar("T")


def event(name: str, data: Any, *, number: int | None = None) -> bytes:
    """One event whose data is JSON; ``number`` is its id."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (head, name.encode(), to_json(data))


def comment(text: str) -> bytes:
    """What a client skips; it shows that the connection lives."""
    return b": %s\n\n" % text.encode()


def accepts_events(request: Request) -> bool:
    """Whether the client names server-sent events in ``Accept``."""
    offered = ",".join(request.headers.getlist("accept")).lower().split(",")
    return any(kind.partition(";")[0].strip() == MEDIA_TYPE for kind in offered)


async def unless_left(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What the work returns; it is cancelled when the client hangs up. The body must have been read.

    :raises ClientDisconnect: the client has left first.
    """
    return await _unless(_left(receive), work)


async def _left(receive: Receive) -> NoReturn:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect


async def _unless(failing: Coroutine[Any, Any, NoReturn], work: Coroutine[Any, Any, T]) -> T:
    """What the work returns or raises; or else what the other one raises first. Both have ended then."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(failing)
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else watching.result()
    finally:
        for task in (working, watching):
            task.cancel()
        # what the work has to clean up belongs to the request
        await asyncio.gather(working, watching, return_exceptions=True)


class EventStream(Response):
    """Sends pieces of an event stream as they come, and a comment after each ``heartbeat`` idle seconds.

    There is at least one piece, and nothing is sent before it: what the generator raises until then is
    answered like an error of the route. A client that leaves, or takes nothing for ``patience`` seconds,
    closes the generator.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        heartbeat: float,
        patience: float,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers})
        del self.headers["content-length"]
        self._pieces = pieces
        self._heartbeat = heartbeat
        self._patience = patience
        self._begun = asyncio.Event()
        self._sending = asyncio.Lock()
        self._spoke = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything."""
        async with aclosing(self._pieces) as pieces:
            try:
                await unless_left(receive, _unless(self._beat(send), self._send_all(pieces, send)))
            except ClientDisconnect:
                if not self._spoke:
                    raise

    async def _send_all(self, pieces: AsyncGenerator[bytes, None], send: Send) -> None:
        async for piece in pieces:
            if not self._begun.is_set():
                start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                await self._send(send, start)
                self._begun.set()
            await self._send(send, _body(piece))
        await self._send(send, _body(b"", more=False))

    async def _send(self, send: Send, message: Message) -> None:
        self._spoke = time.monotonic()
        try:
            async with self._sending, asyncio.timeout(self._patience):
                await send(message)
        except TimeoutError as error:
            raise ClientDisconnect from error
        self._spoke = time.monotonic()

    async def _beat(self, send: Send) -> NoReturn:
        """:raises ClientDisconnect: the client has not taken it."""
        await self._begun.wait()
        while True:
            idle = time.monotonic() - self._spoke
            if idle >= self._heartbeat and not self._sending.locked():
                await self._send(send, _body(comment("still here")))
                idle = 0.0
            await asyncio.sleep(max(self._heartbeat - idle, 0.1 * self._heartbeat))


def _body(piece: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}
