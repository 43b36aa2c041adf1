"""The retriever does all its work with the rights of its own NATS user."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import nats.errors
import pytest
from retriever_support import TENANT, Stack, embedder, eventually, running_retriever

from rag_common.broker import flush
from rag_common.contracts import (
    AnswerOptions,
    CancelQuery,
    DeadLetter,
    IndexChunks,
    PurgeDocument,
    QuestionRewritten,
    RewriteQuestion,
    Turn,
)
from rag_common.objects import ObjectStore
from rag_common.permissions import inbox_prefix
from rag_common.provision import provision
from rag_common.registry import Registry
from rag_common.testing import NatsServer, nats_users
from rag_common.topology import Topology


async def contents() -> AsyncIterator[bytes]:
    yield b"bytes"


async def ask_a_follow_up(stack: Stack, server: NatsServer) -> None:
    """The generator rewrites a question, of which the gateway then says that nobody waits for it."""
    generator, gateway = [
        await nats.connect(server.url, user=user, password=user, inbox_prefix=inbox_prefix(user))
        for user in ("generator", "gateway")
    ]
    requests = await generator.subscribe(stack.topology.subject(RewriteQuestion))
    await flush(generator)
    options = AnswerOptions(history=(Turn(question="Which keys?", answer="The red ones."),))
    asked = asyncio.create_task(stack.command("And the blue ones?", answer=options))
    request = await requests.next_msg(timeout=10)
    await request.respond(QuestionRewritten(question="Where are the blue keys?").encode())
    assert (await asked).standalone == "Where are the blue keys?"
    query = stack.query("And the blue ones?", answer=options)
    await stack.publish(query)
    await requests.next_msg(timeout=10)
    cancel = stack.topology.subject(CancelQuery, query=query.query_id)
    await gateway.publish(cancel, CancelQuery(query_id=query.query_id).encode())

    async def cancelled() -> bool:
        return await stack.has_metric("rag_queries_cancelled_total", 1)

    await eventually(cancelled)
    await generator.close()
    await gateway.close()


async def test_its_rights_are_enough(registry: Registry, database_url: str, tmp_path: Path) -> None:
    topology = Topology("guarded")
    with NatsServer(users=nats_users(topology)) as server:
        operator = await nats.connect(server.url, user="operator", password="operator")
        await provision(operator.jetstream(), topology)
        asking = await nats.connect(
            server.url, user="embedder", password="embedder", inbox_prefix="_INBOX_embedder"
        )
        rights = {"nats_user": "retriever", "nats_password": "retriever"}
        async with (
            running_retriever(server.url, topology, database_url, tmp_path, **rights) as http,
            embedder(asking, topology) as requests,
        ):
            stack = Stack(operator, topology, registry, http)
            accepted = await stack.accept("a.md", "one")
            objects = ObjectStore(operator.jetstream, topology.bucket("documents"))
            await objects.put(str(accepted.upload_id), contents())
            for batch in await stack.commit(accepted.document, ["red keys", "blue keys"]):
                await stack.publish(batch)
            await stack.wait_for_state(accepted.document, "live")
            assert (await stack.find("red keys")).mode == "hybrid"
            assert len(requests) == 1
            await ask_a_follow_up(stack, server)
            letters = await operator.subscribe(topology.subject(DeadLetter, stage="index"))
            await operator.jetstream().publish(topology.subject(IndexChunks), b"{")
            await letters.next_msg(timeout=10)
            newer = await stack.add_live("a.md", ["green keys"])
            await stack.drained()
            assert await stack.texts("keys") == ["green keys"]
            await registry.documents.delete(TENANT, newer.document_id)
            await stack.publish(PurgeDocument(tenant=TENANT, document_id=newer.document_id))
            await stack.drained()
            assert [name async for name in objects.names()] == []
        await asking.close()
        await operator.close()


async def test_it_writes_and_lists_no_objects() -> None:
    async def quiet(_: Exception) -> None:
        """The refusals arrive here, too."""

    topology = Topology("guarded")
    bucket = topology.bucket("documents")
    with NatsServer(users=nats_users(topology)) as server:
        operator = await nats.connect(server.url, user="operator", password="operator")
        await provision(operator.jetstream(), topology)
        objects = ObjectStore(operator.jetstream, bucket)
        await objects.put("upload", contents())
        client = await nats.connect(
            server.url,
            user="retriever",
            password="retriever",
            inbox_prefix="_INBOX_retriever",
            error_cb=quiet,
        )
        jetstream = client.jetstream(timeout=0.3)
        for subject in (f"$O.{bucket}.C.x", f"$O.{bucket}.M.x", f"$JS.API.STREAM.INFO.OBJ_{bucket}"):
            with pytest.raises(nats.errors.TimeoutError):
                await client.request(subject, b"", timeout=0.3)
        with pytest.raises(nats.errors.TimeoutError):
            await jetstream.get_msg(f"OBJ_{bucket}", 1, direct=True)
        await ObjectStore(lambda: jetstream, bucket).delete("upload")
        assert [name async for name in objects.names()] == []
        await client.close()
        await operator.close()
