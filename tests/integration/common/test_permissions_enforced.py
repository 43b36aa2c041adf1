"""What the server lets each user do, with the users of the shipped permissions."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import nats
import nats.errors
import pytest
from common_support import embed_chunks, eventually, ingest_document
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, StreamConfig

from rag_common.broker import Broker, Job, Publisher, consume, create_broker, flush
from rag_common.contracts import AnswerOpened, DocumentEvent, EmbedChunks, EmbedQuery, IngestDocument
from rag_common.objects import ObjectStore
from rag_common.permissions import Role, inbox_prefix
from rag_common.provision import provision, verify
from rag_common.settings import ServiceSettings
from rag_common.testing import NatsServer, nats_users
from rag_common.topology import Topology

TOPOLOGY = Topology("secured", tenants=("acme", "other"))
SERVICES: tuple[Role, ...] = ("gateway", "ingest", "embedder", "retriever", "generator")


@pytest.fixture(scope="module")
def secured_server() -> Iterator[NatsServer]:
    with NatsServer(users=nats_users(TOPOLOGY)) as server:

        async def prepare() -> None:
            async with user(server, "operator") as client:
                await provision(client.jetstream(), TOPOLOGY)

        asyncio.run(prepare())
        yield server


@asynccontextmanager
async def user(server: NatsServer, name: str, inbox: str = "_INBOX") -> AsyncIterator[Client]:
    async def quiet(_: Exception) -> None:
        """A refusal arrives here, too; the tests look at what did not happen."""

    client = await nats.connect(server.url, user=name, password=name, inbox_prefix=inbox, error_cb=quiet)
    try:
        yield client
    finally:
        await client.close()


def service_user(server: NatsServer, role: Role) -> AbstractAsyncContextManager[Client]:
    return user(server, role, inbox_prefix(role))


def producer(server: NatsServer, tenant: str) -> AbstractAsyncContextManager[Client]:
    return user(server, f"producer-{tenant}", inbox_prefix("producer", tenant))


@pytest.mark.parametrize("role", SERVICES)
async def test_a_service_manages_no_streams_and_no_durable_consumers(
    secured_server: NatsServer, role: Role
) -> None:
    stream = TOPOLOGY.stream("EMBED")
    async with service_user(secured_server, role) as client:
        jetstream = client.jetstream(timeout=0.15)
        with pytest.raises(nats.errors.TimeoutError):
            await jetstream.add_stream(StreamConfig(name="MINE", subjects=["mine"]))
        with pytest.raises(nats.errors.TimeoutError):
            await jetstream.add_consumer(stream, ConsumerConfig(durable_name="mine"))
        with pytest.raises(nats.errors.TimeoutError):
            await jetstream.purge_stream(stream)
        with pytest.raises(nats.errors.TimeoutError):
            await jetstream.delete_stream(stream)
        with pytest.raises(nats.errors.TimeoutError):
            await jetstream.delete_consumer(stream, "embedder-bulk")


@pytest.mark.parametrize(
    ("role", "consumers"),
    [
        ("gateway", ["dead-letters"]),
        ("ingest", ["ingest-interactive", "ingest-bulk"]),
        ("embedder", ["embedder-interactive", "embedder-bulk"]),
        ("retriever", ["retriever-upsert", "retriever-update", "retriever-delete", "retriever-query"]),
        ("generator", ["generator"]),
    ],
)
async def test_a_service_verifies_its_own_consumers(
    secured_server: NatsServer, role: Role, consumers: list[str]
) -> None:
    async with service_user(secured_server, role) as client:
        await verify(client.jetstream(timeout=2), TOPOLOGY, consumers)


def broker_of(server: NatsServer, role: Role) -> Broker:
    settings = ServiceSettings(namespace="secured", nats_url=server.url, nats_user=role, nats_password=role)
    return create_broker(settings, role)


async def test_a_document_passes_from_stage_to_stage(secured_server: NatsServer) -> None:
    """Producer → ingest → embedder, each with its own user: pull, ack, publish, dead letter."""
    ingest, embedder = broker_of(secured_server, "ingest"), broker_of(secured_server, "embedder")
    publisher = Publisher(ingest, TOPOLOGY)
    arrived = asyncio.Event()

    async def split(_: IngestDocument, job: Job) -> None:
        assert job.tenant == "acme"
        await publisher.publish(embed_chunks(), msg_id="batch", lane="bulk")

    async def encode(_: EmbedChunks, __: Job) -> None:
        arrived.set()
        raise RuntimeError("and this one ends as a dead letter")

    consume(ingest, TOPOLOGY, "ingest-bulk", IngestDocument, split)
    consume(embedder, TOPOLOGY, "embedder-bulk", EmbedChunks, encode)
    try:
        await ingest.start()
        await embedder.start()
        async with producer(secured_server, "acme") as client:
            subject = TOPOLOGY.subject(IngestDocument, lane="bulk", tenant="acme")
            await client.jetstream().publish(subject, ingest_document().encode())
        await asyncio.wait_for(arrived.wait(), 20)
        async with user(secured_server, "operator") as operator:
            jetstream = operator.jetstream()

            async def settled() -> bool:
                states = [
                    (await jetstream.stream_info(TOPOLOGY.stream(name))).state for name in ("EMBED", "DLQ")
                ]
                return [state.messages for state in states] == [0, 1]

            await eventually(settled)
    finally:
        await ingest.stop()
        await embedder.stop()


async def test_a_producer_publishes_to_its_own_bulk_lane_only(secured_server: NatsServer) -> None:
    refused = [
        TOPOLOGY.subject(IngestDocument, lane="bulk", tenant="other"),
        TOPOLOGY.subject(IngestDocument, lane="interactive", tenant="acme"),
        TOPOLOGY.subject(EmbedChunks, lane="bulk"),
        TOPOLOGY.subject(DocumentEvent),
    ]
    async with producer(secured_server, "acme") as client:
        for subject in refused:
            with pytest.raises(nats.errors.TimeoutError):
                await client.jetstream(timeout=0.15).publish(subject, ingest_document().encode())


async def test_a_producer_writes_its_own_drop_bucket_only(secured_server: NatsServer) -> None:
    async with producer(secured_server, "acme") as client:
        jetstream = client.jetstream(timeout=0.3)
        # As an outside producer does it, with nothing but nats-py.
        bucket = await jetstream.object_store(TOPOLOGY.bucket("drop-acme"))
        await bucket.put("random-id", b"bytes")
        for forbidden in ("drop-other", "documents"):
            with pytest.raises(nats.errors.TimeoutError):
                await jetstream.object_store(TOPOLOGY.bucket(forbidden))
        with pytest.raises(nats.errors.TimeoutError):
            await jetstream.purge_stream(f"OBJ_{TOPOLOGY.bucket('drop-acme')}")
    async with service_user(secured_server, "ingest") as client:
        jetstream = client.jetstream(timeout=2)
        drops = ObjectStore(lambda: jetstream, TOPOLOGY.bucket("drop-acme"))
        documents = ObjectStore(lambda: jetstream, TOPOLOGY.bucket("documents"))
        await documents.put("upload", drops.stream("random-id"))
        await drops.delete("random-id")
    async with service_user(secured_server, "gateway") as client:
        jetstream = client.jetstream(timeout=2)
        documents = ObjectStore(lambda: jetstream, TOPOLOGY.bucket("documents"))
        assert b"".join([chunk async for chunk in documents.stream("upload")]) == b"bytes"


async def test_the_gateway_alone_reads_and_writes_answers_that_were_given(
    secured_server: NatsServer,
) -> None:
    """They hold texts that not everybody may read."""
    bucket = TOPOLOGY.key_value("answers")
    subject = bucket.subject("0" * 64)

    async def read(client: Client, seconds: float) -> bytes | None:
        found = await client.jetstream(timeout=seconds).get_msg(bucket.stream, subject=subject, direct=True)
        return found.data

    async with service_user(secured_server, "gateway") as client:
        await verify(client.jetstream(timeout=2), TOPOLOGY, (), ("answers",))
        await client.jetstream(timeout=5).publish(subject, b"answer", msg_ttl=60)
        assert await read(client, 5) == b"answer"
        with pytest.raises(nats.errors.TimeoutError):
            await client.jetstream(timeout=0.15).purge_stream(bucket.stream)
    others = [service_user(secured_server, role) for role in SERVICES if role != "gateway"]
    for other in [*others, producer(secured_server, "acme")]:
        async with other as client:
            jetstream = client.jetstream(timeout=0.3)
            heard = await client.subscribe(bucket.subject(">"))
            refused = await asyncio.gather(
                read(client, 0.3),
                jetstream.get_msg(bucket.stream, seq=1),
                jetstream.get_msg(bucket.stream, seq=1, direct=True),
                jetstream.add_consumer(bucket.stream, ConsumerConfig(durable_name="spy")),
                jetstream.publish(subject, b"forged"),
                return_exceptions=True,
            )
            assert all(isinstance(outcome, nats.errors.TimeoutError) for outcome in refused)
            assert heard.pending_msgs == 0
    async with service_user(secured_server, "gateway") as client:
        assert await read(client, 5) == b"answer"


async def test_nobody_listens_to_the_inboxes_of_another_role(secured_server: NatsServer) -> None:
    async with (
        producer(secured_server, "acme") as spy,
        service_user(secured_server, "ingest") as client,
    ):
        heard = [await spy.subscribe(subject) for subject in ("_INBOX.>", "_INBOX_ingest.>", ">")]
        await flush(spy)
        await client.publish(f"{inbox_prefix('ingest')}.x", b"not even allowed")
        await client.jetstream().stream_info(TOPOLOGY.stream("INGEST"))
        await flush(spy)
        assert [subscription.pending_msgs for subscription in heard] == [0, 0, 0]


async def test_the_gateway_reads_events_through_an_ephemeral_consumer(secured_server: NatsServer) -> None:
    async with service_user(secured_server, "gateway") as client:
        jetstream = client.jetstream(timeout=2)
        subject = TOPOLOGY.subject(DocumentEvent)
        reader = await jetstream.subscribe(subject, stream=TOPOLOGY.stream("EVENTS"), ordered_consumer=True)
        await client.publish(subject, b"hint")
        assert (await reader.next_msg(timeout=5)).data == b"hint"
        await reader.unsubscribe()


async def test_the_gateway_answers_the_generator_alone(secured_server: NatsServer) -> None:
    """Whoever sends something to its inbox names where the answer goes."""
    inbox = TOPOLOGY.subject(AnswerOpened, gateway="g1", query="q1")
    jobs = TOPOLOGY.subject(EmbedChunks, lane="bulk")
    async with (
        service_user(secured_server, "gateway") as gateway,
        service_user(secured_server, "generator") as generator,
        user(secured_server, "operator") as operator,
    ):

        async def answer(message: Msg) -> None:
            await message.respond(b"wanted")

        before = (await operator.jetstream().stream_info(TOPOLOGY.stream("EMBED"))).state.last_seq
        await gateway.subscribe(inbox, cb=answer)
        await flush(gateway)
        await generator.publish(inbox, b"opened", reply=jobs)
        assert (await generator.request(inbox, b"opened", timeout=5)).data == b"wanted"
        after = (await operator.jetstream().stream_info(TOPOLOGY.stream("EMBED"))).state.last_seq
        assert after == before


async def test_the_embedder_answers_whoever_asks(secured_server: NatsServer) -> None:
    subject = TOPOLOGY.subject(EmbedQuery)
    async with (
        service_user(secured_server, "embedder") as embedder,
        service_user(secured_server, "retriever") as retriever,
    ):

        async def answer(message: Msg) -> None:
            await message.respond(b"vectors")

        await embedder.subscribe(subject, queue="embedders", cb=answer)
        await flush(embedder)
        assert (await retriever.request(subject, b"question", timeout=5)).data == b"vectors"
