"""A question asked again is answered from the bucket, until something that it rests on changes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ask_support import CITATION, Talk, answering, streamed, text_of
from gateway_support import TENANT, Gateway, Place, running_gateway
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from rag_common.broker import flush
from rag_common.contracts import DescribeGenerator, GeneratorDescription
from rag_common.registry import Registry

DESCRIPTION = GeneratorDescription(adapter="ollama", model="qwen2.5:3b", prompt_version="1")


@pytest.fixture
async def described(gateway: Gateway) -> AsyncIterator[None]:
    """Somebody says who writes the answers."""
    client = gateway.jetstream._nc

    async def describe(message: Msg) -> None:
        await message.respond(DESCRIPTION.encode())

    subject = gateway.topology.subject(DescribeGenerator)
    listening = await client.subscribe(subject, queue="generators", cb=describe)
    await flush(client)
    yield
    await listening.unsubscribe()


async def well(talk: Talk) -> None:
    assert await talk.open(space="all-minilm-l6-v2")
    await talk.say("Everyone has ")
    await talk.say("28 days [1].", CITATION)
    await talk.end(prompt_tokens=100, completion_tokens=9)


async def ask(gateway: Gateway, question: str = "How many days?", **fields: Any) -> dict[str, Any]:
    response = await gateway.http.post("/v1/ask", json={"question": question, **fields})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def kept(gateway: Gateway, count: int) -> None:
    """Answers are kept a moment after their end."""
    bucket = gateway.topology.key_value("answers").stream
    async with asyncio.timeout(10):
        while (await gateway.jetstream.stream_info(bucket)).state.messages < count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("described")
async def test_a_hit_is_the_same_answer_and_asks_nobody(gateway: Gateway) -> None:
    async with answering(gateway.jetstream, gateway.topology, well) as others:
        first = await ask(gateway)
        await kept(gateway, 1)
        again = await ask(gateway, " How many  days?")
        events = await streamed(gateway.http)
        assert len(others.talks) == 1
    assert (first["cached"], again["cached"]) == (False, True)
    assert again["answer_id"] != first["answer_id"]
    own = {"answer_id", "question", "cached", "timings_ms"}
    assert {name: value for name, value in again.items() if name not in own} == {
        name: value for name, value in first.items() if name not in own
    }
    assert [name for name, _ in events] == ["passages", "delta", "citation", "done"]
    assert events[0][1]["cached"] is True
    assert text_of(events) == "Everyone has 28 days [1]."
    metrics = (await gateway.http.get("/metrics")).text
    assert 'rag_answers_reused_total{how="hit"} 2.0' in metrics
    assert 'rag_answer_cache_misses_total{reason="absent"} 1.0' in metrics


@pytest.mark.usefixtures("described")
@pytest.mark.parametrize("change", ["upload", "acl", "delete", "collection"])
async def test_a_change_over_http_makes_it_miss(gateway: Gateway, change: str) -> None:
    document = await gateway.upload()
    async with answering(gateway.jetstream, gateway.topology, well):
        await ask(gateway, collections=["handbook"])
        await kept(gateway, 1)
        assert (await ask(gateway, collections=["handbook"]))["cached"]
        path = f"/v1/documents/{document['id']}"
        if change == "upload":
            await gateway.upload(b"Everyone has 30 days.")
        elif change == "acl":
            assert (await gateway.http.patch(path, json={"acl": ["user:ann"]})).is_success
        elif change == "delete":
            assert (await gateway.http.delete(path)).is_success
        else:
            assert (await gateway.http.delete("/v1/collections/handbook")).is_success
            await gateway.registry.collections.create(TENANT, "handbook")
        assert not (await ask(gateway, collections=["handbook"]))["cached"]


@pytest.mark.usefixtures("described")
async def test_a_caller_can_insist_on_a_new_answer(gateway: Gateway) -> None:
    async with answering(gateway.jetstream, gateway.topology, well):
        await ask(gateway)
        await kept(gateway, 1)
        assert not (await ask(gateway, cache=False))["cached"]
        assert (await ask(gateway))["cached"]


async def test_identical_questions_at_once_are_answered_once(gateway: Gateway) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def when_told(talk: Talk) -> None:
        begun.set()
        await go.wait()
        await well(talk)

    async with answering(gateway.jetstream, gateway.topology, when_told) as others:
        asking = [asyncio.create_task(ask(gateway)) for _ in range(5)]
        await begun.wait()
        await following(gateway, 4)
        go.set()
        answers = await asyncio.gather(*asking)
        assert len(others.talks) == 1
    assert len({answer["answer_id"] for answer in answers}) == 5
    assert {answer["answer"] for answer in answers} == {"Everyone has 28 days [1]."}


async def following(gateway: Gateway, count: int) -> None:
    line = f'rag_answers_reused_total{{how="shared"}} {count:.1f}'
    async with asyncio.timeout(10):
        while line not in (await gateway.http.get("/metrics")).text:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_who_asks_after_a_revocation_does_not_follow_an_older_answer(gateway: Gateway) -> None:
    document = await gateway.upload()
    begun, go = asyncio.Event(), asyncio.Event()

    async def first_slowly(talk: Talk) -> None:
        if not begun.is_set():
            begun.set()
            await go.wait()
        await well(talk)

    async with answering(gateway.jetstream, gateway.topology, first_slowly) as others:
        older = asyncio.create_task(ask(gateway))
        await begun.wait()
        changed = await gateway.http.patch(f"/v1/documents/{document['id']}", json={"acl": ["user:ann"]})
        assert changed.is_success
        await ask(gateway)
        assert not older.done()
        go.set()
        await older
        assert len(others.talks) == 2


@pytest.mark.usefixtures("described")
async def test_without_the_bucket_questions_are_answered(gateway: Gateway) -> None:
    await gateway.jetstream.delete_stream(gateway.topology.key_value("answers").stream)
    async with answering(gateway.jetstream, gateway.topology, well) as others:
        for _ in range(2):
            assert not (await ask(gateway))["cached"]
        assert len(others.talks) == 2
    metrics = (await gateway.http.get("/metrics")).text
    assert 'rag_answer_cache_misses_total{reason="storage"} 2.0' in metrics
    assert (await gateway.http.get("/readyz")).status_code == 200


async def test_it_can_be_switched_off(place: Place, registry: Registry, jetstream: JetStreamContext) -> None:
    async with (
        running_gateway(place, registry, jetstream, answer_cache_seconds=0) as gateway,
        answering(jetstream, place.topology, well) as others,
    ):
        await ask(gateway)
        await ask(gateway)
        assert len(others.talks) == 2
