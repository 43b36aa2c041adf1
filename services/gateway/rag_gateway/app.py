"""The gateway, wired together: ``python -m rag_gateway.app``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from nats.js import JetStreamContext

from rag_common.broker import Broker, Publisher, consume, create_broker
from rag_common.contracts import DeadLetter, EmbedQuery
from rag_common.errors import TransientError
from rag_common.objects import ObjectStore
from rag_common.registry import Registry
from rag_common.service import probe_routes, running, serve, when_available
from rag_common.topology import Topology
from rag_gateway import openapi, pages, problems
from rag_gateway.adapters.answer_cache import CacheMetrics, NatsAnswers, RegistryChanges
from rag_gateway.adapters.embeddings import NatsEmbeddings
from rag_gateway.adapters.event_feed import EventFeed
from rag_gateway.adapters.generator_info import GeneratorInfo
from rag_gateway.adapters.installation import StampedInstallation
from rag_gateway.adapters.jobs import GatewayJobs
from rag_gateway.adapters.queues import JetStreamQueues
from rag_gateway.adapters.records import AnswerRecords
from rag_gateway.adapters.registry import AcceptingRegistry, BuryingRegistry
from rag_gateway.adapters.replies import ReplyInbox
from rag_gateway.authentication import RequireKey
from rag_gateway.background import end_answers, in_background, keep_forgetting, keep_open, keep_reconciling
from rag_gateway.dependencies import Gateway
from rag_gateway.domain.accepting import AcceptDocuments
from rag_gateway.domain.asking import AskTheGenerator
from rag_gateway.domain.caching import CachedAnswers
from rag_gateway.domain.dead_letters import BuryDocuments
from rag_gateway.domain.reconciling import Pace, Reconciler
from rag_gateway.domain.recording import Recorder
from rag_gateway.domain.searching import Searches
from rag_gateway.domain.sharing import SharedAnswers
from rag_gateway.handlers import dead_letter_handler
from rag_gateway.identity import ApiKeys, Caller, bootstrap_key
from rag_gateway.metrics import CountRequests, GatewayMetrics
from rag_gateway.readiness import PublicReadiness
from rag_gateway.routes import (
    ask,
    collections,
    conversations,
    documents,
    events,
    feedback,
    openai,
    search,
    uploads,
)
from rag_gateway.settings import GatewaySettings

CONSUMERS = ("dead-letters",)
_EMBEDDER_TIMEOUT = 3.0
"""Seconds; the embedder itself gives up after two."""
_ROUTERS = (
    collections.router,
    uploads.router,
    documents.router,
    events.router,
    search.router,
    ask.router,
    conversations.router,
    feedback.router,
    openai.router,
)


def create_app(settings: GatewaySettings, *, topology: Topology | None = None) -> FastAPI:
    """The public API with the dead-letter consumer and the reconciler; it connects when it is started."""
    broker = create_broker(settings, "gateway")
    service = _Service(settings, broker, topology or Topology(settings.namespace))
    app = FastAPI(
        title="RAG platform",
        version=version("rag-platform"),
        lifespan=service.lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = "gateway"
    app.state.stopping = service.stopping
    app.state.max_json_bytes = settings.max_json_bytes
    app.state.body_timeout = settings.body_timeout
    app.add_middleware(RequireKey)
    # the one added last is the outermost
    app.add_middleware(CountRequests, metrics=service.metrics)
    problems.install(app)
    openapi.install(app)
    pages.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    app.router.routes.extend(probe_routes(service.readiness, broker))
    return app


class _Service:
    """What exists only while the service runs."""

    def __init__(self, settings: GatewaySettings, broker: Broker, topology: Topology) -> None:
        self._settings = settings
        self._broker = broker
        self._topology = topology
        self._registry: Registry | None = None
        self.metrics = GatewayMetrics(broker.metrics)
        self._inbox = ReplyInbox(topology)
        self._shared = SharedAnswers()
        checks = {"registry": self._check_registry, "replies": self._inbox.check}
        self.readiness = PublicReadiness(broker, topology, CONSUMERS, checks)
        self.stopping = asyncio.Event()

    async def _check_registry(self) -> None:
        if self._registry is None:
            raise TransientError("the registry is not connected yet")
        await self._registry.ping()

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Open the registry, wire the parts, start the broker and what runs in the background."""
        settings, broker = self._settings, self._broker
        async with AsyncExitStack() as stack:
            key = await asyncio.to_thread(bootstrap_key, settings.api_key_file)
            registry = self._registry = await when_available(self._connect)
            stack.push_async_callback(registry.close)
            objects = ObjectStore(self._jetstream, self._topology.bucket("documents"))
            jobs = GatewayJobs(Publisher(broker, self._topology))
            app.state.keys = ApiKeys({key: self._bootstrap_caller()})
            app.state.gateway = self._gateway(registry, objects, jobs)
            self._subscribe(registry, jobs)
            await stack.enter_async_context(running(broker, self._topology, CONSUMERS))
            stack.push_async_callback(self._shared.close)
            reconciler = self._reconciler(registry, jobs, objects)
            for work in (
                keep_open(self._inbox, broker),
                end_answers(self._inbox, self.stopping, settings.graceful_timeout),
                keep_reconciling(reconciler, settings.reconcile_interval, self.metrics),
                keep_forgetting(registry.answers, settings.answer_retention_days, settings.sweep_interval),
                keep_forgetting(
                    registry.conversations, settings.answer_retention_days, settings.sweep_interval
                ),
            ):
                await stack.enter_async_context(in_background(work))
            yield
            self.stopping.set()

    def _gateway(self, registry: Registry, objects: ObjectStore, jobs: GatewayJobs) -> Gateway:
        settings = self._settings
        return Gateway(
            settings=settings,
            registry=registry,
            objects=objects,
            accept=AcceptDocuments(AcceptingRegistry(registry), objects, jobs),
            changes=jobs,
            searches=Searches(self._inbox, jobs, timeout=settings.search_timeout, most=settings.max_searches),
            recorder=Recorder(AnswerRecords(registry), self.metrics.answers_lost.inc),
            answers=self._answers(registry, jobs),
            embeddings=self._embeddings(),
            feed=EventFeed(self._jetstream, self._topology),
            metrics=self.metrics,
            stopping=self.stopping,
            uploads=asyncio.Semaphore(settings.max_uploads),
            event_streams=asyncio.Semaphore(settings.max_event_streams),
        )

    def _embeddings(self) -> NatsEmbeddings:
        ask = partial(self._broker.ask, self._topology.subject(EmbedQuery))
        return NatsEmbeddings(ask, timeout=_EMBEDDER_TIMEOUT, deadline=self._settings.ask_timeout)

    def _answers(self, registry: Registry, jobs: GatewayJobs) -> CachedAnswers:
        settings, seconds = self._settings, self._settings.answer_cache_seconds
        return CachedAnswers(
            AskTheGenerator(self._inbox, jobs),
            self._shared,
            RegistryChanges(registry),
            NatsAnswers(self._jetstream, self._topology, seconds=seconds) if seconds else None,
            GeneratorInfo(self._broker, self._topology),
            CacheMetrics(self._broker.metrics),
            most=settings.max_questions,
        )

    def _subscribe(self, registry: Registry, jobs: GatewayJobs) -> None:
        bury = BuryDocuments(BuryingRegistry(registry), jobs)
        handler = dead_letter_handler(bury, self._topology, self.metrics)
        consume(self._broker, self._topology, "dead-letters", DeadLetter, handler)

    def _jetstream(self) -> JetStreamContext:
        """Refuses at once where the client library would wait for a reconnect."""
        if not self._broker.is_connected:
            raise TransientError("NATS is disconnected")
        return self._broker.jetstream()

    def _bootstrap_caller(self) -> Caller:
        settings = self._settings
        return Caller("bootstrap", settings.tenant, settings.bootstrap_principals, administrator=True)

    def _reconciler(self, registry: Registry, jobs: GatewayJobs, objects: ObjectStore) -> Reconciler:
        settings = self._settings
        return Reconciler(
            registry.reconciling,
            JetStreamQueues(self._jetstream, self._topology),
            jobs,
            objects,
            StampedInstallation(registry, objects),
            Pace(
                margin=timedelta(seconds=settings.reconcile_margin),
                sweep_interval=timedelta(seconds=settings.sweep_interval),
            ),
            lambda: datetime.now(UTC),
        )

    async def _connect(self) -> Registry:
        settings = self._settings
        return await Registry.connect(settings.database_url.get_secret_value(), settings.database_pool_size)


if __name__ == "__main__":
    service_settings = GatewaySettings()
    serve(create_app(service_settings), service_settings)
