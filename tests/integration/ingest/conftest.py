"""An ingest service in this process, on the real NATS and PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from ingest_support import Stage
from nats.js import JetStreamContext
from pydantic import SecretStr

from rag_common.registry import Registry
from rag_common.testing import NatsServer
from rag_common.topology import Topology
from rag_ingest.app import create_app
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
