"""Messages in, use case, messages out: translation only."""

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram

from rag_common.broker import Handler, Job, MessageTooLarge
from rag_common.contracts import (
    GenerateAnswer,
    IndexChunks,
    Message,
    PassagesFound,
    PurgeDocument,
    QueryFailed,
    RetrievePassages,
    RewriteQuestion,
    UpdateIndexedDocument,
)
from rag_common.errors import PermanentError, TransientError
from rag_retriever.domain.deadlines import DeadlinePassed, until
from rag_retriever.domain.forwarding import command, fitting
from rag_retriever.domain.indexing import IndexBatch
from rag_retriever.domain.maintenance import Purge, RemoveOrphans, UpdateDocument
from rag_retriever.domain.search import Search
from rag_retriever.domain.shortening import shortened
from rag_retriever.domain.standalone import StandaloneQuestion
from rag_retriever.domain.timings import Timings

Run = Callable[[str, Coroutine[Any, Any, None]], Awaitable[bool]]
"""Runs what is done for a query; ``False``: the query was cancelled, before or meanwhile."""


class QueryOutbox(Protocol):
    """Both raise :class:`MessageTooLarge`, or ``TransientError`` while NATS is away."""

    async def reply(self, reply_to: str, message: Message) -> None:
        """Answer on a reply subject."""

    async def publish(self, message: Message, *, msg_id: str, **tokens: str) -> None:
        """Store a message in its stream; waits while there is no room."""


class QueryMetrics:
    """What the queries of this process came to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.expired = Counter(
            "rag_queries_expired", "Queries dropped because their deadline had passed.", registry=registry
        )
        self.degraded = Counter(
            "rag_queries_degraded", "Queries answered without a leg or the reranker.", registry=registry
        )
        self.cancelled = Counter(
            "rag_queries_cancelled", "Queries dropped because their client has left.", registry=registry
        )
        self.rewritten = Counter(
            "rag_questions_rewritten",
            "Questions of conversations, by what made them standalone: model, words, or nobody.",
            ["by"],
            registry=registry,
        )
        self.stages = Histogram(
            "rag_query_stage_seconds",
            "Time that a query spends in each stage.",
            ["stage"],
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
            registry=registry,
        )

    def observe(self, found: PassagesFound, timings_ms: Mapping[str, float]) -> None:
        """A search that has come to its end."""
        for stage, milliseconds in timings_ms.items():
            self.stages.labels(stage).observe(milliseconds / 1000)
        if found.degraded:
            self.degraded.inc()


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


def unless_cancelled(
    run: Run, handle: Callable[[RetrievePassages, Job], Coroutine[Any, Any, None]], metrics: QueryMetrics
) -> Handler[RetrievePassages]:
    """A query that nobody waits for any more is not begun, or ended, and is done with."""

    async def begin(query: RetrievePassages, job: Job) -> None:
        if not await run(query.query_id, handle(query, job)):
            metrics.cancelled.inc()

    return begin


class QueryHandler:
    """Somebody waits for passages, or for an answer: whatever is final goes out, also a failure."""

    def __init__(
        self, standalone: StandaloneQuestion, search: Search, outbox: QueryOutbox, metrics: QueryMetrics
    ) -> None:
        self._standalone = standalone
        self._search = search
        self._outbox = outbox
        self._metrics = metrics

    async def __call__(self, query: RetrievePassages, job: Job) -> None:
        try:
            await self._answer(query, job)
        except DeadlinePassed:
            self._metrics.expired.inc()
        except TransientError:
            raise
        except PermanentError as error:
            await self._fail(query, error.code, error.message)
        except Exception:
            await self._fail(query, "internal_error", "the query could not be answered")
            raise

    async def _answer(self, query: RetrievePassages, job: Job) -> None:
        timings = {"queue": round(max(0.0, time.time() - job.time_ns / 1e9) * 1000, 3)}
        question = await self._question(query, timings)
        found = await self._search(query.model_copy(update={"question": question}))
        timings |= found.timings_ms
        self._metrics.observe(found, timings)
        found = found.model_copy(update={"timings_ms": timings})
        if query.answer is None:
            await self._reply(query, found)
        else:
            await self._forward(command(query, query.answer, question, found, job.attempt))

    async def _question(self, query: RetrievePassages, timings: dict[str, float]) -> str:
        """As it is searched."""
        if query.answer is None or not query.answer.history:
            return query.question
        request = RewriteQuestion(
            query_id=query.query_id,
            deadline=query.deadline,
            question=query.question,
            history=query.answer.history,
        )
        measured = Timings()
        with measured.stage("rewrite"):
            standalone = await self._standalone(request)
        timings |= measured.milliseconds()
        self._metrics.rewritten.labels(standalone.by).inc()
        return standalone.question

    async def _reply(self, query: RetrievePassages, found: PassagesFound) -> None:
        """What is too large for one message is shortened, and refused if that does not help."""
        try:
            await self._outbox.reply(query.reply_to, found)
        except MessageTooLarge:
            await self._outbox.reply(query.reply_to, shortened(found))

    async def _forward(self, answer: GenerateAnswer) -> None:
        """In the manner of :meth:`_reply`. While the generator's queue is full this waits, but only until
        the deadline."""
        msg_id = f"generate:{answer.query_id}"
        async with until(answer.deadline):
            try:
                await self._outbox.publish(answer, msg_id=msg_id)
            except MessageTooLarge:
                await self._outbox.publish(fitting(answer), msg_id=msg_id)

    async def _fail(self, query: RetrievePassages, code: str, message: str) -> None:
        failure = QueryFailed(query_id=query.query_id, code=code, message=message)
        await self._outbox.reply(query.reply_to, failure)
