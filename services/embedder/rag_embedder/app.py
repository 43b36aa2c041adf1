"""Wires the embedder together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette

from rag_common.broker import Broker, Publisher, consume, create_broker
from rag_common.contracts import EmbedChunks, EmbedQuery
from rag_common.service import make_service, serve
from rag_common.topology import Topology
from rag_embedder.adapters.metrics import PrometheusMeter
from rag_embedder.domain import Embedder, Encoder, MicroBatcher, Priority, SliceBudget
from rag_embedder.handlers import answer_questions, embed_chunks
from rag_embedder.settings import EmbedderSettings

CONSUMERS = {
    "interactive": ("embedder-interactive", Priority.INTERACTIVE),
    "bulk": ("embedder-bulk", Priority.BULK),
}
QUEUE_GROUP = "embedder"
"""Of all replicas: each request for question vectors goes to one of them."""
PULL_SIZE = 8
"""Jobs fetched by one pull, which run together."""

LoadEncoder = Callable[[EmbedderSettings], tuple[Encoder, int]]
"""Returns the encoder and how many slices it encodes at a time; blocks, for seconds."""


def load_encoder(settings: EmbedderSettings) -> tuple[Encoder, int]:
    """The model that the settings name.

    :raises BadModel: it cannot be loaded, or it is not the one of the space.
    """
    # Imported here, off the event loop: torch and its libraries take seconds.
    from rag_embedder.adapters import sentence_transformers as adapter
    from rag_embedder.adapters.memory import keep_freed_memory

    keep_freed_memory()
    directory, sha256 = settings.model_path, settings.model_sha256
    if directory is None:
        directory, sha256 = adapter.bundled_minilm(), sha256 or adapter.MINILM_SHA256
    if sha256 is not None:
        adapter.verify_weights(directory, sha256)
    parallelism = adapter.best_parallelism(settings.encoder_workers)
    dtype = adapter.fastest_dtype() if settings.dtype == "auto" else settings.dtype
    encoder = adapter.SentenceTransformerEncoder(directory, dtype=dtype, threads=parallelism.threads)
    if encoder.dimension != settings.dimension:
        raise adapter.BadModel(
            f"the model in {directory} has {encoder.dimension} dimensions,"
            f" but the space {settings.space!r} has {settings.dimension}"
        )
    return encoder, parallelism.workers


def create_app(settings: EmbedderSettings, load: LoadEncoder = load_encoder) -> Starlette:
    """The service; nothing is pulled, and no question is taken, before the model is loaded."""
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
    settings: EmbedderSettings, broker: Broker, topology: Topology, load: LoadEncoder
) -> AsyncIterator[None]:
    encoder, workers = await asyncio.to_thread(load, settings)
    shares = {Priority.INTERACTIVE: settings.bulk_share, Priority.BULK: settings.bulk_share}
    async with MicroBatcher(
        encoder,
        budget=SliceBudget(settings.slice_tokens, settings.slice_seconds),
        meter=PrometheusMeter(broker.metrics),
        workers=workers,
        max_waiting=settings.max_waiting_texts,
        shares=shares,
    ) as batcher:
        _subscribe(settings, broker, topology, Embedder(settings.vector_space(), batcher))
        yield


def _subscribe(settings: EmbedderSettings, broker: Broker, topology: Topology, embedder: Embedder) -> None:
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
    if "query" in settings.lanes:
        subscribe = broker.subscriber(
            topology.subject(EmbedQuery), queue=QUEUE_GROUP, max_workers=settings.query_workers
        )
        subscribe(answer_questions(embedder, settings.query_timeout))


if __name__ == "__main__":
    _settings = EmbedderSettings()
    serve(create_app(_settings), _settings)
