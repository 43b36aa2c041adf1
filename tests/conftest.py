"""One nats-server and one PostgreSQL per test process; each test has its own namespace and database."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from rag_common.provision import provision
from rag_common.testing import NatsServer, PostgresServer
from rag_common.topology import Topology
from ragp.migrations import upgrade

# Whatever the language of whoever runs the tests, the command line speaks English to them.
os.environ["LC_ALL"] = "C.UTF-8"


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """Shared: a test that stops or restricts a server starts its own."""
    with NatsServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Shared: a test that stops a server starts its own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def nats_client(nats_server: NatsServer) -> AsyncIterator[Client]:
    client = await nats.connect(nats_server.url)
    yield client
    await client.close()


@pytest.fixture
def jetstream(nats_client: Client) -> JetStreamContext:
    return nats_client.jetstream()


@pytest.fixture
def topology() -> Topology:
    """A namespace that no other test has; nothing of it exists yet."""
    return Topology(f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def provisioned(topology: Topology, jetstream: JetStreamContext) -> AsyncIterator[Topology]:
    """The same namespace with its streams, consumers and buckets."""
    await provision(jetstream, topology)
    yield topology
    buckets = [*topology.buckets, *topology.key_values]
    for name in [*(spec.name for spec in topology.streams), *(spec.stream for spec in buckets)]:
        with contextlib.suppress(NotFoundError):
            await jetstream.delete_stream(name)


@pytest.fixture(scope="session")
def migrated_database(postgres_server: PostgresServer) -> str:
    """The name of a database with the registry's tables, to be copied."""

    async def create() -> str:
        url = await postgres_server.create_database()
        await upgrade(url)
        return url

    return asyncio.run(create()).rsplit("/", 1)[1]


@pytest.fixture
async def database_url(postgres_server: PostgresServer, migrated_database: str) -> str:
    """A database of this test's own, with the registry's tables and no rows."""
    return await postgres_server.create_database(template=migrated_database)
