"""Streams, consumers and buckets as plain data; ``ragp provision`` alone creates them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypedDict, Unpack

from rag_common.contracts import TENANT_PATTERN, Message

Retention = Literal["workqueue", "limits"]
Storage = Literal["file", "memory"]

DAY = 24 * 3600.0
_TOKEN = re.compile(r"[^\s.*>]+")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_LABEL_TOKENS = {
    "ingest": 2,
    "embed": 2,
    "index": 2,
    "query": 2,
    "event": 2,
    "dlq": 2,
    "rerank": 2,
    "rewrite": 2,
    "generator": 2,
    "reply": 1,
    "cancel": 1,
}
"""How many tokens after the namespace a metric label keeps: the others hold ids."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream. Durations are in seconds; ``None`` means unlimited.

    With ``max_msgs_per_subject`` and ``refuse_when_full`` a full subject refuses new messages
    while the other subjects of the stream go on.
    """

    name: str
    subjects: tuple[str, ...]
    retention: Retention
    storage: Storage = "file"
    max_age: float | None = None
    duplicate_window: float = 120.0
    max_msgs_per_subject: int | None = None
    max_msg_size: int | None = None
    refuse_when_full: bool = True
    replicas: int = 1


class ConsumerOverrides(TypedDict, total=False):
    """What :meth:`Topology.with_consumer` can change."""

    ack_wait: float
    max_ack_pending: int
    max_attempts: int


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """One durable pull consumer with explicit acks and ``max_deliver=-1``.

    ``max_attempts`` is ours, not the server's: a delivery beyond it is dead-lettered, because a
    message that the server gives up on would stay in its work queue for ever. ``stage`` names
    the dead-letter subject and the stage of a failed document.
    """

    name: str
    stream: str
    filter_subject: str
    stage: str
    ack_wait: float = 30.0
    max_ack_pending: int = 2000
    max_attempts: int = 5


@dataclass(frozen=True, slots=True)
class BucketSpec:
    """One object-store bucket; ``stream`` is the stream that holds it."""

    name: str
    replicas: int = 1

    @property
    def stream(self) -> str:
        return f"OBJ_{self.name}"


@dataclass(frozen=True, slots=True)
class KeyValueSpec:
    """One key-value bucket in memory that forgets: one value per key, the oldest go first.

    ``max_age`` is in seconds; a value may be given a shorter life. ``max_bytes`` bounds all values together,
    ``max_value_bytes`` one of them. ``stream`` is the stream that holds the bucket.
    """

    name: str
    max_age: float
    max_bytes: int
    max_value_bytes: int
    replicas: int = 1

    @property
    def stream(self) -> str:
        return f"KV_{self.name}"

    def subject(self, key: str) -> str:
        """Where a value is stored; ``>`` for those of all keys."""
        return f"$KV.{self.name}.{key}"


# The short names of streams, subjects and buckets here; a Topology puts the namespace in front.
_STREAMS = (
    # 200,000 leaves room for a drop of 100,000 files behind another one. The server counts headers
    # into the message size: 1 MiB admits every inline drop and keeps its dead letter, in base64,
    # below the server's max_payload of 4 MiB.
    StreamSpec(
        "INGEST",
        ("ingest.interactive.*", "ingest.bulk.*"),
        "workqueue",
        duplicate_window=0.1,
        max_msgs_per_subject=200_000,
        max_msg_size=1024 * 1024,
    ),
    # 10,000 messages of at most 512 KiB bound the disk; ingest holds when the lane is full.
    StreamSpec(
        "EMBED",
        ("embed.interactive", "embed.bulk"),
        "workqueue",
        max_msgs_per_subject=10_000,
        max_msg_size=1024 * 1024,
    ),
    StreamSpec(
        "INDEX",
        ("index.upsert", "index.update", "index.delete"),
        "workqueue",
        max_msgs_per_subject=10_000,
        max_msg_size=1024 * 1024,
    ),
    # Queries carry a deadline; five minutes is above the longest, so nothing stale stays behind.
    StreamSpec(
        "QUERY",
        ("query.retrieve", "query.generate"),
        "workqueue",
        storage="memory",
        max_age=300.0,
        max_msgs_per_subject=2_000,
        max_msg_size=1024 * 1024,
    ),
    StreamSpec(
        "EVENTS",
        ("event.>",),
        "limits",
        max_age=7 * DAY,
        max_msgs_per_subject=1_000_000,
        refuse_when_full=False,
    ),
    # A full dead-letter subject holds its lane: a job is never acked before its dead letter is stored.
    StreamSpec("DLQ", ("dlq.*",), "limits", max_age=30 * DAY, max_msgs_per_subject=1_000_000),
)

_KEY_VALUES = (
    # Answers that were given before. A typical one takes 10 to 20 KB, most of it passages.
    KeyValueSpec("answers", max_age=3600.0, max_bytes=64 * 1024 * 1024, max_value_bytes=256 * 1024),
)

_CONSUMERS = (
    ConsumerSpec("ingest-interactive", "INGEST", "ingest.interactive.*", "ingest"),
    ConsumerSpec("ingest-bulk", "INGEST", "ingest.bulk.*", "ingest"),
    ConsumerSpec("embedder-interactive", "EMBED", "embed.interactive", "embed"),
    ConsumerSpec("embedder-bulk", "EMBED", "embed.bulk", "embed"),
    ConsumerSpec("retriever-upsert", "INDEX", "index.upsert", "index"),
    ConsumerSpec("retriever-update", "INDEX", "index.update", "index"),
    ConsumerSpec("retriever-delete", "INDEX", "index.delete", "index"),
    # Somebody is waiting for a query: a killed worker's must come back within its deadline.
    ConsumerSpec("retriever-query", "QUERY", "query.retrieve", "retrieve", ack_wait=5.0, max_attempts=3),
    ConsumerSpec("generator", "QUERY", "query.generate", "generate", ack_wait=10.0, max_attempts=3),
    ConsumerSpec("dead-letters", "DLQ", "dlq.*", "dead-letters"),
)


@dataclass(frozen=True)
class Topology:
    """Everything that exists on NATS for one installation, with full names.

    ``replicas`` is 1 on one node and 3 in a cluster. Each tenant that may drop documents
    straight onto the queue has a drop bucket.
    """

    namespace: str = "rag"
    replicas: int = 1
    tenants: tuple[str, ...] = ("default",)
    streams: tuple[StreamSpec, ...] = field(init=False)
    consumers: tuple[ConsumerSpec, ...] = field(init=False)
    buckets: tuple[BucketSpec, ...] = field(init=False)
    key_values: tuple[KeyValueSpec, ...] = field(init=False)

    def __post_init__(self) -> None:
        for tenant in self.tenants:
            if not re.fullmatch(TENANT_PATTERN, tenant):
                raise ValueError(f"not a tenant id: {tenant!r}")
        names = ("documents", *(f"drop-{tenant}" for tenant in self.tenants))
        self._set(
            streams=tuple(
                replace(
                    spec,
                    name=self.stream(spec.name),
                    subjects=tuple(self._full(subject) for subject in spec.subjects),
                    replicas=self.replicas,
                )
                for spec in _STREAMS
            ),
            consumers=tuple(
                replace(spec, stream=self.stream(spec.stream), filter_subject=self._full(spec.filter_subject))
                for spec in _CONSUMERS
            ),
            buckets=tuple(BucketSpec(self.bucket(name), self.replicas) for name in names),
            key_values=tuple(
                replace(spec, name=self.bucket(spec.name), replicas=self.replicas) for spec in _KEY_VALUES
            ),
        )

    def _set(self, **values: Sequence[object]) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _full(self, subject: str) -> str:
        return f"{self.namespace}.{subject}"

    def stream(self, name: str) -> str:
        """``EMBED`` → ``RAG_EMBED``."""
        return f"{self.namespace.upper()}_{name}"

    def bucket(self, name: str) -> str:
        """``documents`` → ``rag-documents``."""
        return f"{self.namespace}-{name}"

    def subject(self, message: type[Message], **tokens: str) -> str:
        """The subject of one message.

        :raises ValueError: a token is missing, or is not one subject token.
        """
        for name, token in tokens.items():
            if not _TOKEN.fullmatch(token):
                raise ValueError(f"{name}={token!r} is not one token of a subject")
        missing = set(_PLACEHOLDER.findall(message.subject)) - tokens.keys()
        if missing:
            raise ValueError(f"the subject {message.subject} also takes {', '.join(sorted(missing))}")
        return self._full(message.subject.format(**tokens))

    def pattern(self, message: type[Message], **tokens: str) -> str:
        """Like :meth:`subject`, with ``*`` for each token that is not given."""
        names = _PLACEHOLDER.findall(message.subject)
        return self._full(message.subject.format(**dict.fromkeys(names, "*") | tokens))

    def consumer(self, name: str) -> ConsumerSpec:
        """:raises KeyError: there is no such consumer."""
        for spec in self.consumers:
            if spec.name == name:
                return spec
        raise KeyError(f"no consumer named {name!r}")

    def key_value(self, name: str) -> KeyValueSpec:
        """``answers`` → its bucket. :raises KeyError: there is no such bucket."""
        for spec in self.key_values:
            if spec.name == self.bucket(name):
                return spec
        raise KeyError(f"no key-value bucket named {name!r}")

    def with_consumer(self, name: str, **changes: Unpack[ConsumerOverrides]) -> "Topology":
        """A copy in which one consumer differs; both provisioning and consuming must use it."""
        changed = replace(self.consumer(name), **changes)
        copy = replace(self)
        copy._set(consumers=tuple(changed if spec.name == name else spec for spec in self.consumers))
        return copy

    def label(self, subject: str) -> str:
        """The subject without ids, for metric labels and span names."""
        prefix = self.namespace + "."
        if not subject.startswith(prefix):
            return subject.split(".", 1)[0] + ".>"
        tokens = subject[len(prefix) :].split(".")
        kept = _LABEL_TOKENS.get(tokens[0], 1)
        return ".".join([self.namespace, *tokens[:kept], *("*" for _ in tokens[kept:])])

    def fields(self, subject: str) -> dict[str, str]:
        """The ``lane`` and ``tenant`` that a received subject names, where it does."""
        tokens = subject[len(self.namespace) + 1 :].split(".")
        if tokens[0] == "ingest" and len(tokens) == 3:
            return {"lane": tokens[1], "tenant": tokens[2]}
        return {"lane": tokens[1]} if tokens[0] == "embed" and len(tokens) == 2 else {}
