"""Event streams over ASGI: when they begin, how they idle, and how they end."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from rag_gateway.streaming import EventStream, accepts_events, comment, event, unless_left


class Client:
    """The ASGI server and the client behind it."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.sent: list[Message] = []
        self.stalled = False
        self.sends = asyncio.Event()

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.sends.set()
        if self.stalled:
            await asyncio.Event().wait()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Pieces:
    """A generator that says whether it was closed; after the pieces it waits, or fails."""

    def __init__(self, *pieces: bytes, then: Exception | None = None, waits: bool = False) -> None:
        self._pieces, self._then, self._waits = pieces, then, waits
        self.closed = False

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self._pieces:
                yield piece
            if self._waits:
                await asyncio.Event().wait()
            if self._then is not None:
                raise self._then
        finally:
            self.closed = True


def stream(pieces: Pieces, heartbeat: float = 60.0, patience: float = 60.0) -> EventStream:
    return EventStream(pieces(), heartbeat=heartbeat, patience=patience, headers={"Vary": "Accept-Language"})


async def run(response: EventStream, client: Client) -> None:
    await response({"type": "http"}, client.receive, client.send)


async def test_pieces_are_sent_as_they_come() -> None:
    client, pieces = Client(), Pieces(b"a", b"b")
    await run(stream(pieces), client)
    start, *bodies = client.sent
    assert start["status"] == 200
    assert dict(start["headers"]) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-store",
        b"x-accel-buffering": b"no",
        b"vary": b"Accept-Language",
    }
    assert [(body["body"], body["more_body"]) for body in bodies] == [
        (b"a", True),
        (b"b", True),
        (b"", False),
    ]
    assert pieces.closed


async def test_an_error_before_the_first_piece_leaves_the_answer_to_others() -> None:
    client, pieces = Client(), Pieces(then=ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await run(stream(pieces), client)
    assert not client.sent


async def test_a_client_that_leaves_closes_the_generator() -> None:
    client, pieces = Client(), Pieces(b"a", waits=True)
    running = asyncio.create_task(run(stream(pieces), client))
    await client.sends.wait()
    client.left.set()
    await running
    assert pieces.closed


async def test_a_client_that_leaves_before_the_first_piece_gets_no_answer() -> None:
    client, pieces = Client(), Pieces(waits=True)
    running = asyncio.create_task(run(stream(pieces), client))
    await asyncio.sleep(0)
    client.left.set()
    with pytest.raises(ClientDisconnect):
        await running
    assert not client.sent


async def test_a_client_that_takes_nothing_is_given_up() -> None:
    client, pieces = Client(), Pieces(b"a", b"b")
    client.stalled = True
    await run(stream(pieces, patience=0.02), client)
    assert [message["type"] for message in client.sent] == ["http.response.start"]
    assert pieces.closed


async def test_a_client_that_takes_no_heartbeat_is_given_up() -> None:
    """Nothing else is sent on a stream without news: it would be open for ever."""

    class Deaf(Client):
        async def send(self, message: Message) -> None:
            self.stalled = message.get("body", b"").startswith(b":")
            await super().send(message)

    client, pieces = Deaf(), Pieces(b"a", waits=True)
    async with asyncio.timeout(20):
        await run(stream(pieces, heartbeat=0.01, patience=0.02), client)
    assert client.body == b"a: still here\n\n"
    assert pieces.closed


async def test_an_idle_stream_shows_that_it_lives() -> None:
    client, pieces = Client(), Pieces(b"a", waits=True)
    running = asyncio.create_task(run(stream(pieces, heartbeat=0.01), client))
    while client.body.count(b": still here\n\n") < 2:
        client.sends.clear()
        await client.sends.wait()
    client.left.set()
    await running


async def test_work_is_cancelled_when_its_client_leaves() -> None:
    client, cleaned = Client(), asyncio.Event()

    async def work() -> None:
        try:
            client.left.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    with pytest.raises(ClientDisconnect):
        await unless_left(client.receive, work())
    assert cleaned.is_set()


async def test_work_whose_client_stays_is_done() -> None:
    async def work() -> int:
        return 7

    assert await unless_left(Client().receive, work()) == 7


def test_an_event_is_one_line_of_json() -> None:
    class Data(BaseModel):
        text: str

    assert event("delta", Data(text="a\r\nб")) == 'event: delta\ndata: {"text":"a\\r\\nб"}\n\n'.encode()
    assert event("end", {"a": 1}, number=3) == b'id: 3\nevent: end\ndata: {"a":1}\n\n'
    assert comment("x") == b": x\n\n"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/event-stream", True),
        ("application/json, Text/Event-Stream;q=0.9", True),
        ("*/*", False),
        ("text/html", False),
        ("", False),
    ],
)
def test_events_are_for_those_who_name_them(accept: str, wanted: bool) -> None:
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    assert accepts_events(request) == wanted
