import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nats.aio.client import Client
from retriever_support import DIMENSION, SPACE, TENANT, Stack, eventually, running_retriever

from rag_common.contracts import (
    DeadLetter,
    DocumentRef,
    IndexChunks,
    PurgeDocument,
    UpdateIndexedDocument,
)
from rag_common.objects import ObjectStore
from rag_common.registry import Registry
from rag_common.testing import NatsServer
from rag_common.topology import Topology
from rag_retriever.adapters.edge import EdgeIndex
from rag_retriever.domain.index import IndexRefused

NOT_NUMBERS = np.full(2 * DIMENSION, np.nan, "<f4").tobytes()


async def one_chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def revise(stack: Stack, document: DocumentRef, **fields: Any) -> None:
    """Change ACL or metadata as the gateway does, and queue the update."""
    await stack.registry.documents.patch(TENANT, document.document_id, **fields)
    await stack.publish(UpdateIndexedDocument(tenant=TENANT, document_id=document.document_id))
    await stack.drained()


async def points(directory: Path) -> dict[tuple[str, int], int]:
    """Points per (document, generation) of a stopped retriever."""
    index = await EdgeIndex.open(directory / "index")
    counted = await index.generations(SPACE)
    await index.close()
    return {(key.document_id, key.generation): number for key, number in counted.items()}


async def test_a_half_indexed_document_is_not_found(stack: Stack) -> None:
    document = (await stack.accept("a.md", "one")).document
    first, second = await stack.commit(document, ["red keys", "blue keys", "green keys"])
    await stack.publish(first)
    await stack.drained()
    assert await stack.texts("keys") == []
    await stack.publish(first)
    await stack.publish(second)
    await stack.wait_for_state(document, "live")
    assert len(await stack.texts("keys")) == 3


async def test_many_documents_at_once_with_repeated_batches(stack: Stack) -> None:
    """Each batch twice, in any order, on several workers: one point for each chunk, all live."""
    documents = [(await stack.accept(f"{n}.md", str(n))).document for n in range(20)]
    batches = [
        batch
        for number, one in enumerate(documents)
        for batch in await stack.commit(one, [f"text {n} of {number}" for n in range(7)])
    ]
    await asyncio.gather(*(stack.publish(batch) for batch in [*batches, *reversed(batches)]))
    await stack.drained()
    assert {await stack.state(document) for document in documents} == {"live"}
    answer = await stack.find("text", limit=100)
    assert len({(p.document_id, p.chunk_no) for p in answer.passages}) == 100


async def test_a_new_generation_replaces_the_old_one(
    nats_server: NatsServer,
    nats_client: Client,
    provisioned: Topology,
    registry: Registry,
    database_url: str,
    tmp_path: Path,
) -> None:
    async with running_retriever(nats_server.url, provisioned, database_url, tmp_path / "index") as http:
        stack = Stack(nats_client, provisioned, registry, http)
        await stack.add_live("a.md", ["red keys", "blue keys"])
        newer = (await stack.accept("a.md", "two")).document
        batches = await stack.commit(newer, ["green keys", "white keys", "black keys"])
        await stack.publish(batches[0])
        await stack.drained()
        assert sorted(await stack.texts("keys")) == ["blue keys", "red keys"]
        # the embedder may send a batch twice: both complete the generation
        await asyncio.gather(stack.publish(batches[1]), stack.publish(batches[1]))
        await stack.wait_for_state(newer, "live")
        assert sorted(await stack.texts("keys")) == ["black keys", "green keys", "white keys"]
        await stack.drained()
        assert (await nats_client.jetstream().stream_info(provisioned.stream("DLQ"))).state.messages == 0
        await eventually(lambda: stack.has_metric(f'rag_index_points{{space="{SPACE}"}}', 3))
    assert await points(tmp_path) == {(newer.document_id, 2): 3}


async def test_a_stale_batch_leaves_no_points(
    nats_server: NatsServer,
    nats_client: Client,
    provisioned: Topology,
    registry: Registry,
    database_url: str,
    tmp_path: Path,
) -> None:
    async with running_retriever(nats_server.url, provisioned, database_url, tmp_path / "index") as http:
        stack = Stack(nats_client, provisioned, registry, http)
        older = (await stack.accept("a.md", "one")).document
        late = await stack.commit(older, ["red keys", "blue keys", "dark keys"])
        await stack.publish(late[0])
        await stack.drained()
        newer = await stack.add_live("a.md", ["green keys"])
        await stack.drained()
        for batch in late:
            await stack.publish(batch)
        await stack.drained()
    assert await points(tmp_path) == {(newer.document_id, 2): 1}


async def test_a_late_batch_of_the_live_generation_is_kept_while_a_newer_one_is_on_its_way(
    stack: Stack,
) -> None:
    live = (await stack.accept("a.md", "one")).document
    batches = await stack.commit(live, ["red keys", "blue keys", "dark keys"])
    for batch in batches:
        await stack.publish(batch)
    await stack.wait_for_state(live, "live")
    newer = (await stack.accept("a.md", "two")).document
    assert newer.generation == 2
    await stack.publish(batches[0])
    await stack.drained()
    assert sorted(await stack.texts("keys")) == ["blue keys", "dark keys", "red keys"]
    (only,) = await stack.commit(newer, ["green keys"])
    await stack.publish(batches[0])
    await stack.publish(only)
    await stack.wait_for_state(newer, "live")
    assert await stack.texts("keys") == ["green keys"]


