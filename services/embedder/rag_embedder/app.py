"""Wires the embedder together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from rag_common.broker import Broker, Publisher, consume, create_broker
from rag_common.contracts import EmbedChunks, EmbedQuery, RerankPassages
from rag_common.service import make_service, serve
from rag_common.topology import Topology
from rag_embedder.adapters.metrics import PrometheusMeter
from rag_embedder.adapters.models import LoadedModels, ModelLoader, Weights
from rag_embedder.domain import Embedder, MicroBatcher, Priority, Reranker, SliceBudget
from rag_embedder.handlers import answer_questions, answer_reranking, embed_chunks
from rag_embedder.settings import EmbedderSettings

CONSUMERS = {
    "interactive": ("embedder-interactive", Priority.INTERACTIVE),
    "bulk": ("embedder-bulk", Priority.BULK),
}
QUEUE_GROUP = "embedder"
"""Of all replicas: each request goes to one of them."""
PULL_SIZE = 8
"""Jobs fetched by one pull, which run together."""

LoadModels = Callable[[EmbedderSettings], LoadedModels]
"""Blocks, for seconds."""


def load_models(settings: EmbedderSettings) -> LoadedModels:
    """The models that the settings name.

    :raises BadModel: one cannot be loaded, or it is not the one of its space.
    """
    weights = {name: Weights(files.path, files.sha256) for name, files in settings.models.items()}
    loader = ModelLoader(weights, settings.dtype, settings.encoder_workers)
    reranker = settings.reranker_path if settings.reranker else None
    return loader.load(tuple(map(settings.space, settings.spaces)), reranker)


def create_app(settings: EmbedderSettings, load: LoadModels = load_models) -> Starlette:
    """The service; nothing is pulled, and no question is taken, before the models are loaded."""
    topology = Topology(settings.namespace)
    broker = create_broker(settings, "embedder")
    return make_service(
        settings,
        broker,
        service="embedder",
        lifespan=partial(_embedder, settings, broker, topology, load),
        checks={},
        consumers=[CONSUMERS[lane][0] for lane in settings.lanes if lane in CONSUMERS],
    )


@asynccontextmanager
async def _embedder(
    settings: EmbedderSettings, broker: Broker, topology: Topology, load: LoadModels
) -> AsyncIterator[None]:
    models = await asyncio.to_thread(load, settings)
    async with MicroBatcher(
        new_budget=partial(SliceBudget, settings.slice_tokens, settings.slice_seconds),
        meter=PrometheusMeter(broker.metrics),
        workers=models.workers,
        max_waiting=settings.max_waiting_texts,
        shares={priority: settings.bulk_share for priority in Priority if priority is not Priority.QUERY},
    ) as batcher:
        embedder = Embedder(models.spaces, batcher)
        _consume_jobs(settings, broker, topology, embedder)
        if "query" in settings.lanes:
            reranker = Reranker(settings.reranker, models.reranker, batcher) if models.reranker else None
            _answer_requests(settings, broker, topology, embedder, reranker)
        yield


def _consume_jobs(settings: EmbedderSettings, broker: Broker, topology: Topology, embedder: Embedder) -> None:
    publisher = Publisher(broker, topology)
    jobs = {"interactive": settings.interactive_jobs, "bulk": settings.bulk_jobs}
    for lane, (consumer, priority) in CONSUMERS.items():
        if lane in settings.lanes:
            consume(
                broker,
                topology,
                consumer,
                EmbedChunks,
                embed_chunks(embedder, publisher, priority),
                max_workers=-(-jobs[lane] // PULL_SIZE),
                batch_size=min(jobs[lane], PULL_SIZE),
            )


def _answer_requests(
    settings: EmbedderSettings,
    broker: Broker,
    topology: Topology,
    embedder: Embedder,
    reranker: Reranker | None,
) -> None:
    answers = partial(broker.subscriber, queue=QUEUE_GROUP, max_workers=settings.query_workers)
    answers(topology.subject(EmbedQuery))(answer_questions(embedder, settings.query_timeout))
    if reranker is not None:
        answers(topology.subject(RerankPassages))(answer_reranking(reranker, settings.rerank_timeout))


if __name__ == "__main__":
    _settings = EmbedderSettings()
    serve(create_app(_settings), _settings)
