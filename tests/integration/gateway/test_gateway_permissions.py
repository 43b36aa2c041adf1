"""The gateway with no more rights on NATS than its role has."""

import asyncio
from pathlib import Path

import nats
from gateway_support import Gateway, Place, eventually, problem, running_gateway
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from pydantic import SecretStr

from rag_common.broker import flush
from rag_common.contracts import (
    DeadLetter,
    DocumentRef,
    EmbedQuery,
    IngestDocument,
    PassagesFound,
    PurgeDocument,
    QueryVectors,
    RetrievePassages,
    UpdateIndexedDocument,
)
from rag_common.provision import provision
from rag_common.registry import Registry
from rag_common.testing import NatsServer, nats_users
from rag_common.topology import Topology


async def answer_one(jetstream: JetStreamContext, topology: Topology) -> None:
    pull = await jetstream.pull_subscribe_bind("retriever-query", topology.stream("QUERY"))
    (message,) = await pull.fetch(1, timeout=10)
    query = RetrievePassages.decode(message.data)
    found = PassagesFound(query_id=query.query_id, passages=(), mode=query.mode)
    await jetstream._nc.publish(query.reply_to, found.encode())
    await message.ack()
    await pull.unsubscribe()


async def encode(message: Msg) -> None:
    query = EmbedQuery.decode(message.data)
    await message.respond(QueryVectors(space=query.space, dimension=1, vectors="AACAPw==").encode())


async def test_the_role_of_the_gateway_suffices(
    topology: Topology, registry: Registry, database_url: str, tmp_path: Path
) -> None:
    with NatsServer(users=nats_users(topology)) as server:
        operator = await nats.connect(server.url, user="operator", password="operator")
        jetstream = operator.jetstream()
        await provision(jetstream, topology)
        place = Place(server.url, database_url, topology, tmp_path)
        async with running_gateway(
            place,
            registry,
            jetstream,
            nats_user="gateway",
            nats_password=SecretStr("gateway"),
            reconcile_interval=0.1,
            reconcile_margin=0.3,
            sweep_interval=0.3,
            event_poll_interval=3600.0,
        ) as gateway:
            uploaded = await gateway.upload(b"x" * 300_000)
            assert len(await gateway.stored(IngestDocument)) == 1
            content = await gateway.http.get(f"/v1/documents/{uploaded['id']}/content")
            assert len(content.content) == 300_000
            assert (await gateway.upload(b"x" * 300_000))["outcome"] == "unchanged"

            searching = asyncio.create_task(gateway.http.post("/v1/search", json={"query": "days"}))
            await answer_one(jetstream, topology)
            assert (await searching).status_code == 200

            await operator.subscribe(topology.subject(EmbedQuery), cb=encode)
            await flush(operator)
            texts = {"model": "all-minilm-l6-v2", "input": "days"}
            assert (await gateway.http.post("/v1/embeddings", json=texts)).status_code == 200

            path = f"/v1/documents/{uploaded['id']}"
            async with gateway.http.stream("GET", f"{path}/events") as stream:
                lines = stream.aiter_lines()
                assert await anext(lines)
                await eventually(lambda: reads_events(jetstream, topology))
                letter = DeadLetter(
                    stage="embed",
                    code="x",
                    reason="y",
                    attempts=1,
                    original_subject=topology.subject(IngestDocument, lane="bulk", tenant="default"),
                    original_stream=topology.stream("INGEST"),
                    original_sequence=1,
                    original_time_ns=1,
                    body="",
                    document=DocumentRef(tenant="default", document_id=uploaded["id"], generation=1),
                )
                await jetstream.publish(topology.subject(DeadLetter, stage="embed"), letter.encode())
                async with asyncio.timeout(10):
                    rest = [line async for line in lines]
            assert 'data: {"state":"failed"}' in rest

            again = await gateway.upload(b"other")
            await gateway.make_live(again)
            await gateway.http.patch(path, json={"acl": ["*", "user:anna"]})
            assert len(await gateway.stored(UpdateIndexedDocument)) == 1
            await gateway.lose_jobs("INDEX")
            await gateway.http.delete(path)
            await eventually(lambda: swept(gateway))
            problem(await gateway.http.get(f"{path}/content"), 404, "unknown_document")
        await operator.close()


async def reads_events(jetstream: JetStreamContext, topology: Topology) -> bool | None:
    info = await jetstream.stream_info(topology.stream("EVENTS"))
    return info.state.consumer_count == 1 or None


async def swept(gateway: Gateway) -> bool | None:
    jobs = await gateway.stored(PurgeDocument)
    return any(job.document_id is None for job in jobs) or None
