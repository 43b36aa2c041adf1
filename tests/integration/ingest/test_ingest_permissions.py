"""The service with no more rights on NATS than its role has."""

import nats
import pytest
from ingest_support import Stage, drop, once
from pydantic import SecretStr

from rag_common.contracts import DroppedContent
from rag_common.objects import ObjectMissing
from rag_common.provision import provision
from rag_common.registry import Registry
from rag_common.testing import NatsServer, nats_users
from rag_common.topology import Topology
from rag_ingest.app import create_app
from rag_ingest.settings import IngestSettings


async def test_the_role_of_ingest_suffices(topology: Topology, registry: Registry, database_url: str) -> None:
    with NatsServer(users=nats_users(topology)) as server:
        operator = await nats.connect(server.url, user="operator", password="operator")
        await provision(operator.jetstream(), topology)
        stage = Stage(topology, operator.jetstream(), registry)
        settings = IngestSettings(
            namespace=topology.namespace,
            nats_url=server.url,
            nats_user="ingest",
            nats_password=SecretStr("ingest"),
            database_url=SecretStr(database_url),
        )
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            await stage.drops.put("one.txt", once(b"Some words."))
            await stage.send(drop(content=DroppedContent(object="one.txt")))
            await stage.reaches("embedding")
            await stage.send(drop(content=DroppedContent(object="gone.txt"), source_uri="file:///gone.txt"))
            assert (await stage.dead_letter()).code == "object_missing"
            await stage.idle()
            with pytest.raises(ObjectMissing):
                await stage.drops.info("one.txt")
            document = await stage.accept(b"Uploaded words.")
            await stage.send(stage.job(document), lane="interactive")
            await stage.embeds(2)
            await stage.outcomes("embedding")
        await operator.close()
