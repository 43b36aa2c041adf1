"""What each NATS user may publish and subscribe to.

Only the operator may create, change, delete or purge streams and consumers. The exceptions: the gateway
reads EVENTS through an ephemeral consumer, and those who delete objects purge chunks from the buckets.
Each role has inboxes of its own (``inbox_prefix``), so that none can listen to the jobs another one pulls.
"""

from collections.abc import Iterable
from typing import Literal, TypedDict

from rag_common.contracts import (
    AnswerOpened,
    CancelQuery,
    DescribeGenerator,
    DocumentEvent,
    EmbedChunks,
    EmbedQuery,
    GenerateAnswer,
    IndexChunks,
    IngestDocument,
    PassagesFound,
    PurgeDocument,
    RerankPassages,
    RetrievePassages,
    RewriteQuestion,
    UpdateIndexedDocument,
)
from rag_common.topology import KeyValueSpec, Topology

Role = Literal["gateway", "ingest", "embedder", "retriever", "generator", "producer", "operator"]

_API = "$JS.API"


class Allowed(TypedDict):
    allow: list[str]


class AllowedReplies(TypedDict):
    max: int
    expires: str


class Permissions(TypedDict, total=False):
    """The ``permissions`` block of a user in the configuration of nats-server."""

    publish: Allowed
    subscribe: Allowed
    allow_responses: AllowedReplies


_ONE_RESPONSE: AllowedReplies = {"max": 1, "expires": "30s"}
"""Whoever is asked answers to the inbox of whoever asks, once."""


def inbox_prefix(role: str, tenant: str | None = None) -> str:
    """The prefix of a role's reply subjects; a producer's is that of its tenant."""
    return f"_INBOX_{role}" if tenant is None else f"_INBOX_{role}_{tenant}"


def permissions(topology: Topology, role: Role, *, tenant: str | None = None) -> Permissions:
    """The allow lists of a role; everything else is denied.

    :raises ValueError: a producer without a tenant.
    """
    if role == "operator":
        return {"publish": {"allow": [">"]}, "subscribe": {"allow": [">"]}}
    if role == "producer":
        if tenant is None:
            raise ValueError("a producer belongs to a tenant")
        return _producer(topology, tenant)
    return _SERVICES[role](topology)


def _producer(topology: Topology, tenant: str) -> Permissions:
    bucket = topology.bucket(f"drop-{tenant}")
    publish = [topology.subject(IngestDocument, lane="bulk", tenant=tenant), *_write(bucket)]
    return _allow(publish, [], inbox=inbox_prefix("producer", tenant))


def _gateway(topology: Topology) -> Permissions:
    events = topology.stream("EVENTS")
    documents = topology.bucket("documents")
    publish = [
        topology.pattern(IngestDocument),
        topology.subject(UpdateIndexedDocument),
        topology.subject(PurgeDocument),
        topology.subject(RetrievePassages),
        topology.subject(EmbedQuery),
        topology.subject(DescribeGenerator),
        topology.subject(DocumentEvent),
        topology.pattern(CancelQuery),
        # The generator asks whether its answer is wanted. A right to respond would be one to publish to
        # whatever subject whoever asks names.
        f"{inbox_prefix('generator')}.>",
        f"{_API}.CONSUMER.CREATE.{events}",
        f"{_API}.CONSUMER.CREATE.{events}.>",
        f"{_API}.CONSUMER.DELETE.{events}.*",
        f"{_API}.CONSUMER.INFO.{events}.*",
        f"{_API}.CONSUMER.MSG.NEXT.{events}.*",
        f"{_API}.STREAM.INFO.{events}",
        f"$JS.FC.{events}.>",
        *_acks(events, "*"),
        *_consume(topology, "dead-letters"),
        *_write(documents),
        *_read(documents),
        *_purge(documents),
        *_remember(topology.key_value("answers")),
        *_stream_infos(topology),
        # The reconciler asks each stage for its oldest message.
        *(f"{_API}.STREAM.MSG.GET.{topology.stream(stage)}" for stage in ("INGEST", "EMBED", "INDEX")),
    ]
    return _allow(publish, [topology.pattern(PassagesFound)], inbox=inbox_prefix("gateway"))


def _ingest(topology: Topology) -> Permissions:
    documents = topology.bucket("documents")
    publish = [
        topology.pattern(EmbedChunks),
        topology.subject(UpdateIndexedDocument),
        topology.subject(PurgeDocument),
        topology.subject(DocumentEvent),
        _dead_letters(topology, "ingest"),
        *_consume(topology, "ingest-interactive", "ingest-bulk"),
        *_write(documents),
        *_read(documents),
        *_purge(documents),
    ]
    for tenant in topology.tenants:
        bucket = topology.bucket(f"drop-{tenant}")
        publish += [*_write(bucket), *_read(bucket), *_purge(bucket)]
    return _allow(publish, [], inbox=inbox_prefix("ingest"))


