"""The server's form of streams, buckets and consumers."""

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from rag_common.topology import BucketSpec, ConsumerSpec, KeyValueSpec, StreamSpec


def stream_config(spec: StreamSpec) -> StreamConfig:
    """The server's form of a stream."""
    return StreamConfig(
        name=spec.name,
        subjects=list(spec.subjects),
        retention=RetentionPolicy.WORK_QUEUE if spec.retention == "workqueue" else RetentionPolicy.LIMITS,
        storage=StorageType.MEMORY if spec.storage == "memory" else StorageType.FILE,
        max_age=spec.max_age or 0,
        duplicate_window=spec.duplicate_window,
        max_msgs=-1,
        max_bytes=-1,
        max_msgs_per_subject=spec.max_msgs_per_subject or -1,
        max_msg_size=spec.max_msg_size or -1,
        discard=DiscardPolicy.NEW if spec.refuse_when_full else DiscardPolicy.OLD,
        discard_new_per_subject=spec.refuse_when_full,
        num_replicas=spec.replicas,
        allow_direct=False,
    )


def bucket_config(spec: BucketSpec) -> StreamConfig:
    """The stream behind a bucket, as the ``nats`` command line and nats-py make it."""
    return StreamConfig(
        name=spec.stream,
        subjects=[f"$O.{spec.name}.C.>", f"$O.{spec.name}.M.>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=0,
        duplicate_window=120.0,
        max_msgs=-1,
        max_bytes=-1,
        max_msgs_per_subject=-1,
        max_msg_size=-1,
        discard=DiscardPolicy.NEW,
        discard_new_per_subject=False,
        num_replicas=spec.replicas,
        allow_rollup_hdrs=True,
        allow_direct=True,
    )


def key_value_config(spec: KeyValueSpec) -> StreamConfig:
    """The stream behind a key-value bucket, as the ``nats`` command line and nats-py make it.

    It differs in one thing: what is old makes room for what is new.
    """
    return StreamConfig(
        name=spec.stream,
        subjects=[spec.subject(">")],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.MEMORY,
        max_age=spec.max_age,
        duplicate_window=120.0,
        max_msgs=-1,
        max_bytes=spec.max_bytes,
        max_msgs_per_subject=1,
        max_msg_size=spec.max_value_bytes,
        discard=DiscardPolicy.OLD,
        discard_new_per_subject=False,
        num_replicas=spec.replicas,
        deny_delete=True,
        allow_rollup_hdrs=True,
        allow_direct=True,
        allow_msg_ttl=True,
    )


def consumer_config(spec: ConsumerSpec) -> ConsumerConfig:
    """The server's form of a consumer: pull, durable, explicit acks, delivered without end."""
    return ConsumerConfig(
        name=spec.name,
        durable_name=spec.name,
        filter_subject=spec.filter_subject,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=spec.ack_wait,
        max_ack_pending=spec.max_ack_pending,
        max_deliver=-1,
    )
