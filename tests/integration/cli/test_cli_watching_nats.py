"""Following drops over a real nats-server."""

import pytest

from rag_common.provision import provision
from rag_common.testing import NatsServer
from rag_common.topology import Topology
from ragp.errors import CommandError
from ragp.nats_client import connected
from ragp.target import Nats
from ragp.watching import handled_up_to, listening


async def test_a_server_that_goes_away_is_an_error_and_not_a_wait() -> None:
    topology = Topology()
    with NatsServer() as server:
        async with connected(Nats(server.url)) as client:
            await provision(client.jetstream(), topology)
            async with listening(client, topology, "notes"):
                assert await handled_up_to(client, topology) == 0
                server.stop()
                with pytest.raises(CommandError, match="connection to NATS is lost"):
                    await handled_up_to(client, topology)
