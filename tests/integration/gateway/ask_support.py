"""The other side of a question: a scripted retriever and generator that speak the contracts over NATS."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import nats.errors
from gateway_support import PATIENCE
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from rag_common.broker import flush
from rag_common.contracts import (
    AnswerDelta,
    AnswerDone,
    AnswerOpened,
    AnswerWanted,
    CancelQuery,
    Citation,
    Message,
    Passage,
    QueryFailed,
    RetrievePassages,
)
from rag_common.permissions import inbox_prefix
from rag_common.topology import Topology

PASSAGE = Passage(
    document_id="6f1f1c1e-7a53-4a65-9a0a-2a1f3f1f0f11",
    generation=2,
    collection="handbook",
    title="Отпуск",
    source_uri="upload:/leave.pdf",
    chunk_no=3,
    page=2,
    start=10,
    end=31,
    heading=("Working time", "Leave"),
    text="Everyone has 28 days.",
    score=0.75,
    ranks={"dense": 1, "sparse": 4},
    leg_scores={"dense": 0.6, "sparse": 7.5},
)
CITATION = Citation(
    n=1,
    document_id=PASSAGE.document_id,
    generation=2,
    collection="handbook",
    title="Отпуск",
    source_uri="upload:/leave.pdf",
    page=2,
    start=10,
    end=31,
    quote="Everyone has 28 days.",
)


class Talk:
    """One question as retriever and generator see it, and what they say to it."""

    def __init__(self, client: Client, query: RetrievePassages) -> None:
        self._client = client
        self.query = query
        self.attempt = 0
        self.sequence = 0
        self.cancelled = asyncio.Event()

    async def open(self, attempt: int = 1, **changes: Any) -> bool:
        """Whether the answer is wanted."""
        self.attempt, self.sequence = attempt, 0
        fields: dict[str, Any] = {
            "standalone": self.query.question,
            "passages": (PASSAGE,),
            "mode": self.query.mode,
            "adapter": "ollama",
            "model": "qwen2.5:3b",
            "prompt_version": "1",
        }
        opened = AnswerOpened(query_id=self.query.query_id, attempt=attempt, **fields | changes)
        return await self.request(opened)

    async def say(self, text: str, *citations: Citation) -> None:
        await self.send(self._delta(text, citations))

    async def ask(self, text: str) -> bool:
        """Say it, and learn whether to go on."""
        return await self.request(self._delta(text, ()))

    async def end(self, **changes: Any) -> None:
        self.sequence += 1
        fields: dict[str, Any] = {"answered": True, "timings_ms": {"generation": 3.0}} | changes
        await self.send(
            AnswerDone(query_id=self.query.query_id, attempt=self.attempt, sequence=self.sequence, **fields)
        )

    async def fail(self, code: str, message: str) -> None:
        """Of the attempt that was opened last, or of the search before any."""
        attempt = self.attempt or None
        await self.send(
            QueryFailed(query_id=self.query.query_id, attempt=attempt, code=code, message=message)
        )

    async def send(self, message: Message) -> None:
        await self._client.publish(self.query.reply_to, message.encode())

    def _delta(self, text: str, citations: tuple[Citation, ...]) -> AnswerDelta:
        self.sequence += 1
        return AnswerDelta(
            query_id=self.query.query_id,
            attempt=self.attempt,
            sequence=self.sequence,
            text=text,
            citations=citations,
        )

    async def request(self, message: Message) -> bool:
        """Send it, and learn whether to go on."""
        return await is_wanted(self._client, self.query.reply_to, message)


async def is_wanted(client: Client, reply_to: str, message: Message) -> bool:
    """What the gateway answers to a frame, asked from an inbox of the generator's."""
    inbox = f"{inbox_prefix('generator')}.{uuid.uuid4().hex}"
    answers = await client.subscribe(inbox, max_msgs=1)
    try:
        await client.publish(reply_to, message.encode(), reply=inbox)
        return AnswerWanted.decode((await answers.next_msg(timeout=PATIENCE)).data).wanted
    finally:
        with suppress(nats.errors.BadSubscriptionError):
            await answers.unsubscribe()


Script = Callable[[Talk], Awaitable[None]]


@dataclass
class Others:
    """What a test sees of them."""

    talks: list[Talk] = field(default_factory=list)
    finished: list[Talk] = field(default_factory=list)
    """Those whose script has come to its end."""
    failures: list[BaseException] = field(default_factory=list)

    def stop(self, work: "asyncio.Task[None]") -> None:
        """Note why no question is taken any more, unless the test is over."""
        if not work.cancelled() and (failure := work.exception()):
            self.failures.append(failure)


@asynccontextmanager
async def answering(jetstream: JetStreamContext, topology: Topology, script: Script) -> AsyncIterator[Others]:
    """Play the script for every question; a script that fails fails the test."""
    client, others, playing = jetstream._nc, Others(), set[asyncio.Task[None]]()
    pull = await jetstream.pull_subscribe_bind("retriever-query", topology.stream("QUERY"))

    async def cancel(message: Msg) -> None:
        query_id = CancelQuery.decode(message.data).query_id
        for talk in others.talks:
            if talk.query.query_id == query_id:
                talk.cancelled.set()

    async def play(talk: Talk) -> None:
        try:
            await script(talk)
            others.finished.append(talk)
        except Exception as error:  # noqa: BLE001 - the test fails with it at the end
            others.failures.append(error)

    async def work() -> None:
        while True:
            try:
                messages = await pull.fetch(100, timeout=1)
            except TimeoutError:
                continue
            for message in messages:
                talk = Talk(client, RetrievePassages.decode(message.data))
                others.talks.append(talk)
                playing.add(asyncio.create_task(play(talk)))
                await message.ack()

    listening = await client.subscribe(topology.pattern(CancelQuery), cb=cancel)
    await flush(client)
    working = asyncio.create_task(work())
    # without it every question would only time out
    working.add_done_callback(others.stop)
    try:
        yield others
    finally:
        for task in (working, *playing):
            task.cancel()
        await asyncio.gather(working, *playing, return_exceptions=True)
        await pull.unsubscribe()
        await listening.unsubscribe()
    assert not others.failures, others.failures


Events = list[tuple[str, Any]]


async def events_of(response: httpx.Response) -> AsyncGenerator[tuple[str, Any], None]:
    """The events of a stream as they come; comments are left out."""
    name = ""
    async for line in response.aiter_lines():
        key, _, value = line.partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


async def streamed(http: httpx.AsyncClient, question: str = "How many days?", **fields: Any) -> Events:
    """All events of an answer."""
    body = {"question": question, "stream": True, **fields}
    async with http.stream("POST", "/v1/ask", json=body) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        return [event async for event in events_of(response)]


def text_of(events: Events) -> str:
    """The text after the last restart."""
    text = ""
    for name, data in events:
        if name == "restart":
            text = ""
        elif name == "delta":
            text += data["text"]
    return text
