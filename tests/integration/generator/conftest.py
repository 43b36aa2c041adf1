from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
from generator_support import Gateway, Generator, running_generator
from nats.aio.client import Client

from rag_common.testing import NatsServer
from rag_common.topology import Topology

Running = Callable[..., AbstractAsyncContextManager[Generator]]


@pytest.fixture
async def gateway(nats_client: Client, provisioned: Topology) -> AsyncIterator[Gateway]:
    async with Gateway(nats_client, provisioned).listening() as gateway:
        yield gateway


@pytest.fixture
def running(nats_server: NatsServer, nats_client: Client, provisioned: Topology) -> Running:
    """``running(llm, **settings)``: a generator, while the context lasts."""
    return partial(running_generator, nats_server.url, nats_client, provisioned)
