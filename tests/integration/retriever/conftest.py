from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from retriever_support import TENANT, Stack, embedder, running_retriever

from rag_common.contracts import EmbedQuery
from rag_common.registry import Registry
from rag_common.testing import NatsServer
from rag_common.topology import Topology


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[Registry]:
    registry = await Registry.connect(database_url, pool_size=4)
    await registry.collections.create(TENANT, "handbook")
    await registry.spaces.set_pipeline("pipeline")
    yield registry
    await registry.close()


@pytest.fixture
async def stack(
    nats_server: NatsServer,
    nats_client: Client,
    provisioned: Topology,
    registry: Registry,
    database_url: str,
    tmp_path: Path,
) -> AsyncIterator[Stack]:
    """A retriever without an embedder."""
    async with running_retriever(nats_server.url, provisioned, database_url, tmp_path / "index") as http:
        yield Stack(nats_client, provisioned, registry, http)


@pytest.fixture
async def encoder(nats_client: Client, provisioned: Topology) -> AsyncIterator[list[EmbedQuery]]:
    """An embedder; the requests that it got."""
    async with embedder(nats_client, provisioned) as requests:
        yield requests
