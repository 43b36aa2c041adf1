"""Wires the retriever together: the only place that knows every part."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from qdrant_client import AsyncQdrantClient
from starlette.applications import Starlette

from rag_common.broker import Broker, Cancellations, Publisher, consume, create_broker
from rag_common.contracts import (
    EmbedQuery,
    IndexChunks,
    PurgeDocument,
    RerankPassages,
    RetrievePassages,
    RewriteQuestion,
    UpdateIndexedDocument,
)
from rag_common.errors import TransientError
from rag_common.objects import ObjectStore
from rag_common.registry import Registry
from rag_common.service import make_service, serve, when_available
from rag_common.topology import Topology
from rag_retriever.adapters.edge import EdgeIndex
from rag_retriever.adapters.embedder import MAX_TEXTS, NatsEncoder
from rag_retriever.adapters.metrics import PointsReport
from rag_retriever.adapters.qdrant import QdrantIndex
from rag_retriever.adapters.reranker import NatsReranker, Request
from rag_retriever.adapters.rewriter import NatsRewriter
from rag_retriever.adapters.spaces import RememberedSpaces
from rag_retriever.adapters.sparse import Bm25Encoder
from rag_retriever.domain.bm25_unit import Bm25Unit
from rag_retriever.domain.coalescing import Coalescer
from rag_retriever.domain.index import Hit, SearchSpec, VectorIndex
from rag_retriever.domain.indexing import IndexBatch
from rag_retriever.domain.maintenance import Purge, RemoveOrphans, UpdateDocument
from rag_retriever.domain.questions import QuestionEncoder
from rag_retriever.domain.search import Search
from rag_retriever.domain.standalone import StandaloneQuestion
from rag_retriever.handlers import (
    QueryHandler,
    QueryMetrics,
    delete_handler,
    unless_cancelled,
    update_handler,
    upsert_handler,
)
from rag_retriever.settings import RetrieverSettings

CONSUMERS = ("retriever-upsert", "retriever-update", "retriever-delete", "retriever-query")
EDGE_BATCH = 8
"""Searches per call of Edge, which holds the GIL for 6 ms (one scope) to 20 ms (eight scopes) then."""
SERVER_BATCH, SERVER_IN_FLIGHT = 16, 4


class _Retriever:
    """What is open while the service runs."""

    def __init__(self, settings: RetrieverSettings, broker: Broker, topology: Topology) -> None:
        self._settings = settings
        self._broker = broker
        self._topology = topology
        self._registry: Registry | None = None
        self._index: VectorIndex | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open registry and index, check that they belong together, subscribe the handlers."""
        async with AsyncExitStack() as stack:
            registry = await when_available(partial(_connect, self._settings))
            stack.push_async_callback(registry.close)
            index = await when_available(partial(_open_index, self._settings))
            stack.push_async_callback(index.close)
            await when_available(partial(_claim, registry, index))
            self._subscribe(registry, index)
            self._registry, self._index = registry, index
            report = asyncio.create_task(PointsReport(index, self._broker.metrics).run())
            try:
                yield
            finally:
                report.cancel()
                with suppress(asyncio.CancelledError):
                    await report

    async def check_registry(self) -> None:
        """:raises TransientError: the registry does not answer."""
        if self._registry is None:
            raise TransientError("the registry is not open")
        await self._registry.ping()

    async def check_index(self) -> None:
        """:raises TransientError: the index does not answer."""
        if self._index is None:
            raise TransientError("the index is not open")
        await self._index.spaces()

    def _subscribe(self, registry: Registry, index: VectorIndex) -> None:
        settings, broker, topology = self._settings, self._broker, self._topology
        publisher = Publisher(broker, topology)
        spaces = RememberedSpaces(registry.spaces)
        sparse = Bm25Encoder()
        objects = ObjectStore(broker.jetstream, topology.bucket("documents"))
        encoder = NatsEncoder(partial(broker.ask, topology.subject(EmbedQuery)), settings.encode_timeout)
        dense = Coalescer(encoder, max_batch=MAX_TEXTS, in_flight=settings.encode_requests)
        search = Search(
            encode=QuestionEncoder(spaces, sparse, dense),
            collections=registry.collections,
            passages=registry.passages,
            propose=_proposer(settings, index),
            rerank=_reranker(settings, partial(broker.ask, topology.subject(RerankPassages))),
            shortlist=settings.rerank_candidates,
            bm25_unit=Bm25Unit(index.count),
        )
        index_batch = IndexBatch(index, sparse, registry.indexing, spaces, publisher)
        update = UpdateDocument(index, registry.indexing)
        purge = Purge(index, registry.indexing, objects)
        orphans = RemoveOrphans(index, registry.indexing)
        rewrite = NatsRewriter(
            partial(broker.ask, topology.subject(RewriteQuestion)), settings.rewrite_timeout
        )
        metrics = QueryMetrics(broker.metrics)
        query_handler = QueryHandler(StandaloneQuestion(rewrite), search, publisher, metrics)
        cancellations = Cancellations(broker, topology)
        on = partial(consume, broker, topology)
        on("retriever-upsert", IndexChunks, upsert_handler(index_batch), max_workers=settings.upsert_workers)
        on("retriever-update", UpdateIndexedDocument, update_handler(update))
        on("retriever-delete", PurgeDocument, delete_handler(purge, orphans))
        on(
            "retriever-query",
            RetrievePassages,
            unless_cancelled(cancellations.run, query_handler, metrics),
            max_workers=settings.query_workers,
        )


async def _connect(settings: RetrieverSettings) -> Registry:
    return await Registry.connect(settings.database_url.get_secret_value(), settings.database_pool_size)


async def _claim(registry: Registry, index: VectorIndex) -> None:
    """:raises IndexRefused: index and registry are not of one installation, or of one model."""
    await index.claim((await registry.spaces.installation()).id)
    space = await registry.spaces.active()
    await index.ensure_space(space.name, space.dimension)


async def _open_index(settings: RetrieverSettings) -> VectorIndex:
    if settings.index == "edge":
        return await EdgeIndex.open(settings.edge_dir, settings.edge_flush_seconds)
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    client = AsyncQdrantClient(
        settings.qdrant_url, api_key=key, timeout=settings.qdrant_timeout, check_compatibility=False
    )
    return QdrantIndex(client, settings.namespace)


def _reranker(settings: RetrieverSettings, request: Request) -> NatsReranker | None:
    return NatsReranker(request, settings.reranker, settings.rerank_timeout) if settings.reranker else None


def _proposer(settings: RetrieverSettings, index: VectorIndex) -> Coalescer[SearchSpec, list[Hit]]:
    if settings.index == "edge":
        return Coalescer(index.query_batch, max_batch=EDGE_BATCH)
    return Coalescer(index.query_batch, max_batch=SERVER_BATCH, in_flight=SERVER_IN_FLIGHT)


def create_app(settings: RetrieverSettings) -> Starlette:
    """The service: probes and metrics over HTTP, everything else over NATS."""
    broker = create_broker(settings, "retriever")
    topology = Topology(settings.namespace)
    retriever = _Retriever(settings, broker, topology)
    return make_service(
        settings,
        broker,
        service="retriever",
        lifespan=retriever.lifespan,
        checks={"registry": retriever.check_registry, "index": retriever.check_index},
        consumers=CONSUMERS,
        topology=topology,
    )


if __name__ == "__main__":
    _settings = RetrieverSettings()
    serve(create_app(_settings), _settings)
