import asyncio
import time

import pytest
from retriever_support import TENANT, Stack

from rag_common.contracts import (
    MAX_MESSAGE_BYTES,
    DeadLetter,
    EmbedQuery,
    Eq,
    PassagesFound,
    QueryFailed,
    RetrievePassages,
)

TEXTS = ["rotate the signing keys every ninety days", "the canteen opens at noon", "lunch is free on Fridays"]


async def test_a_question_finds_its_passage(stack: Stack, encoder: list[EmbedQuery]) -> None:
    document = await stack.add_live("keys.md", TEXTS, title="Keys", metadata={"lang": "en"})
    found = await stack.find("rotate signing keys")
    best = found.passages[0]
    assert (best.document_id, best.generation, best.chunk_no) == (document.document_id, 1, 0)
    assert (best.text, best.page, best.start, best.end) == (TEXTS[0], 1, 0, len(TEXTS[0]))
    assert (best.title, best.source_uri, best.collection) == ("Keys", "keys.md", "handbook")
    assert best.heading == ("Chapter",)
    assert best.metadata == {"lang": "en"}
    assert best.ranks == {"dense": 1, "sparse": 1}
    assert 0 < best.leg_scores["dense"] <= 1
    assert best.leg_scores["sparse"] > 0
    assert found.mode == "hybrid"
    assert not found.degraded
    assert found.timings_ms.keys() == {"queue", "encode", "index", "registry"}
    assert encoder[0].texts == ("rotate signing keys",)


@pytest.mark.parametrize("mode", ["dense", "sparse"])
async def test_one_leg_alone(stack: Stack, encoder: list[EmbedQuery], mode: str) -> None:
    await stack.add_live("keys.md", TEXTS)
    found = await stack.find("canteen noon", mode=mode, limit=1)
    assert [passage.text for passage in found.passages] == [TEXTS[1]]
    assert found.passages[0].ranks == {mode: 1}
    assert found.mode == mode
    assert len(encoder) == (mode == "dense")


async def test_a_russian_question_is_left_to_the_sparse_leg(stack: Stack, encoder: list[EmbedQuery]) -> None:
    await stack.add_live("rules.md", ["Ключи меняют каждые девяносто дней", "Обед бесплатный по пятницам"])
    found = await stack.find("Как часто менять ключ?")
    assert [passage.text for passage in found.passages] == ["Ключи меняют каждые девяносто дней"]
    assert found.mode == "sparse"
    assert not found.degraded
    assert encoder == []


async def test_without_an_embedder_hybrid_degrades_and_dense_fails(stack: Stack) -> None:
    await stack.add_live("keys.md", TEXTS)
    found = await stack.find("rotate keys")
    assert found.passages[0].text == TEXTS[0]
    assert found.degraded
    assert found.mode == "sparse"
    assert found.reason == "only lexical search: no embedder is running"
    assert await stack.metric("rag_queries_degraded_total") == 1
    failed = await stack.ask("rotate keys", mode="dense")
    assert isinstance(failed, QueryFailed)
    assert failed.code == "embedder_unavailable"


async def test_questions_that_arrive_together_share_requests(stack: Stack, encoder: list[EmbedQuery]) -> None:
    await stack.add_live("keys.md", TEXTS)
    answers = await asyncio.gather(*(stack.find(f"keys number {n}") for n in range(24)))
    assert all(answer.passages[0].text == TEXTS[0] for answer in answers)
    assert sum(len(request.texts) for request in encoder) == 24
    assert len(encoder) < 24


async def test_a_query_past_its_deadline_is_dropped_and_counted(
    stack: Stack, encoder: list[EmbedQuery]
) -> None:
    late = RetrievePassages(
        query_id="late",
        reply_to=stack.topology.subject(PassagesFound, gateway="test", query="late"),
        deadline=time.time() - 1,
        tenant=TENANT,
        principals=("*",),
        question="keys",
    )
    replies = await stack.client.subscribe(late.reply_to)
    await stack.publish(late)
    await stack.find("a query behind it")
    assert await stack.metric("rag_queries_expired_total") == 1
    assert replies.pending_msgs == 0


async def test_tenants_collections_and_filters_narrow_a_search(stack: Stack) -> None:
    await stack.registry.collections.create(TENANT, "empty")
    await stack.add_live("a.md", ["keys of the first floor"], metadata={"floor": 1})
    await stack.add_live("b.md", ["keys of the second floor"], metadata={"floor": 2.0})
    assert len(await stack.texts("keys")) == 2
    assert await stack.texts("keys", filter=Eq(field="floor", value=2)) == ["keys of the second floor"]
    assert len(await stack.texts("keys", collections=("handbook", "empty"))) == 2
    assert await stack.texts("keys", collections=("empty",)) == []
    assert await stack.texts("keys", collections=("absent",)) == []
    assert await stack.texts("keys", tenant="other") == []


async def test_a_revocation_holds_at_once_and_the_gap_is_refilled(stack: Stack) -> None:
    """The index still proposes the hidden documents: no update has been published."""
    hidden = [await stack.add_live(f"{n}.md", [f"keys keys keys {n}"]) for n in range(30)]
    await stack.add_live("open.md", ["a long text that mentions the keys only once, at its end: keys"])
    for document in hidden:
        async with stack.registry.database.connection() as connection:
            await connection.execute(
                "UPDATE documents SET acl = '{group:hr}', acl_version = acl_version + 1 WHERE id = $1",
                document.document_id,
            )
    found = await stack.find("keys", limit=2)
    assert [passage.source_uri for passage in found.passages] == ["open.md"]
    assert len(await stack.texts("keys", principals=("group:hr",), limit=50)) == 31


async def test_a_bad_query_is_dead_lettered_and_the_next_one_answered(stack: Stack) -> None:
    await stack.add_live("keys.md", TEXTS)
    letters = await stack.client.subscribe(stack.topology.subject(DeadLetter, stage="retrieve"))
    for body in (b"{", b"\xff\xfe", b'{"query_id": "x"}'):
        await stack.client.jetstream().publish(stack.topology.subject(RetrievePassages), body)
        letter = DeadLetter.decode((await letters.next_msg(timeout=10)).data)
        assert letter.code == "bad_message"
    assert (await stack.texts("canteen"))[0] == TEXTS[1]


async def test_an_answer_that_no_message_holds_is_shortened_or_refused(stack: Stack) -> None:
    large = {"note": "x" * 15_000}
    await stack.add_live("a.md", [f"keys number {n}" for n in range(60)], metadata=large)
    found = await stack.find("keys", limit=60)
    kept = len(found.passages)
    assert 0 < kept < 60
    assert str(found.reason).endswith(f"; only {kept} of 60 passages fit into one answer")
    assert len(found.encode()) <= MAX_MESSAGE_BYTES
    await stack.add_live("b.md", ["canteen " * (MAX_MESSAGE_BYTES // 8)])
    failed = await stack.ask("canteen")
    assert isinstance(failed, QueryFailed)
    assert failed.code == "message_too_large"
