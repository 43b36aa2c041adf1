"""Searching: a query goes out, its answer comes back, or its deadline passes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import nats.errors
import pytest
from gateway_support import Gateway, Place, eventually, problem, running_gateway
from nats.js import JetStreamContext

from rag_common.contracts import (
    Eq,
    Message,
    Passage,
    PassagesFound,
    QueryFailed,
    RetrievePassages,
    Source,
)
from rag_common.registry import Registry
from rag_common.topology import Topology
from rag_gateway.shapes.search import SearchAnswer

Answer = Callable[[RetrievePassages], Message | None]

PASSAGE = Passage(
    document_id="6f1f1c1e-7a53-4a65-9a0a-2a1f3f1f0f11",
    generation=2,
    collection="handbook",
    title="Отпуск",
    source_uri="upload:/leave.pdf",
    chunk_no=3,
    page=2,
    start=10,
    end=30,
    heading=("Working time", "Leave"),
    text="Everyone has 28 days.",
    score=0.75,
    ranks={"dense": 1, "sparse": 4},
    metadata={"department": "hr"},
)


def found(query: RetrievePassages, **changes: Any) -> PassagesFound:
    fields = {"passages": (PASSAGE,), "mode": query.mode, "timings_ms": {"encode": 4.0}} | changes
    return PassagesFound(query_id=query.query_id, **fields)


@asynccontextmanager
async def retriever(
    jetstream: JetStreamContext, topology: Topology, answer: Answer
) -> AsyncIterator[list[RetrievePassages]]:
    """Answers queries as the retriever does; what it was asked."""
    asked: list[RetrievePassages] = []
    pull = await jetstream.pull_subscribe_bind("retriever-query", topology.stream("QUERY"))

    async def work() -> None:
        while True:
            try:
                messages = await pull.fetch(10, timeout=5)
            except nats.errors.TimeoutError:
                continue
            for message in messages:
                query = RetrievePassages.decode(message.data)
                asked.append(query)
                reply = answer(query)
                if reply is not None:
                    await jetstream._nc.publish(query.reply_to, reply.encode())
                await message.ack()

    working = asyncio.create_task(work())
    yield asked
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await pull.unsubscribe()


async def test_a_search_returns_passages_with_all_their_fields(gateway: Gateway) -> None:
    async with retriever(gateway.jetstream, gateway.topology, found) as asked:
        response = await gateway.http.post(
            "/v1/search",
            json={
                "query": "  How many days? ",
                "collections": ["handbook"],
                "mode": "sparse",
                "limit": 3,
                "filter": {"op": "eq", "field": "department", "value": "hr"},
            },
        )
    assert response.status_code == 200
    answer = response.json()
    assert answer["passages"] == [PASSAGE.model_dump(mode="json")]
    assert (answer["mode"], answer["degraded"], answer["reason"]) == ("sparse", False, None)
    assert answer["timings_ms"]["encode"] == 4.0
    assert answer["timings_ms"]["total"] > 0
    assert (answer["space"], answer["reranked"]) == (None, False)
    assert answer.keys() == SearchAnswer.model_fields.keys()
    (query,) = asked
    assert (query.question, query.collections, query.mode, query.limit) == (
        "How many days?",
        ("handbook",),
        "sparse",
        3,
    )
    assert query.filter == Eq(field="department", value="hr")
    assert query.tenant == "default"
    assert query.principals == ("*", "key:bootstrap")
    assert (query.expand, query.diversity, query.rerank, query.space) == (0, 0, None, None)


async def test_how_passages_are_chosen_is_passed_on(gateway: Gateway) -> None:
    wishes = {"expand": 2000, "diversity": 0.25, "rerank": False, "space": "bge-m3"}
    places = ({"page": None, "slide": 3}, {"page": None, "sheet": "Цены", "rows": (4, 9)})
    copy = Source(document_id="d", collection="archive", title="C", source_uri="c", start=0, end=9, page=1)

    def answer(query: RetrievePassages) -> Message:
        passages = [PASSAGE.model_copy(update={**place, "also_in": (copy,)}) for place in places]
        return found(query, passages=tuple(passages), space=query.space, reranked=True)

    async with retriever(gateway.jetstream, gateway.topology, answer) as asked:
        response = await gateway.http.post("/v1/search", json={"query": "days", **wishes})
    (query,) = asked
    assert query.model_dump(include=set(wishes)) == wishes
    body = SearchAnswer.model_validate(response.json())
    assert (body.space, body.reranked) == ("bge-m3", True)
    assert [passage.slide for passage in body.passages] == [3, None]
    assert (body.passages[1].sheet, body.passages[1].rows) == ("Цены", (4, 9))
    assert body.passages[0].also_in == (copy,)


async def test_a_degraded_answer_says_so(gateway: Gateway) -> None:
    def sparse_only(query: RetrievePassages) -> Message:
        reason = "only lexical search: no embedder is running"
        return found(query, mode="sparse", degraded=True, reason=reason, passages=())

    async with retriever(gateway.jetstream, gateway.topology, sparse_only):
        answer = (await gateway.http.post("/v1/search", json={"query": "days"})).json()
        in_russian = await gateway.http.post(
            "/v1/search", json={"query": "days"}, headers={"Accept-Language": "ru"}
        )
    assert (answer["mode"], answer["degraded"]) == ("sparse", True)
    assert answer["reason"] == "only lexical search: no embedder is running"
    assert in_russian.json()["reason"] == "только поиск по словам: эмбеддер не запущен"
    assert in_russian.headers["content-language"] == "ru"
    assert "rag_searches_degraded_total 2.0" in (await gateway.http.get("/metrics")).text


async def test_answers_find_their_own_questions(gateway: Gateway) -> None:
    def echo(query: RetrievePassages) -> Message:
        return found(query, passages=(PASSAGE.model_copy(update={"text": query.question}),))

    async with retriever(gateway.jetstream, gateway.topology, echo):
        questions = [f"question {number}" for number in range(40)]
        responses = await asyncio.gather(
            *(gateway.http.post("/v1/search", json={"query": question}) for question in questions)
        )
    assert [response.json()["passages"][0]["text"] for response in responses] == questions


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unknown_collection", 404),
        ("unknown_space", 404),
        ("no_reranker", 422),
        ("something_odd", 500),
        ("embedder_unavailable", 503),
    ],
)
async def test_a_failed_query_is_a_problem(gateway: Gateway, code: str, status: int) -> None:
    def fail(query: RetrievePassages) -> Message:
        return QueryFailed(query_id=query.query_id, code=code, message="a matter of the retriever")

    async with retriever(gateway.jetstream, gateway.topology, fail):
        response = await gateway.http.post("/v1/search", json={"query": "days"})
    body = problem(response, status, "internal_error" if status == 500 else code)
    assert ("matter of the retriever" in body["detail"]) == (status != 500)


async def test_without_an_answer_the_deadline_ends_the_search(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async with running_gateway(place, registry, jetstream, search_timeout=0.3) as gateway:
        problem(await gateway.http.post("/v1/search", json={"query": "days"}), 504, "deadline_exceeded")


async def test_a_full_queue_is_back_pressure(gateway: Gateway) -> None:
    stream = gateway.topology.stream("QUERY")
    config = (await gateway.jetstream.stream_info(stream)).config
    await gateway.jetstream.update_stream(config.evolve(max_msgs_per_subject=1))
    waiting = asyncio.create_task(gateway.http.post("/v1/search", json={"query": "first"}, timeout=60))

    async def queued() -> bool | None:
        return bool(await gateway.stored(RetrievePassages)) or None

    await eventually(queued)
    response = await gateway.http.post("/v1/search", json={"query": "second"})
    problem(response, 503, "overloaded")
    assert int(response.headers["retry-after"]) >= 1
    async with retriever(gateway.jetstream, gateway.topology, found):
        assert (await waiting).status_code == 200


async def test_more_searches_than_one_gateway_takes_are_refused(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async with running_gateway(place, registry, jetstream, max_searches=2, search_timeout=1.0) as gateway:
        responses = await asyncio.gather(
            *(gateway.http.post("/v1/search", json={"query": "days"}) for _ in range(3))
        )
    assert sorted(response.status_code for response in responses) == [503, 504, 504]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": ""},
        {"query": "   "},
        {"query": "a\x00b"},
        {"query": "x" * 4001},
        {"query": 7},
        {"query": "days", "limit": 0},
        {"query": "days", "limit": 101},
        {"query": "days", "mode": "psychic"},
        {"query": "days", "collections": "handbook"},
        {"query": "days", "collections": ["A B"]},
        {"query": "days", "filter": {"op": "like", "field": "a", "value": "b"}},
        {"query": "days", "filter": {"op": "eq", "field": "a b", "value": "b"}},
        {"query": "days", "filter": {"op": "eq", "field": "a", "value": 2**63}},
        {"query": "days", "filter": {"op": "eq", "field": "a", "value": "\x00"}},
        {"query": "days", "filter": {"op": "range", "field": "a"}},
        {"query": "days", "filter": {"op": "and", "filters": []}},
        {"query": "days", "expand": -1},
        {"query": "days", "expand": 20_001},
        {"query": "days", "diversity": 1.5},
        {"query": "days", "rerank": "maybe"},
        {"query": "days", "space": ""},
        {"query": "days", "space": "a\x00"},
        {"query": "days", "colour": "red"},
        [],
        "days",
    ],
)
async def test_a_bad_search_is_refused(gateway: Gateway, body: Any) -> None:
    problem(await gateway.http.post("/v1/search", json=body), 422, "invalid_request")


async def test_a_filter_has_bounds(gateway: Gateway) -> None:
    leaf: Any = {"op": "exists", "field": "a"}
    deep = leaf
    for _ in range(9):
        deep = {"op": "not", "filter": deep}
    wide = {"op": "and", "filters": [{"op": "or", "filters": [leaf] * 40}] * 2}
    for condition in (deep, wide):
        body = {"query": "days", "filter": condition}
        problem(await gateway.http.post("/v1/search", json=body), 422, "invalid_request")


async def test_an_unknown_collection_is_not_found(gateway: Gateway) -> None:
    body = {"query": "days", "collections": ["handbook", "handbok"]}
    detail = problem(await gateway.http.post("/v1/search", json=body), 404, "unknown_collection")["detail"]
    assert "'handbok'" in detail
