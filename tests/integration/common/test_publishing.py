"""Publishing: acknowledged or refused, never lost in between."""

import asyncio

import pytest
from common_support import MakeBroker, count, drained, embed_chunks, ingest_document
from nats.aio.client import Client
from nats.js import JetStreamContext

from rag_common.broker import DuplicateMessage, Job, Publisher, consume, flush
from rag_common.contracts import (
    MAX_MESSAGE_BYTES,
    EmbedChunks,
    IndexChunks,
    IngestDocument,
    PassagesFound,
    PurgeDocument,
)
from rag_common.errors import Overloaded, PermanentError, TransientError
from rag_common.topology import Topology


async def fill(jetstream: JetStreamContext, topology: Topology, limit: int) -> None:
    """Let each subject of EMBED hold so many messages, and fill the bulk lane."""
    stream = await jetstream.stream_info(topology.stream("EMBED"))
    await jetstream.update_stream(stream.config.evolve(max_msgs_per_subject=limit))
    for batch in range(limit):
        await jetstream.publish(topology.subject(EmbedChunks, lane="bulk"), embed_chunks(batch).encode())


async def test_a_published_message_is_stored_in_its_stream(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    broker = make_broker()
    await broker.start()
    await Publisher(broker, provisioned).publish(embed_chunks(), msg_id="one", lane="interactive")
    message = await jetstream.get_msg(provisioned.stream("EMBED"), 1)
    assert message.subject == provisioned.subject(EmbedChunks, lane="interactive")
    assert EmbedChunks.decode(message.data or b"") == embed_chunks()
    assert message.headers is not None
    assert message.headers["Nats-Msg-Id"] == "one"


async def test_a_full_lane_refuses_and_the_other_lane_does_not(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    await fill(jetstream, provisioned, 3)
    broker = make_broker()
    await broker.start()
    publisher = Publisher(broker, provisioned)
    with pytest.raises(Overloaded, match=r"embed\.bulk is full: maximum messages per subject exceeded"):
        await publisher.publish(embed_chunks(9), msg_id="nine", lane="bulk")
    await publisher.publish(embed_chunks(9), msg_id="nine", lane="interactive")
    assert await count(jetstream, provisioned.stream("EMBED")) == 4


async def test_a_full_bulk_lane_of_one_tenant_leaves_uploads_and_other_tenants_alone(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    stream = await jetstream.stream_info(provisioned.stream("INGEST"))
    await jetstream.update_stream(stream.config.evolve(max_msgs_per_subject=1))
    broker = make_broker()
    await broker.start()
    publisher = Publisher(broker, provisioned)
    await publisher.publish(ingest_document(), msg_id="1", lane="bulk", tenant="acme")
    with pytest.raises(Overloaded):
        await publisher.publish(ingest_document(), msg_id="2", lane="bulk", tenant="acme")
    await publisher.publish(ingest_document(), msg_id="3", lane="interactive", tenant="acme")
    await publisher.publish(ingest_document(), msg_id="4", lane="bulk", tenant="other")


async def test_inside_a_job_a_full_lane_holds_the_job_until_there_is_room(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    await fill(jetstream, provisioned, 2)
    broker = make_broker()
    publisher = Publisher(broker, provisioned)
    runs: list[int] = []
    refused = asyncio.Event()

    async def handler(_: IngestDocument, job: Job) -> None:
        runs.append(job.tries)
        refused.set()
        for batch in range(2):
            await publisher.publish(embed_chunks(batch), msg_id=f"batch-{batch}", lane="bulk")

    consume(broker, provisioned, "ingest-bulk", IngestDocument, handler)
    await broker.start()
    subject = provisioned.subject(IngestDocument, lane="bulk", tenant="acme")
    await jetstream.publish(subject, ingest_document().encode())
    await refused.wait()
    await jetstream.purge_stream(provisioned.stream("EMBED"))
    await drained(jetstream, provisioned.stream("INGEST"))
    assert runs == [1]
    assert await count(jetstream, provisioned.stream("EMBED")) == 2


async def test_draining_ends_a_held_publish_and_gives_the_job_back(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    await fill(jetstream, provisioned, 1)
    broker = make_broker()
    publisher = Publisher(broker, provisioned)
    started = asyncio.Event()

    async def handler(_: IngestDocument, __: Job) -> None:
        started.set()
        await publisher.publish(embed_chunks(), msg_id="batch", lane="bulk")

    consume(broker, provisioned, "ingest-bulk", IngestDocument, handler)
    await broker.start()
    subject = provisioned.subject(IngestDocument, lane="bulk", tenant="acme")
    await jetstream.publish(subject, ingest_document().encode())
    await started.wait()
    await broker.stop()
    assert await count(jetstream, provisioned.stream("INGEST")) == 1
    assert await count(jetstream, provisioned.stream("DLQ")) == 0


async def test_the_same_id_for_another_message_raises(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    broker = make_broker()
    await broker.start()
    publisher = Publisher(broker, provisioned)
    await publisher.publish(embed_chunks(1), msg_id="same", lane="bulk")
    with pytest.raises(DuplicateMessage, match="'same'"):
        await publisher.publish(embed_chunks(2), msg_id="same", lane="bulk")


async def test_a_job_that_runs_again_may_repeat_its_ids(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    broker = make_broker()
    publisher = Publisher(broker, provisioned)

    async def handler(_: IngestDocument, job: Job) -> None:
        await publisher.publish(embed_chunks(), msg_id="batch", lane="bulk")
        if job.tries == 1:
            raise TransientError("the database went away", retry_after=0.05)

    consume(broker, provisioned, "ingest-bulk", IngestDocument, handler)
    await broker.start()
    subject = provisioned.subject(IngestDocument, lane="bulk", tenant="acme")
    await jetstream.publish(subject, ingest_document().encode())
    await drained(jetstream, provisioned.stream("INGEST"))
    assert await count(jetstream, provisioned.stream("EMBED")) == 1
    assert await count(jetstream, provisioned.stream("DLQ")) == 0


async def test_a_redelivered_job_publishes_anew(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    """The first attempt's message may be gone: purged, or refused downstream."""
    broker = make_broker()
    publisher = Publisher(broker, provisioned)
    hang = asyncio.Event()

    async def handler(_: IngestDocument, job: Job) -> None:
        await publisher.publish(embed_chunks(), msg_id="batch", lane="bulk")
        if job.attempt == 1:
            await jetstream.purge_stream(provisioned.stream("EMBED"))
            hang.set()
            raise TransientError("held when the service is stopped", retry_after=60)

    consume(broker, provisioned, "ingest-bulk", IngestDocument, handler)
    await broker.start()
    subject = provisioned.subject(IngestDocument, lane="bulk", tenant="acme")
    await jetstream.publish(subject, ingest_document().encode())
    await hang.wait()
    await broker.stop()

    successor = make_broker()
    publisher = Publisher(successor, provisioned)
    consume(successor, provisioned, "ingest-bulk", IngestDocument, handler)
    await successor.start()
    await drained(jetstream, provisioned.stream("INGEST"))
    assert await count(jetstream, provisioned.stream("EMBED")) == 1


async def test_a_message_above_the_limit_is_refused(provisioned: Topology, make_broker: MakeBroker) -> None:
    broker = make_broker()
    await broker.start()
    publisher = Publisher(broker, provisioned)
    with pytest.raises(PermanentError) as caught:
        await publisher.publish(embed_chunks(text="x" * MAX_MESSAGE_BYTES), msg_id="big", lane="bulk")
    assert caught.value.code == "message_too_large"


async def test_without_a_stream_the_cure_is_named(topology: Topology, make_broker: MakeBroker) -> None:
    broker = make_broker()
    await broker.start()
    with pytest.raises(TransientError, match="ragp provision"):
        await Publisher(broker, topology).publish(embed_chunks(), msg_id="one", lane="bulk")


async def test_before_connecting_publishing_is_a_transient_error(
    topology: Topology, make_broker: MakeBroker
) -> None:
    publisher = Publisher(make_broker(), topology)
    with pytest.raises(TransientError, match="disconnected"):
        await publisher.publish(embed_chunks(), msg_id="one", lane="bulk")
    with pytest.raises(TransientError):
        await publisher.reply("somewhere", embed_chunks())
    await publisher.hint(PurgeDocument(tenant="acme", document_id="d"))


async def test_a_hint_is_sent_bare(
    provisioned: Topology, nats_client: Client, make_broker: MakeBroker
) -> None:
    """The middlewares would cost ten times what sending it costs."""
    broker = make_broker()
    await broker.start()
    subscription = await nats_client.subscribe(provisioned.subject(PurgeDocument))
    await flush(nats_client)
    command = PurgeDocument(tenant="acme", document_id="d")
    await Publisher(broker, provisioned).hint(command)
    message = await subscription.next_msg(timeout=30)
    assert PurgeDocument.decode(message.data) == command
    assert message.headers is None


async def test_a_message_without_a_stream_is_not_published(
    provisioned: Topology, make_broker: MakeBroker
) -> None:
    broker = make_broker()
    await broker.start()
    found = PassagesFound(query_id="q", passages=(), mode="hybrid")
    with pytest.raises(TypeError, match="reply"):
        await Publisher(broker, provisioned).publish(found, msg_id="one", gateway="g", query="q")


async def test_replies_reach_the_one_who_asked(
    provisioned: Topology, nats_client: Client, make_broker: MakeBroker
) -> None:
    broker = make_broker()
    await broker.start()
    found = PassagesFound(query_id="q", passages=(), mode="hybrid")
    subject = provisioned.subject(PassagesFound, gateway="g1", query="q")
    subscription = await nats_client.subscribe(subject)
    await flush(nats_client)
    await Publisher(broker, provisioned).reply(subject, found)
    message = await subscription.next_msg(timeout=5)
    assert PassagesFound.decode(message.data) == found


async def test_metrics_and_traces_name_patterns_and_one_trace_spans_the_stages(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    broker = make_broker()
    publisher = Publisher(broker, provisioned)

    async def handler(_: IngestDocument, __: Job) -> None:
        await publisher.publish(embed_chunks(), msg_id="batch", lane="bulk")

    consume(broker, provisioned, "ingest-bulk", IngestDocument, handler)
    await broker.start()
    await publisher.publish(ingest_document(), msg_id="doc", lane="bulk", tenant="secret-tenant")
    first = await jetstream.get_msg(provisioned.stream("INGEST"), 1)
    await drained(jetstream, provisioned.stream("INGEST"))
    second = await jetstream.get_msg(provisioned.stream("EMBED"), 1)

    labels = {
        value
        for family in broker.metrics.collect()
        for sample in family.samples
        for value in sample.labels.values()
    }
    assert provisioned.pattern(IngestDocument, lane="bulk") in labels
    assert provisioned.subject(EmbedChunks, lane="bulk") in labels
    assert not [label for label in labels if "secret-tenant" in label]
    assert first.headers is not None
    assert second.headers is not None
    trace_id = first.headers["traceparent"].split("-")[1]
    assert second.headers["traceparent"].split("-")[1] == trace_id


async def test_index_messages_do_not_share_their_limit(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    """A full upsert queue must not keep a delete from being published."""
    stream = await jetstream.stream_info(provisioned.stream("INDEX"))
    await jetstream.update_stream(stream.config.evolve(max_msgs_per_subject=1))
    broker = make_broker()
    await broker.start()
    publisher = Publisher(broker, provisioned)
    vectors = IndexChunks(
        document=embed_chunks().document, space="s", batch=0, numbers=(0,), dimension=1, vectors="AAAAAA=="
    )
    await publisher.publish(vectors, msg_id="1")
    with pytest.raises(Overloaded):
        await publisher.publish(vectors, msg_id="2")
    await publisher.publish(PurgeDocument(tenant="acme", document_id="d"), msg_id="3")
