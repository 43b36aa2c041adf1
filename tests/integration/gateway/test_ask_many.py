"""Many answers at once: each client gets its own, a slow one holds up nobody, and memory stays flat."""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psutil
from ask_support import Talk, answering, streamed, text_of
from gateway_support import PATIENCE, Gateway, Place, running_gateway
from nats.js import JetStreamContext

from rag_common.registry import Registry

CLIENTS = 200
WORDS = 10
ROUNDS = 3
MOST_GROWTH = 24 * 1024 * 1024
"""Bytes, of gateway, clients and generators together; without a leak it is about one MiB."""


async def words(talk: Talk) -> None:
    """An answer in which every word names its question."""
    assert await talk.open()
    for number in range(WORDS):
        await talk.say(f"{talk.query.question}.{number} ")
        await asyncio.sleep(0)
    assert await talk.ask("end")
    await talk.end()


async def test_two_hundred_clients_get_their_own_answers(gateway: Gateway) -> None:
    sizes = []
    async with answering(gateway.jetstream, gateway.topology, words), many(gateway) as http:
        for turn in range(ROUNDS):
            questions = [f"q{turn}-{number}" for number in range(CLIENTS)]
            answers = await asyncio.gather(*(streamed(http, question) for question in questions))
            for question, events in zip(questions, answers, strict=True):
                assert [name for name, _ in events] == ["passages", *["delta"] * (WORDS + 1), "done"]
                assert text_of(events) == "".join(f"{question}.{n} " for n in range(WORDS)) + "end"
            gc.collect()
            sizes.append(psutil.Process().memory_info().rss)
        metrics = (await gateway.http.get("/metrics")).text
    assert f'rag_questions_total{{outcome="answered"}} {CLIENTS * ROUNDS}.0' in metrics
    assert "rag_open_answers 0.0" in metrics
    assert sizes[-1] - sizes[0] < MOST_GROWTH, sizes


async def test_a_client_that_does_not_read_fails_alone(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async def play(talk: Talk) -> None:
        if talk.query.question != "slow":
            await words(talk)
            return
        await talk.open()
        for _ in range(300):
            # more than the buffers of both sides hold
            await talk.say("x" * 30_000)
        await talk.cancelled.wait()

    async with (
        running_gateway(place, registry, jetstream, body_timeout=1.0) as gateway,
        answering(jetstream, place.topology, play) as others,
        asyncio.timeout(2 * PATIENCE),
    ):
        client = DeafClient(gateway, "slow")
        while not any(talk.query.question == "slow" for talk in others.finished):
            events = await streamed(gateway.http, "quick", cache=False)
            assert events[-1][0] == "done"
        received = await client.read()
    assert b"event: delta" in received
    assert b"event: done" not in received
    # the last chunk of a whole answer is an empty one
    assert not received.endswith(b"0\r\n\r\n")


@asynccontextmanager
async def many(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client with as many connections as it likes."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=gateway.http.base_url, headers=gateway.http.headers, timeout=30, limits=limits
    ) as http:
        yield http


class DeafClient:
    """Asks, and reads nothing until it is told to."""

    def __init__(self, gateway: Gateway, question: str) -> None:
        url, key = gateway.http.base_url, gateway.http.headers["Authorization"]
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect((url.host, url.port or 0))
        body = json.dumps({"question": question, "stream": True}).encode()
        head = (
            f"POST /v1/ask HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)

    async def read(self) -> bytes:
        """Everything, until the server closes the connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        with self._socket:
            return await asyncio.to_thread(self._socket.makefile("rb").read)