async def test_a_deleted_document_is_purged_with_a_receipt(
    nats_server: NatsServer,
    nats_client: Client,
    provisioned: Topology,
    registry: Registry,
    database_url: str,
    tmp_path: Path,
) -> None:
    async with running_retriever(nats_server.url, provisioned, database_url, tmp_path / "index") as http:
        stack = Stack(nats_client, provisioned, registry, http)
        kept = await stack.add_live("kept.md", ["kept keys"])
        accepted = await stack.accept("gone.md", "one")
        objects = ObjectStore(nats_client.jetstream, provisioned.bucket("documents"))
        await objects.put(str(accepted.upload_id), one_chunk(b"bytes"))
        batches = await stack.commit(accepted.document, ["red keys", "blue keys", "dark keys"])
        for batch in batches:
            await stack.publish(batch)
        await stack.wait_for_state(accepted.document, "live")
        await registry.documents.delete(TENANT, accepted.document.document_id)
        assert await stack.texts("keys") == ["kept keys"]
        purge = PurgeDocument(tenant=TENANT, document_id=accepted.document.document_id)
        await stack.publish(purge)
        await stack.drained()
        async with registry.database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT state, purge_receipt FROM documents WHERE id = $1", accepted.document.document_id
            )
        assert row is not None
        assert row["state"] == "deleted"
        assert (row["purge_receipt"]["points"], row["purge_receipt"]["objects"]) == (3, 1)
        assert accepted.upload_id not in [name async for name in objects.names()]
        # what is redelivered after the purge leaves nothing behind
        await stack.publish(batches[0])
        await stack.publish(purge)
        await stack.drained()
    assert await points(tmp_path) == {(kept.document_id, 1): 1}


async def test_a_purge_of_what_is_live_removes_nothing(stack: Stack) -> None:
    document = await stack.add_live("a.md", ["red keys"])
    await stack.publish(PurgeDocument(tenant=TENANT, document_id=document.document_id))
    await stack.publish(PurgeDocument(tenant=TENANT, document_id=document.document_id, generations=(1,)))
    await stack.publish(PurgeDocument(tenant="other", document_id=document.document_id, generations=(1,)))
    await stack.drained()
    assert await stack.texts("keys") == ["red keys"]


async def test_a_grant_takes_effect_with_the_update(stack: Stack) -> None:
    document = await stack.add_live("a.md", ["red keys"], acl=("group:hr",))
    assert await stack.texts("keys") == []
    await revise(stack, document, acl=("user:alice",))
    assert await stack.texts("keys") == ["red keys"]
    assert await stack.texts("keys", principals=("group:hr",)) == []
    async with stack.registry.database.connection() as connection:
        versions = await connection.fetchrow("SELECT acl_version, indexed_acl_version FROM documents")
    assert versions is not None
    assert versions["acl_version"] == versions["indexed_acl_version"] == 2


async def test_an_update_of_nothing_is_done(stack: Stack) -> None:
    await stack.publish(
        UpdateIndexedDocument(tenant=TENANT, document_id="00000000-0000-0000-0000-000000000001")
    )
    await stack.drained()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"dimension": 2, "vectors": base64.b64encode(bytes(16)).decode()}, "wrong_space"),
        (
            {"vectors": base64.b64encode(np.full(2 * DIMENSION, np.nan, "<f4").tobytes()).decode()},
            "bad_message",
        ),
        ({"numbers": (0, 9)}, "bad_message"),
        ({"space": "another-model"}, "unknown_space"),
    ],
)
async def test_a_bad_batch_is_dead_lettered(stack: Stack, change: dict[str, Any], code: str) -> None:
    letters = await stack.client.subscribe(stack.topology.subject(DeadLetter, stage="index"))
    document = (await stack.accept("a.md", "one")).document
    (batch,) = await stack.commit(document, ["red keys", "blue keys"])
    await stack.publish(batch.model_copy(update=change))
    letter = DeadLetter.decode((await letters.next_msg(timeout=10)).data)
    assert letter.code == code
    assert letter.document == document
    await stack.publish(batch)
    await stack.wait_for_state(document, "live")


@pytest.mark.parametrize("contract", [IndexChunks, UpdateIndexedDocument, PurgeDocument])
async def test_undecodable_jobs_are_dead_lettered_and_the_lane_goes_on(stack: Stack, contract: Any) -> None:
    letters = await stack.client.subscribe(stack.topology.subject(DeadLetter, stage="index"))
    for body in (b"{", b"\xff\xfe", b"{}"):
        await stack.client.jetstream().publish(stack.topology.subject(contract), body)
        assert DeadLetter.decode((await letters.next_msg(timeout=10)).data).code == "bad_message"
    document = await stack.add_live("a.md", ["red keys"])
    await revise(stack, document, metadata={"floor": 1})
    await stack.publish(PurgeDocument(tenant=TENANT, document_id=document.document_id))
    await stack.drained()
    assert await stack.texts("keys") == ["red keys"]


async def test_an_index_of_another_installation_is_refused(
    nats_server: NatsServer,
    provisioned: Topology,
    registry: Registry,
    database_url: str,
    tmp_path: Path,
) -> None:
    index = await EdgeIndex.open(tmp_path / "index")
    await index.claim("another-installation")
    await index.close()
    with pytest.raises(IndexRefused, match="another-installation"):
        async with running_retriever(nats_server.url, provisioned, database_url, tmp_path / "index"):
            pass
