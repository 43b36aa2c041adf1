"""An ingest service in this process, on the real NATS and PostgreSQL."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from ingest_jobs import Claims, MakeIngest, Queue, StartProcess
from ingest_support import Stage
from nats.js import JetStreamContext
from pydantic import SecretStr

from rag_common.objects import ObjectStore
from rag_common.registry import Registry
from rag_common.testing import NatsServer
from rag_common.topology import Topology
from rag_ingest.adapters.contents import ObjectContents
from rag_ingest.adapters.parser import FileParser
from rag_ingest.adapters.registry import IngestRegistry
from rag_ingest.adapters.splitter import PhraseSplitter
from rag_ingest.adapters.worker_pool import WorkerPool
from rag_ingest.app import create_app
from rag_ingest.domain.containers import MemberLimits
from rag_ingest.domain.ingest import Ingest
from rag_ingest.domain.pipeline import Pipeline
from rag_ingest.domain.ports import Delivery
from rag_ingest.settings import IngestSettings


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[Registry]:
    """A registry with one collection, ``handbook``, of the tenant ``default``."""
    registry = await Registry.connect(database_url, pool_size=4)
    await registry.collections.create("default", "handbook")
    yield registry
    await registry.close()


@pytest.fixture
def stage(provisioned: Topology, jetstream: JetStreamContext, registry: Registry) -> Stage:
    """What surrounds the service: producers before it, queues behind it."""
    return Stage(provisioned, jetstream, registry)


@pytest.fixture
async def service(
    provisioned: Topology, nats_server: NatsServer, database_url: str, registry: Registry
) -> AsyncIterator[None]:
    """The running service. ``registry`` comes first, so that the collection exists."""
    settings = IngestSettings(
        namespace=provisioned.namespace,
        nats_url=nats_server.url,
        database_url=SecretStr(database_url),
        bulk_workers=4,
        graceful_timeout=5,
    )
    async with _running(settings):
        yield


@asynccontextmanager
async def _running(settings: IngestSettings) -> AsyncIterator[None]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield


@pytest.fixture
async def start_process(
    provisioned: Topology, nats_server: NatsServer, database_url: str, registry: Registry, tmp_path: Path
) -> AsyncIterator[StartProcess]:
    """The service as processes, which end with the test."""
    processes: list[asyncio.subprocess.Process] = []

    async def start(work_dir: Path) -> asyncio.subprocess.Process:
        settings = {
            "NATS_URL": nats_server.url,
            "NAMESPACE": provisioned.namespace,
            "DATABASE_URL": database_url,
            "WORK_DIR": str(work_dir),
            "PORT": "0",
        }
        environment = {**os.environ, **{f"RAG_{name}": value for name, value in settings.items()}}
        with (tmp_path / "log").open("a") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "rag_ingest.app", env=environment, stdout=log, stderr=log
            )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
async def make_ingest(
    stage: Stage, registry: Registry, queue: Queue, tmp_path: Path
) -> AsyncIterator[MakeIngest]:
    pool = WorkerPool()
    buckets = {"default": stage.drops}
    contents = ObjectContents(
        stage.documents,
        lambda tenant: buckets.get(tenant) or ObjectStore(lambda: stage.jetstream, "nowhere"),
        max_bytes=1_000_000,
        directory=tmp_path,
    )
    parser = FileParser(pool, max_characters=100_000)
    pipeline = Pipeline(
        parsers={"bulk": parser, "interactive": parser},
        splitter=PhraseSplitter(),
        chunk_words=10,
        chunk_characters=200,
        fingerprint="first",
    )
    await registry.spaces.set_pipeline("first")

    def make(seen: IngestRegistry, wrap: Callable[[Any], Any] = lambda port: port) -> Ingest:
        return Ingest(wrap(seen), wrap(contents), pipeline, wrap(queue), MemberLimits(20, 1_000_000))

    yield make
    await pool.close()
    assert not any(tmp_path.iterdir()), "a job left its file behind"  # noqa: ASYNC240 - nothing else runs


@pytest.fixture
def ingest(make_ingest: MakeIngest, registry: Registry) -> Ingest:
    return make_ingest(IngestRegistry(registry))


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def delivery(claims: Claims) -> Delivery:
    return Delivery("default", "bulk", time_ns=10**18, sequence=7, attempt=1, claim=claims.append)
