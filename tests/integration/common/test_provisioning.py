"""Provisioning is idempotent and reports drift; services only look."""

import nats.js.errors
import pytest
from common_support import MakeBroker
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

from rag_common.broker import Job, consume
from rag_common.contracts import EmbedChunks
from rag_common.errors import TransientError
from rag_common.provision import TopologyMismatch, provision, verify
from rag_common.testing import NatsServer
from rag_common.topology import Topology

ALL = [spec.name for spec in Topology().consumers]


async def handler(_: EmbedChunks, __: Job) -> None:
    return None


async def test_everything_is_created_once(topology: Topology, jetstream: JetStreamContext) -> None:
    drifts = await provision(jetstream, topology)
    buckets = len(topology.buckets) + len(topology.key_values)
    assert len(drifts) == len(topology.streams) + buckets + len(topology.consumers)
    assert all(drift.field is None and drift.fixed for drift in drifts)
    assert await provision(jetstream, topology) == ()
    await verify(jetstream, topology, ALL)


async def test_a_dry_run_reports_and_creates_nothing(topology: Topology, jetstream: JetStreamContext) -> None:
    drifts = await provision(jetstream, topology, dry_run=True)
    assert f"stream {topology.stream('EMBED')}: missing" in map(str, drifts)
    assert not any(drift.fixed for drift in drifts)
    with pytest.raises(nats.js.errors.NotFoundError):
        await jetstream.stream_info(topology.stream("EMBED"))


async def test_drift_is_reported_and_mended(provisioned: Topology, jetstream: JetStreamContext) -> None:
    stream = (await jetstream.stream_info(provisioned.stream("EMBED"))).config
    await jetstream.update_stream(stream.evolve(max_msgs_per_subject=7, description="mine"))
    consumer = (await jetstream.consumer_info(provisioned.stream("EMBED"), "embedder-bulk")).config
    await jetstream.add_consumer(provisioned.stream("EMBED"), consumer.evolve(ack_wait=1.0))

    planned = await provision(jetstream, provisioned, dry_run=True)
    assert {(drift.name, drift.field, drift.found, drift.fixed) for drift in planned} == {
        (provisioned.stream("EMBED"), "max_msgs_per_subject", 7, False),
        ("embedder-bulk", "ack_wait", 1.0, False),
    }
    done = await provision(jetstream, provisioned)
    assert all(drift.fixed for drift in done)
    assert "should be 30.0; changed" in str(done[1])
    assert await provision(jetstream, provisioned) == ()
    # What the topology says nothing about stays as the operator left it.
    assert (await jetstream.stream_info(provisioned.stream("EMBED"))).config.description == "mine"


async def test_what_cannot_be_changed_is_reported_with_the_way_out(
    topology: Topology, jetstream: JetStreamContext
) -> None:
    subjects = [f"{topology.namespace}.query.>"]
    wrong = StreamConfig(
        name=topology.stream("QUERY"),
        subjects=subjects,
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
    )
    await jetstream.add_stream(wrong)
    drifts = await provision(jetstream, topology)
    storage = next(drift for drift in drifts if drift.field == "storage")
    assert (storage.changeable, storage.fixed) == (False, False)
    assert str(storage).endswith("is 'file' and should be 'memory'; cannot be changed, delete it first")
    # The rest of the same stream was mended all the same.
    found = (await jetstream.stream_info(topology.stream("QUERY"))).config
    assert found.discard_new_per_subject
    with pytest.raises(TopologyMismatch, match="storage"):
        await verify(jetstream, topology, ["retriever-query"])


async def test_replicas_on_a_single_server_are_refused_clearly(
    topology: Topology, jetstream: JetStreamContext
) -> None:
    with pytest.raises(TopologyMismatch, match="replicas"):
        await provision(jetstream, Topology(topology.namespace, replicas=3))


async def test_verify_names_what_is_missing_and_the_cure(
    provisioned: Topology, jetstream: JetStreamContext
) -> None:
    await jetstream.delete_consumer(provisioned.stream("EMBED"), "embedder-bulk")
    with pytest.raises(TopologyMismatch, match=r"consumer embedder-bulk: missing.*ragp provision"):
        await verify(jetstream, provisioned, ["embedder-interactive", "embedder-bulk"])
    await verify(jetstream, provisioned, ["embedder-interactive"])


async def test_verify_names_what_differs(provisioned: Topology, jetstream: JetStreamContext) -> None:
    stream = provisioned.stream("EMBED")
    await jetstream.delete_consumer(stream, "embedder-bulk")
    # What the client library creates when a consumer is missing.
    default = ConsumerConfig(
        durable_name="embedder-bulk", filter_subject=f"{provisioned.namespace}.embed.bulk"
    )
    await jetstream.add_consumer(stream, default)
    with pytest.raises(TopologyMismatch, match="max_ack_pending is 1000 and should be 2000"):
        await verify(jetstream, provisioned, ["embedder-bulk"])


async def test_a_broker_creates_no_consumer(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    await jetstream.delete_consumer(provisioned.stream("EMBED"), "embedder-bulk")
    broker = make_broker()
    consume(broker, provisioned, "embedder-bulk", EmbedChunks, handler)
    with pytest.raises(nats.js.errors.NotFoundError):
        await broker.start()
    with pytest.raises(nats.js.errors.NotFoundError):
        await jetstream.consumer_info(provisioned.stream("EMBED"), "embedder-bulk")


async def test_a_broker_leaves_a_consumer_as_it_is(
    provisioned: Topology, jetstream: JetStreamContext, make_broker: MakeBroker
) -> None:
    before = (await jetstream.consumer_info(provisioned.stream("EMBED"), "embedder-bulk")).config
    broker = make_broker()
    consume(broker, provisioned, "embedder-bulk", EmbedChunks, handler)
    await broker.start()
    await broker.stop()
    assert (await jetstream.consumer_info(provisioned.stream("EMBED"), "embedder-bulk")).config == before


async def test_without_jetstream_verifying_is_a_transient_error(
    topology: Topology, make_broker: MakeBroker
) -> None:
    broker = make_broker()
    with pytest.raises(TransientError):
        broker.jetstream()
    with NatsServer() as server:
        other = make_broker(url=server.url)
        await other.connect()
        jetstream = other.connection.jetstream(timeout=0.2)
    with pytest.raises(TransientError):
        await verify(jetstream, topology, ["embedder-bulk"])
