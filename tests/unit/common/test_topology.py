import pytest
from hypothesis import given
from hypothesis import strategies as st

import rag_common.contracts as contracts
from rag_common.contracts import (
    MAX_MESSAGE_BYTES,
    TENANT_PATTERN,
    DeadLetter,
    EmbedChunks,
    IngestDocument,
    Message,
    PassagesFound,
)
from rag_common.server_configs import bucket_config, consumer_config, stream_config
from rag_common.topology import Topology

TOPOLOGY = Topology("lab")
tokens = st.from_regex(TENANT_PATTERN, fullmatch=True)


def covers(pattern: str, subject: str) -> bool:
    """Whether a stream or consumer with this pattern gets the subject."""
    if pattern.endswith(".>"):
        return subject.startswith(pattern[:-1])
    pairs = list(zip(pattern.split("."), subject.split("."), strict=False))
    same_length = pattern.count(".") == subject.count(".")
    return same_length and all(wanted in ("*", token) for wanted, token in pairs)


def test_names_begin_with_the_namespace() -> None:
    assert TOPOLOGY.stream("EMBED") == "LAB_EMBED"
    assert TOPOLOGY.bucket("documents") == "lab-documents"
    assert TOPOLOGY.subject(EmbedChunks, lane="bulk") == "lab.embed.bulk"
    assert TOPOLOGY.pattern(IngestDocument, lane="bulk") == "lab.ingest.bulk.*"
    assert TOPOLOGY.pattern(PassagesFound) == "lab.reply.*.*"
    assert all(spec.name.startswith("LAB_") for spec in TOPOLOGY.streams)
    assert all(subject.startswith("lab.") for spec in TOPOLOGY.streams for subject in spec.subjects)


@pytest.mark.parametrize("token", ["", "a.b", "*", ">", "a b", "a\n"])
def test_a_token_that_would_change_the_subject_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="not one token"):
        TOPOLOGY.subject(IngestDocument, lane="bulk", tenant=token)


def test_a_missing_token_is_named() -> None:
    with pytest.raises(ValueError, match="tenant"):
        TOPOLOGY.subject(IngestDocument, lane="bulk")


def test_a_tenant_that_is_not_a_token_is_refused() -> None:
    with pytest.raises(ValueError, match="not a tenant id"):
        Topology(tenants=("Ac.me",))


@pytest.mark.parametrize(
    "message",
    [value for value in vars(contracts).values() if isinstance(value, type) and issubclass(value, Message)],
    ids=lambda message: message.__name__,
)
def test_every_message_of_a_stream_is_taken_by_it_and_by_one_consumer(message: type[Message]) -> None:
    if message is Message or message.stream is None:
        return
    stream = next(spec for spec in TOPOLOGY.streams if spec.name == TOPOLOGY.stream(message.stream or ""))
    subject = TOPOLOGY.pattern(message, lane="bulk").replace("*", "x")
    assert sum(covers(pattern, subject) for pattern in stream.subjects) == 1
    if message.stream != "EVENTS":
        filters = [spec.filter_subject for spec in TOPOLOGY.consumers if spec.stream == stream.name]
        assert sum(covers(pattern, subject) for pattern in filters) == 1


def test_no_two_consumers_of_a_work_queue_overlap() -> None:
    """The server would refuse the second one."""
    filters = [spec.filter_subject for spec in TOPOLOGY.consumers]
    assert len(filters) == len(set(filters))


def test_work_queues_refuse_per_subject_and_never_drop() -> None:
    for spec in TOPOLOGY.streams:
        if spec.retention == "workqueue":
            config = stream_config(spec)
            assert config.discard_new_per_subject
            assert config.max_msgs_per_subject > 0
            # A total would let one subject use up the room of another.
            assert (config.max_msgs, config.max_bytes) == (-1, -1)


def test_limits() -> None:
    streams = {spec.name: spec for spec in TOPOLOGY.streams}
    assert (streams["LAB_INGEST"].max_msgs_per_subject or 0) >= 100_000
    assert streams["LAB_INGEST"].duplicate_window == 0.1
    assert streams["LAB_EVENTS"].max_age == 7 * 86400
    assert streams["LAB_DLQ"].max_age == 30 * 86400
    assert streams["LAB_QUERY"].storage == "memory"
    for spec in streams.values():
        assert spec.max_msg_size is None or spec.max_msg_size > MAX_MESSAGE_BYTES


def test_consumers_deliver_without_end_and_leave_the_limit_to_us() -> None:
    for spec in TOPOLOGY.consumers:
        config = consumer_config(spec)
        assert config.max_deliver == -1
        assert spec.max_attempts >= 1
        TOPOLOGY.subject(DeadLetter, stage=spec.stage)


def test_replicas_apply_to_streams_and_buckets() -> None:
    topology = Topology(replicas=3)
    assert {stream_config(spec).num_replicas for spec in topology.streams} == {3}
    assert {bucket_config(spec).num_replicas for spec in topology.buckets} == {3}


def test_each_tenant_has_a_drop_bucket() -> None:
    names = [spec.name for spec in Topology("lab", tenants=("acme", "other")).buckets]
    assert names == ["lab-documents", "lab-drop-acme", "lab-drop-other"]


def test_a_consumer_can_be_changed_for_one_topology() -> None:
    changed = TOPOLOGY.with_consumer("embedder-bulk", ack_wait=1.0)
    assert changed.consumer("embedder-bulk").ack_wait == 1.0
    assert TOPOLOGY.consumer("embedder-bulk").ack_wait == 30.0
    assert changed.stream("X") == TOPOLOGY.stream("X")
    with pytest.raises(KeyError):
        TOPOLOGY.with_consumer("nobody", ack_wait=1.0)


@given(lane=st.sampled_from(["interactive", "bulk"]), tenant=tokens)
def test_lane_and_tenant_are_read_back_from_the_subject(lane: str, tenant: str) -> None:
    subject = TOPOLOGY.subject(IngestDocument, lane=lane, tenant=tenant)
    assert TOPOLOGY.fields(subject) == {"lane": lane, "tenant": tenant}


@given(tenant=tokens, gateway=tokens, query=tokens)
def test_labels_hold_no_ids(tenant: str, gateway: str, query: str) -> None:
    ingest = TOPOLOGY.subject(IngestDocument, lane="bulk", tenant=tenant)
    assert TOPOLOGY.label(ingest) == "lab.ingest.bulk.*"
    assert TOPOLOGY.label(TOPOLOGY.subject(PassagesFound, gateway=gateway, query=query)) == "lab.reply.*.*"
    assert TOPOLOGY.label(f"_INBOX_{gateway}.{query}") == f"_INBOX_{gateway}.>"
    assert TOPOLOGY.label("lab.embed.bulk") == "lab.embed.bulk"
    assert TOPOLOGY.label("lab.cancel.q1") == "lab.cancel.*"
