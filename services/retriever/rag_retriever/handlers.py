"""Messages in, use case, messages out: translation only."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from rag_common.broker import Handler, Job, MessageTooLarge
from rag_common.contracts import (
    IndexChunks,
    Message,
    PassagesFound,
    PurgeDocument,
    QueryFailed,
    RetrievePassages,
    UpdateIndexedDocument,
)
from rag_common.errors import PermanentError, TransientError
from rag_retriever.domain.indexing import IndexBatch
from rag_retriever.domain.maintenance import Purge, RemoveOrphans, UpdateDocument
from rag_retriever.domain.search import DeadlinePassed, Search
from rag_retriever.domain.shortening import shortened

Reply = Callable[[str, Message], Awaitable[None]]
"""Answers on a reply subject. Raises :class:`MessageTooLarge`, or ``TransientError`` while NATS is away."""


class QueryMetrics:
    """What the queries of this process came to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.expired = Counter(
            "rag_queries_expired", "Queries dropped because their deadline had passed.", registry=registry
        )
        self.degraded = Counter(
            "rag_queries_degraded", "Queries answered without a leg or the reranker.", registry=registry
        )
        self.stages = Histogram(
            "rag_query_stage_seconds",
            "Time that a query spends in each stage.",
            ["stage"],
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
            registry=registry,
        )


def upsert_handler(index_batch: IndexBatch) -> Handler[IndexChunks]:
    """A batch of vectors comes from the embedder."""

    async def handle(message: IndexChunks, job: Job) -> None:
        await index_batch(message, run=str(job.sequence))

    return handle


def update_handler(update_document: UpdateDocument) -> Handler[UpdateIndexedDocument]:
    """A document's ACL or metadata has changed."""

    async def handle(message: UpdateIndexedDocument, _: Job) -> None:
        await update_document(message.tenant, message.document_id)

    return handle


def delete_handler(purge: Purge[Any], remove_orphans: RemoveOrphans) -> Handler[PurgeDocument]:
    """Something has to leave the index; a command without a document asks for the orphans."""

    async def handle(message: PurgeDocument, _: Job) -> None:
        if message.tenant is None or message.document_id is None:
            await remove_orphans()
        else:
            await purge(message.tenant, message.document_id, message.generations)

    return handle


def query_handler(search: Search, reply: Reply, metrics: QueryMetrics) -> Handler[RetrievePassages]:
    """Somebody waits for passages: whatever is final is answered, also a failure."""

    async def handle(query: RetrievePassages, job: Job) -> None:
        queued = max(0.0, time.time() - job.time_ns / 1e9)
        try:
            found = await search(query)
        except DeadlinePassed:
            metrics.expired.inc()
            return
        except TransientError:
            raise
        except PermanentError as error:
            await reply(query.reply_to, _failure(query, error.code, error.message))
            return
        except Exception:
            await reply(query.reply_to, _failure(query, "internal_error", "the query could not be answered"))
            raise
        timings = {"queue": round(queued * 1000, 3), **found.timings_ms}
        for stage, milliseconds in timings.items():
            metrics.stages.labels(stage).observe(milliseconds / 1000)
        if found.degraded:
            metrics.degraded.inc()
        await _answer(reply, query, found.model_copy(update={"timings_ms": timings}))

    return handle


async def _answer(reply: Reply, query: RetrievePassages, found: PassagesFound) -> None:
    """What is too large for one message is shortened, and refused if that does not help."""
    try:
        await reply(query.reply_to, found)
    except MessageTooLarge:
        try:
            await reply(query.reply_to, shortened(found))
        except PermanentError as error:
            await reply(query.reply_to, _failure(query, error.code, error.message))


def _failure(query: RetrievePassages, code: str, message: str) -> QueryFailed:
    return QueryFailed(query_id=query.query_id, code=code, message=message)
