"""The ingest service, wired together: ``python -m rag_ingest.app``."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from starlette.applications import Starlette

from rag_common.broker import Broker, Publisher, consume, create_broker
from rag_common.contracts import IngestDocument, Lane
from rag_common.errors import TransientError
from rag_common.objects import ObjectStore
from rag_common.registry import Registry
from rag_common.service import make_service, serve, when_available
from rag_common.topology import Topology
from rag_ingest.adapters import tesseract
from rag_ingest.adapters.contents import ObjectContents
from rag_ingest.adapters.ocr_options import OcrOptions
from rag_ingest.adapters.parser import FileParser
from rag_ingest.adapters.registry import IngestRegistry
from rag_ingest.adapters.splitter import PhraseSplitter
from rag_ingest.adapters.work_dir import private_directory
from rag_ingest.adapters.worker_pool import DEFAULT_COMMAND, WorkerPool
from rag_ingest.adapters.worker_process import Limits
from rag_ingest.domain.containers import MemberLimits
from rag_ingest.domain.fingerprint import pipeline_fingerprint
from rag_ingest.domain.ingest import Ingest
from rag_ingest.domain.pipeline import Pipeline
from rag_ingest.handlers import ingest_handler
from rag_ingest.settings import IngestSettings

LANES: tuple[Lane, ...] = get_args(Lane)
PIPELINE_VERSION = 2
"""Raised when our own code begins to make other chunks of the same bytes."""


def fingerprint_of(settings: IngestSettings) -> str:
    """Names how these settings and the installed libraries and programs turn bytes into chunks.

    With tesseract or a language of it installed later, the same pictures are no longer "unchanged".
    """
    ocr = ""
    if settings.ocr:
        found = tesseract.describe(shutil.which("tesseract"), settings.ocr_languages)
        ocr = f"{settings.ocr_languages} {settings.ocr_min_confidence} {found}"
    return pipeline_fingerprint(
        {
            "pipeline": PIPELINE_VERSION,
            "kreuzberg": version("kreuzberg"),
            "langchain-text-splitters": version("langchain-text-splitters"),
            "chardet": version("chardet"),
            "ftfy": version("ftfy"),
            "ocr": ocr,
            "chunk_words": settings.chunk_words,
            "chunk_characters": settings.chunk_characters,
        }
    )


def create_app(settings: IngestSettings) -> Starlette:
    """The service; it connects when it is started."""
    broker = create_broker(settings, "ingest")
    service = _Service(settings, broker)
    return make_service(
        settings,
        broker,
        service="ingest",
        lifespan=service.lifespan,
        checks={"registry": service.check_registry},
        consumers=[f"ingest-{lane}" for lane in LANES],
    )


class _Service:
    """What exists only while the service runs."""

    def __init__(self, settings: IngestSettings, broker: Broker) -> None:
        self._settings = settings
        self._broker = broker
        self._topology = Topology(settings.namespace)
        self._registry: Registry | None = None

    async def check_registry(self) -> None:
        """:raises TransientError: the database does not answer."""
        if self._registry is None:
            raise TransientError("the registry is not connected yet")
        await self._registry.ping()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open the registry and the parser pools, and subscribe both lanes."""
        async with AsyncExitStack() as stack:
            registry = self._registry = await when_available(self._connect)
            stack.push_async_callback(registry.close)
            fingerprint = await asyncio.to_thread(fingerprint_of, self._settings)
            await registry.spaces.set_pipeline(fingerprint)
            directory = stack.enter_context(private_directory(self._settings.work_dir))
            pools = {lane: self._pool() for lane in LANES}
            for pool in pools.values():
                stack.push_async_callback(pool.close)
            self._subscribe(registry, pools, self._contents(directory), fingerprint)
            yield

    async def _connect(self) -> Registry:
        settings = self._settings
        return await Registry.connect(settings.database_url.get_secret_value(), settings.database_pool_size)

    def _pool(self) -> WorkerPool:
        settings = self._settings
        limits = Limits(
            memory_bytes=settings.parser_memory_bytes,
            cpu_seconds=settings.parser_cpu_seconds,
            wall_seconds=settings.parser_wall_seconds,
            max_characters=settings.max_document_characters,
        )
        options = OcrOptions(
            enabled=settings.ocr,
            program=shutil.which("tesseract"),
            languages=settings.ocr_languages,
            least_confidence=settings.ocr_min_confidence,
        )
        return WorkerPool(
            settings.parser_processes,
            limits=limits,
            idle_seconds=settings.parser_idle_seconds,
            command=(*DEFAULT_COMMAND, options.as_json()),
        )

    def _subscribe(
        self,
        registry: Registry,
        pools: dict[Lane, WorkerPool],
        contents: ObjectContents,
        fingerprint: str,
    ) -> None:
        settings = self._settings
        pipeline = Pipeline(
            parsers={
                lane: FileParser(pool, max_characters=settings.max_document_characters)
                for lane, pool in pools.items()
            },
            splitter=PhraseSplitter(),
            chunk_words=settings.chunk_words,
            chunk_characters=settings.chunk_characters,
            fingerprint=fingerprint,
        )
        ingest = Ingest(
            IngestRegistry(registry),
            contents,
            pipeline,
            Publisher(self._broker, self._topology),
            MemberLimits(settings.max_members, settings.max_members_bytes),
        )
        workers: dict[Lane, int] = {
            "interactive": settings.interactive_workers,
            "bulk": settings.bulk_workers,
        }
        for lane in LANES:
            consume(
                self._broker,
                self._topology,
                f"ingest-{lane}",
                IngestDocument,
                ingest_handler(ingest, lane),
                max_workers=workers[lane],
            )

    def _contents(self, directory: Path) -> ObjectContents:
        def bucket(name: str) -> ObjectStore:
            return ObjectStore(self._broker.jetstream, self._topology.bucket(name))

        return ObjectContents(
            bucket("documents"),
            lambda tenant: bucket(f"drop-{tenant}"),
            max_bytes=self._settings.max_drop_bytes,
            directory=directory,
        )


if __name__ == "__main__":
    service_settings = IngestSettings()
    serve(create_app(service_settings), service_settings)
