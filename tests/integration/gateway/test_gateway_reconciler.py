"""The reconciler mends what a crash has left half done, and nothing else."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_support import TENANT, Gateway, Place, eventually, running_gateway
from nats.js import JetStreamContext

from rag_common.contracts import (
    AcceptedContent,
    EmbedChunks,
    IndexChunks,
    IngestDocument,
    Message,
    PurgeDocument,
    UpdateIndexedDocument,
)
from rag_common.registry import NewContent, Order, Registry, Upload
from rag_gateway.domain.reconciling import STAMP

QUICK: dict[str, Any] = {"reconcile_interval": 0.1, "reconcile_margin": 0.5}


@pytest.fixture
async def quick(place: Place, registry: Registry, jetstream: JetStreamContext) -> AsyncIterator[Gateway]:
    """A gateway whose reconciler looks ten times a second for what is older than half a second."""
    async with running_gateway(place, registry, jetstream, **QUICK) as running:
        yield running


async def counted(gateway: Gateway, action: str) -> int:
    name = f'rag_reconciler_actions_total{{action="{action}"}}'
    for line in (await gateway.http.get("/metrics")).text.splitlines():
        if line.startswith(name):
            return int(float(line.rsplit(" ", 1)[1]))
    return 0


async def turns(gateway: Gateway, more: int = 15) -> None:
    """Wait for so many turns: longer than the margin."""
    until = await counted(gateway, "turns") + more

    async def turned() -> bool | None:
        return await counted(gateway, "turns") >= until or None

    await eventually(turned)


async def queued(gateway: Gateway, message: type[Any], count: int) -> list[Any]:
    async def enough() -> list[Any] | None:
        found = await gateway.stored(message)
        return found if len(found) >= count else None

    return await eventually(enough)


async def test_a_job_that_was_never_published_is_published(quick: Gateway) -> None:
    uploaded = await quick.upload()
    await quick.lose_jobs("INGEST")
    (job,) = await queued(quick, IngestDocument, 1)
    assert job.content == AcceptedContent(document_id=uploaded["id"], generation=1)
    await turns(quick)
    assert len(await quick.stored(IngestDocument)) == 1
    assert await counted(quick, "jobs_republished") == 1


async def test_a_drop_goes_back_to_its_own_lane(quick: Gateway) -> None:
    content = NewContent("handbook", "file:///a.txt", "0" * 64, 10, lane="bulk")
    await quick.registry.accepting.drop(TENANT, Upload(content, uuid.uuid4().hex), Order(1, 1))
    await queued(quick, IngestDocument, 1)
    bulk = quick.topology.subject(IngestDocument, lane="bulk", tenant=TENANT)
    info = await quick.jetstream.stream_info(quick.topology.stream("INGEST"), subjects_filter=bulk)
    assert info.state.messages == 1


async def test_a_job_that_still_waits_is_not_published_again(quick: Gateway) -> None:
    for number in range(3):
        await quick.upload(str(number).encode(), name=f"{number}.txt")
    await turns(quick)
    assert len(await quick.stored(IngestDocument)) == 3
    assert await counted(quick, "jobs_republished") == 0


@pytest.mark.parametrize(("message", "tokens"), [(IndexChunks, {}), (EmbedChunks, {"lane": "interactive"})])
async def test_a_message_in_a_later_stage_protects_what_is_not_older(
    quick: Gateway, message: type[Message], tokens: dict[str, str]
) -> None:
    await quick.upload()
    await quick.lose_jobs("INGEST")
    await quick.jetstream.publish(quick.topology.subject(message, **tokens), b"{}")
    await turns(quick)
    # any stage may still hold a message of this document
    assert await quick.stored(IngestDocument) == []
    assert message.stream is not None
    await quick.lose_jobs(message.stream)
    await queued(quick, IngestDocument, 1)


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        (IngestDocument, {"lane": "bulk", "tenant": TENANT}),
        (EmbedChunks, {"lane": "bulk"}),
        (PurgeDocument, {}),
        (UpdateIndexedDocument, {}),
    ],
)
async def test_an_old_message_of_another_kind_stops_no_recovery(
    place: Place,
    registry: Registry,
    jetstream: JetStreamContext,
    message: type[Message],
    tokens: dict[str, str],
) -> None:
    await jetstream.publish(place.topology.subject(message, **tokens), b"{}")
    async with running_gateway(place, registry, jetstream, **QUICK) as gateway:
        uploaded = await gateway.upload()
        lane = gateway.topology.pattern(IngestDocument, lane="interactive")
        await jetstream.purge_stream(gateway.topology.stream("INGEST"), subject=lane)

        async def republished() -> bool | None:
            return await counted(gateway, "jobs_republished") == 1 or None

        await eventually(republished)
        stream = gateway.topology.stream("INGEST")
        subject = gateway.topology.subject(IngestDocument, lane="interactive", tenant=TENANT)
        job = IngestDocument.decode((await jetstream.get_last_msg(stream, subject)).data or b"")
        assert job.content == AcceptedContent(document_id=uploaded["id"], generation=1)


async def test_a_finished_document_is_left_alone(quick: Gateway) -> None:
    uploaded = await quick.upload()
    await quick.make_live(uploaded)
    await quick.lose_jobs("INGEST")
    await turns(quick)
    assert await quick.stored(IngestDocument) == []


async def test_a_purge_that_was_never_published_is_published(quick: Gateway) -> None:
    uploaded = await quick.upload()
    await quick.make_live(uploaded)
    await quick.http.delete(f"/v1/documents/{uploaded['id']}")
    await quick.lose_jobs("INDEX")
    (job,) = await queued(quick, PurgeDocument, 1)
    assert (job.tenant, job.document_id, job.generations) == (TENANT, uploaded["id"], ())
    await turns(quick)
    assert len(await quick.stored(PurgeDocument)) == 1


async def test_an_update_that_was_never_published_is_published(quick: Gateway) -> None:
    uploaded = await quick.upload()
    await quick.make_live(uploaded)
    await quick.http.patch(f"/v1/documents/{uploaded['id']}", json={"acl": ["user:anna"]})
    await quick.lose_jobs("INDEX")
    (job,) = await queued(quick, UpdateIndexedDocument, 1)
    assert job.document_id == uploaded["id"]
    await turns(quick)
    assert len(await quick.stored(UpdateIndexedDocument)) == 1


async def test_the_documents_of_a_deleted_collection_are_purged(quick: Gateway) -> None:
    uploaded = [await quick.upload(str(number).encode(), name=f"{number}.txt") for number in range(3)]
    assert (await quick.http.delete("/v1/collections/handbook")).status_code == 202
    jobs = await queued(quick, PurgeDocument, 3)
    assert {job.document_id for job in jobs} == {document["id"] for document in uploaded}
    await quick.http.post("/v1/collections", json={"name": "handbook"})
    assert (await quick.get("/v1/documents"))["items"] == []


async def test_orphan_objects_are_removed_and_others_stay(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async with running_gateway(place, registry, jetstream, **QUICK, sweep_interval=0.3) as gateway:
        await gateway.upload()
        known = await gateway.object_names()
        await gateway.objects.put("orphan", once(b"bytes of an upload that nobody accepted"))

        async def removed() -> bool | None:
            return "orphan" not in await gateway.object_names() or None

        await eventually(removed)
        assert await gateway.object_names() == known
        sweeps = [job for job in await gateway.stored(PurgeDocument) if job.document_id is None]
        assert sweeps
        assert all(job.tenant is None for job in sweeps)


async def test_many_orphans_are_an_alarm_and_not_removed(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async with running_gateway(place, registry, jetstream, **QUICK, sweep_interval=0.3) as gateway:
        for number in range(25):
            await gateway.objects.put(f"orphan-{number}", once(b"x"))

        async def refused() -> bool | None:
            return await counted(gateway, "objects_refused") >= 25 or None

        await eventually(refused)
        assert len(await gateway.object_names()) == 25


async def test_another_installation_s_nats_is_not_reconciled(quick: Gateway) -> None:
    await turns(quick, 1)
    await quick.objects.put(STAMP, once(b"another installation"))

    async def refusing() -> bool | None:
        return "rag_reconciler_refusing 1.0" in (await quick.http.get("/metrics")).text or None

    await eventually(refusing)
    await quick.upload()
    await quick.lose_jobs("INGEST")
    before = await counted(quick, "turns")
    # longer than the margin: it would have been published again by now
    await asyncio.sleep(1.0)
    assert await counted(quick, "turns") == before
    assert await quick.stored(IngestDocument) == []

    own = (await quick.registry.spaces.installation()).id
    await quick.objects.put(STAMP, once(own.encode()))
    await queued(quick, IngestDocument, 1)

    async def reconciling() -> bool | None:
        return "rag_reconciler_refusing 0.0" in (await quick.http.get("/metrics")).text or None

    await eventually(reconciling)


async def test_a_new_nats_is_stamped(quick: Gateway) -> None:
    await turns(quick, 1)
    stamp = b"".join([chunk async for chunk in quick.objects.stream(STAMP)])
    assert stamp.decode() == (await quick.registry.spaces.installation()).id


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data
