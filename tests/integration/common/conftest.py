from collections.abc import AsyncIterator

import pytest
from common_support import MakeBroker

from rag_common.broker import Broker, create_broker
from rag_common.settings import ServiceSettings
from rag_common.testing import NatsServer
from rag_common.topology import Topology


@pytest.fixture
async def make_broker(nats_server: NatsServer, topology: Topology) -> AsyncIterator[MakeBroker]:
    """Brokers of this test's namespace; those that were started are stopped at the end."""
    brokers: list[Broker] = []

    def make(service: str = "test", url: str | None = None) -> Broker:
        settings = ServiceSettings(
            namespace=topology.namespace, nats_url=url or nats_server.url, graceful_timeout=5.0
        )
        broker = create_broker(settings, service)
        brokers.append(broker)
        return broker

    yield make
    for broker in brokers:
        await broker.stop()
