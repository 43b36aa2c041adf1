import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retriever_fakes import (
    FakeCollections,
    FakeEncoder,
    FakePassages,
    FakeProposer,
    FakeSpaces,
    FakeSparse,
)

from rag_common.contracts import AnswerOptions, RetrievePassages
from rag_retriever.domain.bm25_unit import Bm25Unit
from rag_retriever.domain.deadlines import DeadlinePassed
from rag_retriever.domain.index import ChunkKey, Hit, SearchSpec
from rag_retriever.domain.ports import EncoderUnavailable
from rag_retriever.domain.questions import EmbedderNeeded, QuestionEncoder
from rag_retriever.domain.search import Search

DOWN = EncoderUnavailable("no embedder is running")


def query(**fields: Any) -> RetrievePassages:
    defaults: dict[str, Any] = {
        "query_id": "q",
        "reply_to": "reply",
        "deadline": time.time() + 10,
        "tenant": "acme",
        "principals": ("user:alice",),
        "question": "how to rotate keys",
    }
    return RetrievePassages(**(defaults | fields))


class Bench:
    def __init__(
        self,
        size: int = 100,
        *,
        passages: FakePassages | None = None,
        encoder: FakeEncoder | None = None,
    ) -> None:
        self.passages = passages or FakePassages()
        self.encoder = encoder or FakeEncoder()
        self.propose = FakeProposer(size)
        encode = QuestionEncoder(FakeSpaces(), FakeSparse(), self.encoder)
        self.search = Search(encode, FakeCollections(), self.passages, self.propose)


async def test_the_best_hits_become_passages() -> None:
    bench = Bench()
    found = await bench.search(query(limit=3))
    assert [passage.text for passage in found.passages] == ["text 0", "text 1", "text 2"]
    assert found.passages[1].ranks == {"sparse": 2}
    assert found.passages[1].score == 0.5
    assert (found.mode, found.degraded, found.reason) == ("hybrid", False, None)
    assert found.timings_ms.keys() == {"encode", "index", "registry"}
    assert [len(asked) for asked in bench.passages.asked] == [10]
    assert bench.encoder.asked == [("minilm", "how to rotate keys")]


async def test_every_search_carries_the_caller_s_scope() -> None:
    bench = Bench()
    await bench.search(query(principals=("group:hr",), collections=("one", "absent")))
    (spec,) = bench.propose.specs
    assert spec.scope.tenant == "acme"
    assert spec.scope.principals == ("*", "group:hr")
    assert spec.scope.collections == ("id-one",)
    assert bench.passages.principals == ("*", "group:hr")


async def test_collections_that_do_not_exist_hold_nothing() -> None:
    bench = Bench()
    assert (await bench.search(query(collections=("absent",)))).passages == ()
    assert bench.propose.specs == []


async def test_dropped_hits_are_refilled_from_those_at_hand_first() -> None:
    bench = Bench(passages=FakePassages(lambda key: key.no >= 3))
    found = await bench.search(query(limit=3))
    assert [passage.chunk_no for passage in found.passages] == [3, 4, 5]
    assert len(bench.propose.specs) == 1


async def test_the_index_is_asked_for_twice_as_much_at_most_three_times() -> None:
    bench = Bench(size=1000, passages=FakePassages(lambda key: key.no >= 30))
    found = await bench.search(query(limit=2))
    assert [spec.limit for spec in bench.propose.specs] == [14, 28, 56]
    assert [passage.chunk_no for passage in found.passages] == [30, 31]
    bench = Bench(size=1000, passages=FakePassages(lambda _: False))
    assert (await bench.search(query(limit=2))).passages == ()
    assert len(bench.propose.specs) == 3


async def test_an_exhausted_index_is_not_asked_again() -> None:
    bench = Bench(size=5, passages=FakePassages(lambda key: key.no == 4))
    found = await bench.search(query(limit=3))
    assert [passage.chunk_no for passage in found.passages] == [4]
    assert len(bench.propose.specs) == 1


@settings(max_examples=50, deadline=None)
@given(
    size=st.integers(0, 60),
    limit=st.integers(1, 10),
    dropped=st.sets(st.integers(0, 60), max_size=20),
)
async def test_no_admitted_hit_is_passed_over(size: int, limit: int, dropped: set[int]) -> None:
    bench = Bench(size, passages=FakePassages(lambda key: key.no not in dropped))
    found = await bench.search(query(limit=limit))
    reach = range(min(size, 4 * (2 * limit + 10)))
    assert [passage.chunk_no for passage in found.passages] == [n for n in reach if n not in dropped][:limit]
    asked = [key for keys in bench.passages.asked for key in keys]
    assert len(asked) == len(set(asked))


async def test_hybrid_falls_back_on_the_sparse_leg() -> None:
    bench = Bench(encoder=FakeEncoder(error=DOWN))
    found = await bench.search(query())
    assert (found.mode, found.degraded) == ("sparse", True)
    assert found.reason == "only lexical search: no embedder is running"
    assert found.passages
    assert bench.propose.specs[0].dense is None


async def test_a_vector_of_another_model_is_no_vector() -> None:
    bench = Bench(encoder=FakeEncoder(dimension=3))
    found = await bench.search(query())
    assert found.degraded
    assert "dimension 3" in str(found.reason)


async def test_a_dense_search_needs_the_embedder() -> None:
    with pytest.raises(EmbedderNeeded, match="no embedder is running"):
        await Bench(encoder=FakeEncoder(error=DOWN)).search(query(mode="dense"))


async def test_one_leg_is_asked_where_one_is_wanted() -> None:
    for mode in ("dense", "sparse"):
        bench = Bench()
        assert (await bench.search(query(mode=mode))).mode == mode
        (spec,) = bench.propose.specs
        assert (spec.dense is not None, spec.sparse is not None) == (mode == "dense", mode == "sparse")
    assert bench.encoder.asked == []


async def test_a_russian_question_and_an_english_model() -> None:
    bench = Bench()
    found = await bench.search(query(question="как сменить ключи"))
    assert (found.mode, found.degraded) == ("sparse", False)
    assert bench.encoder.asked == []


async def test_scores_of_an_answer_s_passages_come_with_their_unit() -> None:
    bench = Bench()

    async def count(_: str) -> int:
        return 100

    search = replace(bench.search, bm25_unit=Bm25Unit(count))
    found = await search(query(answer=AnswerOptions()))
    assert found.bm25_unit == await Bm25Unit(count)("minilm", 4)
    # who searches only has no use for it, and without the lexical leg there is none
    assert (await search(query())).bm25_unit is None
    assert (await search(query(answer=AnswerOptions(), mode="dense"))).bm25_unit is None


async def test_a_passed_deadline_costs_nothing() -> None:
    bench = Bench()
    with pytest.raises(DeadlinePassed):
        await bench.search(query(deadline=time.time() - 0.1))
    assert bench.encoder.asked == []


async def test_a_deadline_ends_the_work() -> None:
    async def never(spec: SearchSpec) -> list[Hit]:
        await asyncio.Event().wait()
        return [Hit(ChunkKey("d", 1, 0), 1.0)]

    encode = QuestionEncoder(FakeSpaces(), FakeSparse(), FakeEncoder())
    search = Search(encode, FakeCollections(), FakePassages(), never)
    with pytest.raises(DeadlinePassed):
        await search(query(deadline=time.time() + 0.05))
