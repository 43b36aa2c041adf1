"""Wide passages, copies, reranking and named spaces, on the running service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from retriever_support import SPACE, Stack, running_retriever

from rag_common.broker import flush
from rag_common.contracts import EmbedQuery, PassageScores, QueryFailed, RerankPassages
from rag_common.registry import Registry
from rag_common.testing import NatsServer
from rag_common.topology import Topology

TEXTS = [
    "the signing keys are kept in the safe of the harbour office",
    "rotate the signing keys every ninety days",
    "old keys are destroyed in the presence of two officers",
    "lunch is free on Fridays",
]
MODEL = "tiny-cross-encoder"


@asynccontextmanager
async def cross_encoder(client: Client, topology: Topology) -> AsyncIterator[list[RerankPassages]]:
    """Answers ``rerank.query``: a text that names the canteen is the best."""
    requests: list[RerankPassages] = []

    async def answer(message: Msg) -> None:
        request = RerankPassages.decode(message.data)
        requests.append(request)
        if request.question == "wait for ever":
            return
        scores = tuple(float("canteen" in text) - len(text) / 1000 for text in request.texts)
        await message.respond(PassageScores(model=request.model, scores=scores).encode())

    subscription = await client.subscribe(topology.subject(RerankPassages), cb=answer)
    await flush(client)
    yield requests
    await subscription.unsubscribe()


@pytest.fixture
async def reranking(
    nats_server: NatsServer,
    nats_client: Client,
    provisioned: Topology,
    registry: Registry,
    database_url: str,
    tmp_path: Path,
) -> AsyncIterator[Stack]:
    """A retriever with a reranker set up."""
    options = {"reranker": MODEL, "rerank_timeout": 0.5}
    async with running_retriever(
        nats_server.url, provisioned, database_url, tmp_path / "index", **options
    ) as http:
        yield Stack(nats_client, provisioned, registry, http)


async def test_a_passage_is_widened_to_the_exact_text(stack: Stack) -> None:
    await stack.add_live("keys.md", TEXTS, pages=False)
    source = "\n\n".join(TEXTS)
    for budget in (1, 110, 130, 20_000):
        (best, *_) = (await stack.find("rotate every ninety days", expand=budget)).passages
        assert best.chunk_no == 1
        assert best.text == source[best.start : best.end]
        assert len(best.text) <= max(budget, len(TEXTS[1]))
    found = await stack.find("rotate keys lunch", expand=20_000)
    assert [(passage.start, passage.end) for passage in found.passages] == [(0, len(source))]
    await stack.add_live("pages.md", TEXTS)
    pages = [passage for passage in (await stack.find("keys", expand=500)).passages if passage.page]
    assert {passage.text for passage in pages} <= set(TEXTS)


async def test_copies_are_named_only_to_those_who_may_read_them(stack: Stack) -> None:
    await stack.registry.collections.create("default", "archive")
    first = await stack.add_live("a.md", [TEXTS[0]], pages=False)
    second = await stack.add_live("b.md", [TEXTS[0].upper()], title="Copy")
    await stack.add_live("hidden.md", [TEXTS[0]], acl=("group:hr",))
    await stack.add_live("other.md", [TEXTS[1]])
    found = await stack.find("signing keys safe", limit=2)
    best, other = found.passages
    assert other.source_uri == "other.md"
    (copy,) = best.also_in
    assert {best.document_id, copy.document_id} == {first.document_id, second.document_id}
    assert (copy.end - copy.start, copy.collection) == (len(TEXTS[0]), "handbook")
    everything = await stack.find("signing keys safe", limit=2, principals=("group:hr",))
    assert len(everything.passages[0].also_in) == 2


async def test_without_a_reranker_it_cannot_be_asked_for(stack: Stack) -> None:
    failed = await stack.ask("keys", rerank=True)
    assert isinstance(failed, QueryFailed)
    assert failed.code == "no_reranker"
    assert not (await stack.find("keys", rerank=False)).reranked


async def test_the_cross_encoder_decides(reranking: Stack) -> None:
    texts = ["the keys keys keys keys", "the keys of the canteen", "the canteen"]
    await reranking.add_live("keys.md", texts)
    async with cross_encoder(reranking.client, reranking.topology) as requests:
        found = await reranking.find("keys")
        assert [passage.text for passage in found.passages] == [texts[1], texts[0]]
        assert found.passages[0].score == pytest.approx(1 - len(texts[1]) / 1000)
        assert found.reranked
        assert found.timings_ms["rerank"] > 0
        assert (requests[0].model, requests[0].question) == (MODEL, "keys")
        plain = await reranking.find("keys", rerank=False)
        assert [passage.text for passage in plain.passages] == texts[:2]
        assert len(requests) == 1


async def test_a_silent_or_absent_cross_encoder_costs_the_order_only(reranking: Stack) -> None:
    await reranking.add_live("keys.md", ["wait here for the keys", "for ever and ever"])
    absent = await reranking.find("wait for ever", rerank=True)
    assert len(absent.passages) == 2
    assert not absent.reranked
    assert str(absent.reason).endswith("; not reranked: no embedder with a reranker is running")
    async with cross_encoder(reranking.client, reranking.topology):
        answers = await asyncio.gather(*(reranking.find("wait for ever") for _ in range(3)))
    for silent in answers:
        assert [passage.text for passage in silent.passages] == [passage.text for passage in absent.passages]
        assert str(silent.reason).endswith("; not reranked: the embedder has not answered within 0.5 s")
        assert silent.degraded


async def test_a_search_names_its_space(stack: Stack, encoder: list[EmbedQuery]) -> None:
    await stack.add_live("keys.md", TEXTS)
    assert (await stack.find("keys")).space == SPACE
    found = await stack.find("keys", space=SPACE)
    assert found.space == SPACE
    assert found.passages
    other = await stack.find("keys", space="multilingual-e5-small")
    assert (other.space, other.passages) == ("multilingual-e5-small", ())
    assert [request.space for request in encoder] == [SPACE, SPACE, "multilingual-e5-small"]
    failed = await stack.ask("keys", space="absent")
    assert isinstance(failed, QueryFailed)
    assert failed.code == "unknown_space"
    assert "'absent'" in failed.message
