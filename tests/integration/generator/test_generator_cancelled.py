"""A client that hangs up ends the request to its model by the gateway's word alone."""

import httpx
import pytest
from generator_support import Gateway, Generator, eventually
from nats.aio.client import Client

from rag_common.testing import NatsServer
from rag_common.testing.ollama_server import Generation, OllamaServer
from rag_common.topology import Topology
from rag_generator.app import create_app
from rag_generator.domain import transmission
from rag_generator.settings import GeneratorSettings


async def test_a_cancelled_query_ends_the_generation_while_its_answer_is_said_to_be_wanted(
    gateway: Gateway,
    nats_server: NatsServer,
    nats_client: Client,
    provisioned: Topology,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A gateway that says yes to the question of each second must not be what the end depends on."""
    monkeypatch.setattr(transmission, "STILL_WANTED", 0.0)
    with OllamaServer() as ollama:
        ollama.then(Generation(tokens=("again ",) * 100_000, delay=0.01))

        async def ended() -> bool:
            return (ollama.running, ollama.closed) == (0, 1)

        settings = GeneratorSettings(
            namespace=provisioned.namespace,
            nats_url=nats_server.url,
            llm="ollama",
            ollama_url=ollama.url,
            graceful_timeout=5.0,
        )
        app = create_app(settings)
        async with (
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://generator") as http,
            app.router.lifespan_context(app),
        ):
            generator = Generator(http, nats_client, provisioned)
            await eventually(generator.is_ready)
            query = await gateway.ask()
            await gateway.until(lambda: len(gateway.asked[query]) > 3)
            assert ollama.running == 1
            await gateway.cancel(query)
            await eventually(ended)
            await generator.idle()
            assert await generator.metric("rag_answers_unwanted_total") == 1
    assert not gateway.unwanted
