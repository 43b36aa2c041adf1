"""A gateway on the real NATS and PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_support import TENANT, Gateway, Place, running_gateway
from nats.js import JetStreamContext

from rag_common.registry import Registry
from rag_common.testing import NatsServer
from rag_common.topology import Topology


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[Registry]:
    """A registry with one collection, ``handbook``, of the tenant ``default``."""
    registry = await Registry.connect(database_url, pool_size=4)
    await registry.collections.create(TENANT, "handbook")
    await registry.spaces.set_pipeline("pipeline")
    yield registry
    await registry.close()


@pytest.fixture
def place(nats_server: NatsServer, database_url: str, provisioned: Topology, tmp_path: Path) -> Place:
    return Place(nats_server.url, database_url, provisioned, tmp_path)


@pytest.fixture
async def gateway(place: Place, registry: Registry, jetstream: JetStreamContext) -> AsyncIterator[Gateway]:
    async with running_gateway(place, registry, jetstream) as running:
        yield running
