"""Vectors of sentences over a real NATS."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import numpy as np
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from rag_common.broker import flush
from rag_common.contracts import EmbedQuery, QueryVectors
from rag_common.topology import Topology
from rag_generator.adapters.embedder import MAX_REQUESTS, NatsSentenceEncoder
from rag_generator.domain.ports import EncoderUnavailable

SPACE = "all-minilm-l6-v2"
Answer = Callable[[EmbedQuery], Awaitable[QueryVectors | bytes | None]]


@asynccontextmanager
async def embedder(client: Client, topology: Topology, answer: Answer) -> AsyncIterator[None]:
    """Answers every request as it comes; ``None``: never."""
    tasks: set[asyncio.Task[None]] = set()

    async def respond(message: Msg) -> None:
        reply = await answer(EmbedQuery.decode(message.data))
        if reply is not None:
            await message.respond(reply if isinstance(reply, bytes) else reply.encode())

    async def receive(message: Msg) -> None:
        tasks.add(task := asyncio.create_task(respond(message)))
        task.add_done_callback(tasks.discard)

    subscription = await client.subscribe(topology.subject(EmbedQuery), cb=receive)
    await flush(client)
    try:
        yield
    finally:
        await subscription.unsubscribe()
        for task in tasks:
            task.cancel()


def encoder(client: Client, topology: Topology, timeout: float = 10.0) -> NatsSentenceEncoder:
    async def request(body: bytes, seconds: float) -> bytes:
        return (await client.request(topology.subject(EmbedQuery), body, timeout=seconds)).data

    return NatsSentenceEncoder(request, timeout)


def lengths(query: EmbedQuery, dimension: int = 2) -> QueryVectors:
    """A vector of each text's length."""
    rows = np.array([[len(text)] * dimension for text in query.texts], "<f4")
    return QueryVectors(
        space=query.space, dimension=dimension, vectors=base64.b64encode(rows.tobytes()).decode()
    )


async def test_many_sentences_travel_in_several_requests(nats_client: Client, provisioned: Topology) -> None:
    asked: list[EmbedQuery] = []

    async def answer(query: EmbedQuery) -> QueryVectors:
        asked.append(query)
        return lengths(query)

    texts = ["x" * length for length in range(1, 151)]
    async with embedder(nats_client, provisioned, answer):
        vectors = await encoder(nats_client, provisioned)(SPACE, texts)

    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[length, length] for length in range(1, 151)]
    assert sorted(len(query.texts) for query in asked) == [22, 64, 64]
    assert {(query.space, query.side) for query in asked} == {(SPACE, "passage")}


async def test_requests_under_way_are_bounded(nats_client: Client, provisioned: Topology) -> None:
    under_way = most = 0
    full = asyncio.Event()

    async def answer(query: EmbedQuery) -> QueryVectors:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == MAX_REQUESTS:
            full.set()
        await full.wait()
        under_way -= 1
        return lengths(query)

    encode = encoder(nats_client, provisioned)
    async with embedder(nats_client, provisioned, answer):
        await asyncio.gather(*(encode(SPACE, ["a"]) for _ in range(2 * MAX_REQUESTS)))

    assert most == MAX_REQUESTS


async def test_nobody_answers(nats_client: Client, provisioned: Topology) -> None:
    with pytest.raises(EncoderUnavailable, match="no embedder is running"):
        await encoder(nats_client, provisioned)(SPACE, ["a"])


async def test_no_answer_in_time(nats_client: Client, provisioned: Topology) -> None:
    async def answer(_: EmbedQuery) -> None:
        return None

    async with embedder(nats_client, provisioned, answer):
        with pytest.raises(EncoderUnavailable, match=r"not answered within 0\.05 s"):
            await encoder(nats_client, provisioned, 0.05)(SPACE, ["a"])


async def another_space(query: EmbedQuery) -> QueryVectors:
    return lengths(query).model_copy(update={"space": "another"})


async def too_few(query: EmbedQuery) -> QueryVectors:
    return lengths(query.model_copy(update={"texts": query.texts[1:]}))


async def refusal(query: EmbedQuery) -> QueryVectors:
    return QueryVectors(space=query.space, error="this space is not served")


async def nonsense(_: EmbedQuery) -> bytes:
    return b"{"


async def other_dimensions(query: EmbedQuery) -> QueryVectors:
    return lengths(query, dimension=len(query.texts))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (another_space, "for the space 'another'"),
        (too_few, "does not decode"),
        (refusal, "refuses: this space is not served"),
        (nonsense, "does not decode"),
        (other_dimensions, "of different dimensions"),
    ],
)
async def test_an_answer_that_is_no_use(
    nats_client: Client, provisioned: Topology, answer: Answer, reason: str
) -> None:
    async with embedder(nats_client, provisioned, answer):
        with pytest.raises(EncoderUnavailable, match=reason):
            await encoder(nats_client, provisioned)(SPACE, ["a"] * 65)


async def test_who_gives_up_leaves_no_request_behind(nats_client: Client, provisioned: Topology) -> None:
    begun = asyncio.Event()

    async def answer(_: EmbedQuery) -> None:
        begun.set()

    encode = encoder(nats_client, provisioned)
    async with embedder(nats_client, provisioned, answer):
        task = asyncio.create_task(partial(encode, SPACE)(["a"] * 200))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert encode._turns._value == MAX_REQUESTS
