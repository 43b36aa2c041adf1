"""Event streams: the table of transitions is the record, hints only wake."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from gateway_support import TENANT, Gateway, Json, Place, eventually, problem, running_gateway
from nats.js import JetStreamContext

from rag_common.contracts import DocumentEvent, DocumentRef
from rag_common.registry import Registry

Events = list[tuple[str, Any]]


async def read(response: httpx.Response) -> Events:
    """The events of a stream, until it ends."""
    events: Events = []
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            events.append((value, None))
        elif name == "data":
            events[-1] = (events[-1][0], json.loads(value))
    return events


def states(events: Events) -> list[str]:
    return [data["to_state"] for name, data in events if name == "transition"]


async def follow(gateway: Gateway, document_id: str, **headers: str) -> Events:
    async with gateway.http.stream("GET", f"/v1/documents/{document_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return await read(response)


async def test_a_finished_document_is_told_from_its_first_transition(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    await gateway.make_live(uploaded)
    events = await follow(gateway, uploaded["id"])
    assert states(events) == ["accepted", "parsing", "embedding", "live"]
    assert events[-1] == ("end", {"state": "live"})


@pytest.mark.parametrize("hints", [True, False])
async def test_a_stream_follows_until_the_document_is_finished(
    place: Place, registry: Registry, jetstream: JetStreamContext, hints: bool
) -> None:
    """With a hint at once; without one by looking every so often."""
    interval = 3600.0 if hints else 0.2
    async with running_gateway(place, registry, jetstream, event_poll_interval=interval) as gateway:
        uploaded = await gateway.upload()
        following = asyncio.create_task(follow(gateway, uploaded["id"]))
        await eventually(lambda: open_streams(gateway, 1))
        # the reader of EVENTS is there a moment after the stream is counted
        await asyncio.sleep(0.3)
        ref = DocumentRef(tenant=TENANT, document_id=uploaded["id"], generation=1)
        await gateway.registry.ingesting.fail(ref, stage="embed", code="x", message="y", attempts=1)
        if hints:
            await hint(gateway, uploaded)
        async with asyncio.timeout(10):
            events = await following
    assert states(events) == ["accepted", "failed"]
    assert events[-1] == ("end", {"state": "failed"})


async def test_hints_come_again_after_nats_has_lost_the_reader(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async with running_gateway(place, registry, jetstream, event_poll_interval=3600.0) as gateway:
        uploaded = await gateway.upload()
        before = asyncio.create_task(follow(gateway, uploaded["id"]))
        reader = await eventually(lambda: event_reader(gateway))
        # a restart does the same: the consumer is in the server's memory only
        await jetstream.delete_consumer(gateway.topology.stream("EVENTS"), reader)
        after = asyncio.create_task(follow(gateway, uploaded["id"]))
        await eventually(lambda: event_reader(gateway))
        ref = DocumentRef(tenant=TENANT, document_id=uploaded["id"], generation=1)
        await gateway.registry.ingesting.fail(ref, stage="embed", code="x", message="y", attempts=1)
        await hint(gateway, uploaded)
        async with asyncio.timeout(10):
            assert states(await before) == states(await after) == ["accepted", "failed"]


async def test_a_client_goes_on_where_it_was(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    await gateway.make_live(uploaded)
    transitions = (await gateway.get(f"/v1/documents/{uploaded['id']}"))["transitions"]
    events = await follow(gateway, uploaded["id"], **{"Last-Event-ID": str(transitions[1]["id"])})
    assert states(events) == ["embedding", "live"]


async def test_a_client_that_has_seen_the_end_need_not_come_back(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    await gateway.make_live(uploaded)
    path = f"/v1/documents/{uploaded['id']}"
    last = (await gateway.get(path))["transitions"][-1]["id"]
    response = await gateway.http.get(f"{path}/events", headers={"Last-Event-ID": str(last)})
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30, "1.5"])
async def test_a_bad_last_event_id_is_refused(gateway: Gateway, last: str) -> None:
    uploaded = await gateway.upload()
    path = f"/v1/documents/{uploaded['id']}/events"
    problem(await gateway.http.get(path, headers={"Last-Event-ID": last}), 422, "invalid_request")


async def test_an_older_final_state_does_not_end_the_stream(gateway: Gateway) -> None:
    first = await gateway.upload(b"one")
    await gateway.make_live(first)
    second = await gateway.upload(b"two")
    following = asyncio.create_task(follow(gateway, first["id"]))
    await eventually(lambda: open_streams(gateway, 1))
    await gateway.make_live(second)
    async with asyncio.timeout(10):
        events = await following
    lives = [
        data["generation"] for name, data in events if name == "transition" and data["to_state"] == "live"
    ]
    assert lives == [1, 2]


async def test_an_idle_stream_shows_that_it_is_alive(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async with running_gateway(
        place, registry, jetstream, event_poll_interval=0.1, event_heartbeat=0.2
    ) as gateway:
        uploaded = await gateway.upload()
        path = f"/v1/documents/{uploaded['id']}/events"
        async with gateway.http.stream("GET", path) as response:
            async for line in response.aiter_lines():
                if line.startswith(":"):
                    break


async def test_a_client_that_leaves_is_forgotten(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    async with gateway.http.stream("GET", f"/v1/documents/{uploaded['id']}/events"):
        await eventually(lambda: open_streams(gateway, 1))
    await eventually(lambda: open_streams(gateway, 0))
    stream = gateway.topology.stream("EVENTS")

    async def no_reader() -> bool | None:
        return (await gateway.jetstream.stream_info(stream)).state.consumer_count == 0 or None

    await eventually(no_reader)


async def test_one_stream_too_many_is_refused_until_another_ends(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async with running_gateway(place, registry, jetstream, max_event_streams=1) as gateway:
        uploaded = await gateway.upload()
        path = f"/v1/documents/{uploaded['id']}/events"
        async with gateway.http.stream("GET", path):
            await eventually(lambda: open_streams(gateway, 1))
            refused = await gateway.http.get(path)
            problem(refused, 503, "overloaded")
            assert "retry-after" in refused.headers

        async def accepted() -> bool | None:
            async with gateway.http.stream("GET", path) as again:
                return again.status_code == 200 or None

        await eventually(accepted)


async def test_a_stopping_gateway_ends_its_streams(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async with running_gateway(place, registry, jetstream, event_poll_interval=3600.0) as gateway:
        uploaded = await gateway.upload()
        following = asyncio.create_task(follow(gateway, uploaded["id"]))
        await eventually(lambda: open_streams(gateway, 1))
        gateway.stopping.set()
        async with asyncio.timeout(10):
            events = await following
    assert states(events) == ["accepted"]


async def open_streams(gateway: Gateway, count: int) -> bool | None:
    metrics = (await gateway.http.get("/metrics")).text
    return f"rag_event_streams {count}.0" in metrics or None


async def event_reader(gateway: Gateway) -> str | None:
    """The name of the consumer that reads the hints, once there is one."""
    consumers = await gateway.jetstream.consumers_info(gateway.topology.stream("EVENTS"))
    return consumers[0].name if consumers else None


async def hint(gateway: Gateway, uploaded: Json) -> None:
    """Tell of the document's failure, as the dead-letter consumer does."""
    event = DocumentEvent(
        tenant=TENANT,
        collection="handbook",
        source_uri=uploaded["source_uri"],
        document_id=uploaded["id"],
        generation=1,
        outcome="failed",
        at="2026-11-22T10:00:00Z",
    )
    await gateway.jetstream.publish(gateway.topology.subject(DocumentEvent), event.encode())
