"""nats-server dies and comes back: jobs go on, nothing is lost, no attempt is burned."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import nats
import pytest
from common_support import MakeBroker, count, dead_letters, drained, embed_chunks, eventually, ingest_document
from nats.aio.client import Client

from rag_common.broker import Broker, Job, Publisher, consume
from rag_common.contracts import DeadLetter, EmbedChunks, IngestDocument
from rag_common.errors import PermanentError, TransientError
from rag_common.provision import provision
from rag_common.testing import NatsServer
from rag_common.topology import Topology


@pytest.fixture
def own_server() -> Iterator[NatsServer]:
    with NatsServer(sync_always=True) as server:
        yield server


@pytest.fixture
async def client(own_server: NatsServer) -> AsyncIterator[Client]:
    async def quiet(_: Exception) -> None:
        """The outage is the point of the test."""

    client = await nats.connect(
        own_server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=quiet
    )
    yield client
    await client.close()


async def disconnected(broker: Broker) -> None:
    async def gone() -> bool:
        return not broker.is_connected

    await eventually(gone)


async def test_a_running_job_outlives_the_server(
    own_server: NatsServer, client: Client, topology: Topology, make_broker: MakeBroker
) -> None:
    topology = topology.with_consumer("ingest-bulk", ack_wait=2.0)
    jetstream = client.jetstream()
    await provision(jetstream, topology)
    broker = make_broker(url=own_server.url)
    publisher = Publisher(broker, topology)
    started, resume = asyncio.Event(), asyncio.Event()
    attempts: list[int] = []

    async def handler(_: IngestDocument, job: Job) -> None:
        attempts.append(job.attempt)
        started.set()
        await resume.wait()
        await publisher.publish(embed_chunks(), msg_id="batch", lane="bulk")

    consume(broker, topology, "ingest-bulk", IngestDocument, handler)
    await broker.start()
    subject = topology.subject(IngestDocument, lane="bulk", tenant="acme")
    await jetstream.publish(subject, ingest_document().encode())
    await started.wait()
    own_server.kill()
    await disconnected(broker)
    # The publish is held until the server is back.
    resume.set()
    own_server.start()
    await drained(jetstream, topology.stream("INGEST"))
    # A server that crashed may have forgotten that it had delivered the job: then it runs twice.
    assert set(attempts) == {1}
    assert await count(jetstream, topology.stream("EMBED")) == len(attempts)
    assert await count(jetstream, topology.stream("DLQ")) == 0

    before = len(attempts)
    await jetstream.publish(subject, ingest_document().encode())
    await drained(jetstream, topology.stream("INGEST"))
    assert len(attempts) == before + 1


async def test_a_dead_letter_waits_for_the_server_before_the_job_is_acked(
    own_server: NatsServer, client: Client, topology: Topology, make_broker: MakeBroker
) -> None:
    topology = topology.with_consumer("embedder-bulk", ack_wait=2.0)
    jetstream = client.jetstream()
    await provision(jetstream, topology)
    broker = make_broker(url=own_server.url)
    started, resume = asyncio.Event(), asyncio.Event()

    async def handler(_: EmbedChunks, __: Job) -> None:
        started.set()
        await resume.wait()
        raise PermanentError("no text found", code="no_text")

    consume(broker, topology, "embedder-bulk", EmbedChunks, handler)
    await broker.start()
    await jetstream.publish(topology.subject(EmbedChunks, lane="bulk"), embed_chunks().encode())
    await started.wait()
    own_server.kill()
    await disconnected(broker)
    resume.set()
    own_server.start()
    await drained(jetstream, topology.stream("EMBED"))
    subject = topology.subject(DeadLetter, stage="embed")
    letters = await dead_letters(jetstream, topology.stream("DLQ"), subject)
    # Two, where the crashed server has forgotten that it had delivered the job.
    assert {(letter.code, letter.attempts) for letter in letters} == {("no_text", 1)}


async def test_outside_a_job_publishing_fails_at_once(
    own_server: NatsServer, client: Client, topology: Topology, make_broker: MakeBroker
) -> None:
    await provision(client.jetstream(), topology)
    broker = make_broker(url=own_server.url)
    await broker.start()
    publisher = Publisher(broker, topology)
    own_server.kill()
    await disconnected(broker)
    with pytest.raises(TransientError, match="disconnected"):
        await publisher.publish(embed_chunks(), msg_id="one", lane="bulk")
    own_server.start()

    async def published() -> bool:
        try:
            await publisher.publish(embed_chunks(), msg_id="one", lane="bulk")
        except TransientError:
            return False
        return True

    await eventually(published)
    assert await count(client.jetstream(), topology.stream("EMBED")) == 1


async def test_a_broker_stops_while_the_server_is_away(
    own_server: NatsServer, client: Client, topology: Topology, make_broker: MakeBroker
) -> None:
    await provision(client.jetstream(), topology)
    broker = make_broker(url=own_server.url)

    async def handler(_: EmbedChunks, __: Job) -> None:
        return None

    consume(broker, topology, "embedder-bulk", EmbedChunks, handler)
    await broker.start()
    own_server.kill()
    await disconnected(broker)
    await broker.stop()
    assert not broker.is_connected


async def test_a_deleted_consumer_neither_spins_nor_is_created(
    own_server: NatsServer, client: Client, topology: Topology, make_broker: MakeBroker
) -> None:
    jetstream = client.jetstream()
    await provision(jetstream, topology)
    broker = make_broker(url=own_server.url)
    worked = asyncio.Event()

    async def handler(_: EmbedChunks, __: Job) -> None:
        worked.set()

    consume(broker, topology, "embedder-bulk", EmbedChunks, handler)
    await broker.start()
    before = client.stats["out_msgs"]
    await jetstream.delete_consumer(topology.stream("EMBED"), "embedder-bulk")
    sent = broker.connection.stats["out_msgs"]
    await asyncio.sleep(2.5)
    assert broker.connection.stats["out_msgs"] - sent < 10
    assert client.stats["out_msgs"] > before
    # Provisioned again, the lane goes on by itself.
    await provision(jetstream, topology)
    await jetstream.publish(topology.subject(EmbedChunks, lane="bulk"), embed_chunks().encode())
    await asyncio.wait_for(worked.wait(), 20)
