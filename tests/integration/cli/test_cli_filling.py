"""Filling a space: what is sent before it is known that somebody encodes for it, and when to stop waiting."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from rag_common.contracts import ChunkText, DocumentRef, EmbedChunks
from rag_common.registry import ChunkRow, NewContent, Registry, Upload
from rag_common.spaces import E5_SMALL, MINILM
from rag_common.topology import Topology
from ragp.errors import CommandError
from ragp.filling import fill, wait_until_complete

NEW = E5_SMALL.name


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[Registry]:
    """With two live documents of two batches each."""
    registry = await Registry.connect(database_url, 2)
    await registry.collections.create("default", "handbook")
    for name in "ab":
        upload = Upload(NewContent("handbook", name, "sha", 3, "bulk"), upload_id=name)
        document = (await registry.accepting.uploads("default", [upload])).items[0].document
        rows = [ChunkRow(no, "the foghorn", 0, 11, batch=no) for no in (0, 1)]
        await registry.ingesting.begin(document, 1)
        await registry.ingesting.commit_chunks(document, rows, batches=2, fingerprint="pipeline")
        await complete(registry, document, MINILM.name)
    yield registry
    await registry.close()


async def complete(registry: Registry, document: DocumentRef, space: str) -> None:
    for batch in (0, 1):
        await registry.indexing.complete(document, space, batch, 1)


async def stored(jetstream: JetStreamContext, topology: Topology) -> int:
    return int((await jetstream.stream_info(topology.stream("EMBED"))).state.messages)


async def take(jetstream: JetStreamContext, topology: Topology, *, ack: bool) -> None:
    """What an embedder of the bulk lane does, or one that holds the jobs of a space that it lacks."""
    subscription = await jetstream.pull_subscribe_bind("embedder-bulk", topology.stream("EMBED"))
    while True:
        for message in await subscription.fetch(1, timeout=30):
            if ack:
                await message.ack()


async def test_one_batch_goes_before_all_others(
    registry: Registry, nats_client: Client, jetstream: JetStreamContext, provisioned: Topology
) -> None:
    filling = fill(registry, nats_client, provisioned, NEW)
    embedder = asyncio.create_task(take(jetstream, provisioned, ack=True))
    assert [count async for count in filling] == [2, 2]
    embedder.cancel()


@pytest.mark.parametrize("running", [True, False])
async def test_a_bulk_lane_without_the_space_gets_one_batch(
    registry: Registry, nats_client: Client, jetstream: JetStreamContext, provisioned: Topology, running: bool
) -> None:
    embedder = asyncio.create_task(take(jetstream, provisioned, ack=False)) if running else None
    with pytest.raises(CommandError, match="bulk lane") as refused:
        async for _ in fill(registry, nats_client, provisioned, NEW, patience=0.6):
            pass
    assert "RAG_SPACES" in str(refused.value.cure)
    assert await stored(jetstream, provisioned) == 1
    if embedder is not None:
        embedder.cancel()


async def test_waiting_ends_when_a_job_is_held_for_ever(
    registry: Registry, nats_client: Client, jetstream: JetStreamContext, provisioned: Topology
) -> None:
    document = (await registry.spaces.lacking(NEW))[0]
    message = EmbedChunks(
        document=document, lane="bulk", space=NEW, batch=0, chunks=(ChunkText(no=0, text="a"),)
    )
    await jetstream.publish(provisioned.subject(EmbedChunks, lane="bulk"), message.encode())
    told: list[int] = []
    with pytest.raises(CommandError, match=r"2 documents .* nothing has moved for 0\.5 s"):
        await wait_until_complete(
            registry, nats_client, provisioned, NEW, told.append, patience=0.5, poll=0.1
        )
    assert set(told) == {2}


async def test_waiting_ends_when_all_is_complete_or_nothing_is_on_its_way(
    registry: Registry, nats_client: Client, provisioned: Topology
) -> None:
    first, second = await registry.spaces.lacking(NEW)
    await complete(registry, first, NEW)
    told: list[int] = []
    with pytest.raises(CommandError, match="1 documents are still not complete"):
        await wait_until_complete(registry, nats_client, provisioned, NEW, told.append, poll=0.01)
    await complete(registry, second, NEW)
    await wait_until_complete(registry, nats_client, provisioned, NEW, told.append)
    assert told[-1] == 0