def _embedder(topology: Topology) -> Permissions:
    publish = [
        topology.subject(IndexChunks),
        _dead_letters(topology, "embed"),
        *_consume(topology, "embedder-interactive", "embedder-bulk"),
    ]
    questions = [topology.subject(EmbedQuery), topology.subject(RerankPassages)]
    allowed = _allow(publish, questions, inbox=inbox_prefix("embedder"))
    return {**allowed, "allow_responses": _ONE_RESPONSE}


def _retriever(topology: Topology) -> Permissions:
    publish = [
        topology.subject(GenerateAnswer),
        topology.subject(EmbedQuery),
        topology.subject(RerankPassages),
        topology.subject(RewriteQuestion),
        topology.subject(PurgeDocument),
        topology.subject(DocumentEvent),
        topology.pattern(PassagesFound),
        _dead_letters(topology, "index"),
        _dead_letters(topology, "retrieve"),
        *_consume(topology, "retriever-upsert", "retriever-update", "retriever-delete", "retriever-query"),
        *_delete(topology.bucket("documents")),
    ]
    return _allow(publish, [topology.pattern(CancelQuery)], inbox=inbox_prefix("retriever"))


def _generator(topology: Topology) -> Permissions:
    publish = [
        topology.pattern(AnswerOpened),
        topology.subject(EmbedQuery),
        _dead_letters(topology, "generate"),
        *_consume(topology, "generator"),
    ]
    subscribe = [
        topology.pattern(CancelQuery),
        topology.subject(RewriteQuestion),
        topology.subject(DescribeGenerator),
    ]
    allowed = _allow(publish, subscribe, inbox=inbox_prefix("generator"))
    return {**allowed, "allow_responses": _ONE_RESPONSE}


_SERVICES = {
    "gateway": _gateway,
    "ingest": _ingest,
    "embedder": _embedder,
    "retriever": _retriever,
    "generator": _generator,
}


def _allow(publish: Iterable[str], subscribe: Iterable[str], *, inbox: str) -> Permissions:
    return {
        "publish": {"allow": sorted(set(publish))},
        "subscribe": {"allow": sorted({*subscribe, f"{inbox}.>"})},
    }


def _dead_letters(topology: Topology, stage: str) -> str:
    return f"{topology.namespace}.dlq.{stage}"


def _consume(topology: Topology, *consumers: str) -> Iterable[str]:
    for name in consumers:
        stream = topology.consumer(name).stream
        yield f"{_API}.STREAM.INFO.{stream}"
        yield f"{_API}.CONSUMER.INFO.{stream}.{name}"
        yield f"{_API}.CONSUMER.MSG.NEXT.{stream}.{name}"
        yield from _acks(stream, name)


def _acks(stream: str, consumer: str) -> Iterable[str]:
    yield f"$JS.ACK.{stream}.{consumer}.>"
    # The form of servers that put the domain and the account into the subject.
    yield f"$JS.ACK.*.*.{stream}.{consumer}.>"


def _stream_infos(topology: Topology) -> Iterable[str]:
    """Queue depths, for back-pressure and for the reconciler."""
    return (f"{_API}.STREAM.INFO.{spec.name}" for spec in topology.streams)


def _write(bucket: str) -> Iterable[str]:
    stream = f"OBJ_{bucket}"
    yield f"$O.{bucket}.>"
    yield f"{_API}.STREAM.INFO.{stream}"
    # Before an object is written its name is looked up.
    yield f"{_API}.STREAM.MSG.GET.{stream}"


def _read(bucket: str) -> Iterable[str]:
    stream = f"OBJ_{bucket}"
    yield f"{_API}.DIRECT.GET.{stream}"
    yield f"{_API}.DIRECT.GET.{stream}.>"


def _remember(bucket: KeyValueSpec) -> Iterable[str]:
    """Writing values and reading them by their keys."""
    yield bucket.subject(">")
    yield f"{_API}.DIRECT.GET.{bucket.stream}.{bucket.subject('>')}"
    yield f"{_API}.STREAM.INFO.{bucket.stream}"


def _delete(bucket: str) -> Iterable[str]:
    """Removing objects without writing any: their metadata is looked up, then everything is purged."""
    yield f"{_API}.STREAM.MSG.GET.OBJ_{bucket}"
    yield from _purge(bucket)


def _purge(bucket: str) -> Iterable[str]:
    yield f"{_API}.STREAM.PURGE.OBJ_{bucket}"
