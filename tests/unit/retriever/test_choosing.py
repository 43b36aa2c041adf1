"""What a search does with its candidates: collapse, rerank, diversify, read wide; and what that costs."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retriever_fakes import FakeCollections, FakeEncoder, FakeLibrary, FakeReranker, FakeSpaces, FakeSparse

from rag_common.contracts import MAX_MESSAGE_BYTES, PassagesFound, RetrievePassages
from rag_retriever.domain.ports import RerankerUnavailable
from rag_retriever.domain.questions import QuestionEncoder
from rag_retriever.domain.reranking import MAX_TEXTS, NoReranker
from rag_retriever.domain.search import Search

WORDS = [
    "anchor",
    "buoy",
    "canteen",
    "draught",
    "estuary",
    "fender",
    "galley",
    "harbour",
    "inlet",
    "jetty",
    "keel",
    "ladder",
    "mast",
    "nets",
    "oar",
]


def sentence(number: int) -> str:
    """A text of its own for each number."""
    return " ".join(f"{word}{number}" for word in WORDS)


def library(documents: int, chunks: int = 1) -> FakeLibrary:
    texts = {f"d{n:03}": [sentence(n * chunks + no) for no in range(chunks)] for n in range(documents)}
    return FakeLibrary(texts, [(document, no) for no in range(chunks) for document in texts])


async def find(library: FakeLibrary, reranker: FakeReranker | None = None, **fields: Any) -> PassagesFound:
    encode = QuestionEncoder(FakeSpaces(), FakeSparse(), FakeEncoder())
    search = Search(encode, FakeCollections(), library, library.propose, reranker)
    defaults: dict[str, Any] = {
        "query_id": "q",
        "reply_to": "reply",
        "deadline": time.time() + 10,
        "tenant": "acme",
        "principals": ("user:alice",),
        "question": "keys",
    }
    return await search(RetrievePassages(**(defaults | fields)))


def numbers(found: PassagesFound) -> list[tuple[str, int]]:
    return [(passage.document_id, passage.chunk_no) for passage in found.passages]


async def test_a_plain_search_asks_each_store_once() -> None:
    plain = library(50)
    found = await find(plain, limit=10)
    assert plain.reads == ["index 30", "texts 10"]
    assert len(found.passages) == 10
    assert (found.space, found.reranked) == ("minilm", False)


async def test_copies_make_room_and_are_named() -> None:
    texts = {f"d{n:03}": [sentence(0)] for n in range(12)} | {f"e{n:03}": [sentence(n)] for n in range(1, 9)}
    copies = FakeLibrary(texts, [(document, 0) for document in texts])
    copies.hidden = {"d003"}
    found = await find(copies, limit=3)
    assert numbers(found) == [("d000", 0), ("e001", 0), ("e002", 0)]
    assert copies.reads == ["index 16", "texts 10", "texts 6"]
    named = [source.document_id for source in found.passages[0].also_in]
    assert named == [f"d{n:03}" for n in range(12) if n not in (0, 3)]
    assert found.passages[0].also_in[0].source_uri == "d001"
    assert found.passages[1].also_in == ()


async def test_one_passage_names_its_copies_too() -> None:
    copies = FakeLibrary({"a": [sentence(0)], "b": [sentence(0).upper()]}, [("a", 0), ("b", 0)])
    (passage,) = (await find(copies, limit=1)).passages
    assert [source.document_id for source in passage.also_in] == ["b"]


async def test_a_wide_search_asks_the_registry_twice() -> None:
    wide = library(40, chunks=3)
    found = await find(wide, limit=10, expand=1000)
    assert wide.reads == ["index 30", "texts 30", "neighbours 10"]
    assert len(found.passages) == 10
    assert all(passage.text.count("\n") == 2 for passage in found.passages)


async def test_passages_that_merge_are_refilled() -> None:
    texts = {"a": [sentence(n) for n in range(5)], "b": [sentence(n) for n in range(5, 10)]}
    ranking = [("a", 0), ("a", 1), ("a", 4), ("a", 2), ("b", 3), ("b", 0)]
    found = await find(FakeLibrary(texts, ranking), limit=2, expand=1000)
    assert numbers(found) == [("a", 0), ("b", 3)]
    assert [passage.text.count("\n") for passage in found.passages] == [4, 4]
    assert found.passages[0].score == 1
    assert found.passages[1].ranks == {"sparse": 5}
    assert len((await find(FakeLibrary(texts, ranking), limit=5, expand=1000)).passages) == 2


async def test_the_index_is_asked_again_when_everything_merged() -> None:
    texts = {"a": ["word"] * 100, "b": [sentence(1)]}
    merging = FakeLibrary(texts, [("a", no) for no in range(40)] + [("b", 0)])
    found = await find(merging, limit=2, expand=5000)
    assert numbers(found) == [("a", 0), ("b", 0)]
    assert [read for read in merging.reads if "index" in read] == ["index 14", "index 28", "index 56"]


@pytest.mark.parametrize(
    ("sentences", "passages", "neighbours"), [(1, 1, [1, 0, 0]), (6, 5, [2, 1, 1])], ids=["short", "long"]
)
async def test_refilling_takes_few_queries(sentences: int, passages: int, neighbours: list[int]) -> None:
    """Of one document that swallows most of what is found; it took 87 queries for neighbours, 76 of them
    without a window, and ten times the reranker."""
    texts = [" ".join(sentence(6 * n + each) for each in range(sentences)) for n in range(211)]
    one = FakeLibrary({"a": texts}, [("a", no) for no in range(211)])
    reranker = FakeReranker()
    found = await find(one, reranker, limit=10, expand=20_000)
    assert len(found.passages) == passages
    rounds = [["index 30", "texts 30"], ["index 60", "texts 30"], ["index 120", "texts 60"]]
    windows = [["neighbours 1"] * count for count in neighbours]
    assert one.reads == [read for both in zip(rounds, windows, strict=True) for part in both for read in part]
    assert [len(asked) for asked in reranker.asked] == [30, 30, 30]


async def test_copies_of_one_text_take_few_queries() -> None:
    texts = {f"d{n:03}": [sentence(0)] for n in range(500)}
    copies = FakeLibrary(texts, [(document, 0) for document in texts])
    (passage,) = (await find(copies, limit=10)).passages
    assert copies.reads == [
        "index 30",
        "texts 10",
        "texts 20",
        "index 60",
        "texts 30",
        "index 120",
        "texts 60",
    ]
    assert len(passage.also_in) == 119


async def test_what_is_revoked_before_the_neighbours_are_read_does_not_leave() -> None:
    class Revoking(FakeLibrary):
        async def neighbours(self, *asked: Any) -> Any:
            self.hidden.add("a")
            return await super().neighbours(*asked)

    texts = {"a": [sentence(0), sentence(1)], "b": [sentence(2)]}
    found = await find(Revoking(texts, [("a", 0), ("b", 0)]), limit=1, expand=100)
    assert numbers(found) == [("b", 0)]


async def test_no_more_is_read_than_one_message_holds() -> None:
    documents = [f"d{n:03}" for n in range(100)]
    texts = {document: [document + "x" * 19_900] for document in documents}
    large = FakeLibrary(texts, [(document, 0) for document in documents])
    found = await find(large, limit=100, expand=20_000)
    assert sum(len(passage.text) for passage in found.passages) > MAX_MESSAGE_BYTES
    assert [read for read in large.reads if "neighbours" in read] == ["neighbours 27"]


async def test_diversity_prefers_what_says_something_else() -> None:
    texts = {
        "a": ["the duty officer rotates the signing keys every quarter"],
        "b": ["every quarter the signing keys are rotated by the duty officer on watch"],
        "c": ["lunch is served in the canteen from noon"],
    }
    ranking = [("a", 0), ("b", 0), ("c", 0)]
    assert numbers(await find(FakeLibrary(texts, ranking), limit=2)) == [("a", 0), ("b", 0)]
    varied = FakeLibrary(texts, ranking)
    assert numbers(await find(varied, limit=2, diversity=0.6)) == [("a", 0), ("c", 0)]
    assert varied.reads == ["index 14", "texts 3"]


async def test_a_reranker_orders_the_candidates() -> None:
    lengths = [5, 9, 3, 60, 7]
    texts = {f"d{n}": [f"{n}{'x' * length}"] for n, length in enumerate(lengths)}
    ranking = [(document, 0) for document in texts]
    reranker = FakeReranker()
    found = await find(FakeLibrary(texts, ranking), reranker, limit=2)
    assert numbers(found) == [("d3", 0), ("d1", 0)]
    assert [passage.score for passage in found.passages] == [61, 10]
    assert found.passages[0].ranks == {"sparse": 4}
    assert found.reranked
    assert not found.degraded
    assert "rerank" in found.timings_ms
    assert [len(asked) for asked in reranker.asked] == [5]


@pytest.mark.parametrize(("limit", "scored"), [(1, 30), (10, 30), (50, 50), (100, 100)])
async def test_the_shortlist(limit: int, scored: int) -> None:
    reranker = FakeReranker()
    many = library(300)
    found = await find(many, reranker, limit=limit)
    assert len(found.passages) == limit
    assert [len(asked) for asked in reranker.asked] == [scored]
    assert many.reads == [f"index {max(30, 2 * limit + 10)}", f"texts {max(30, 2 * limit + 10)}"]
    assert scored <= MAX_TEXTS


async def test_a_reranker_that_fails_is_done_without() -> None:
    reranker = FakeReranker(RerankerUnavailable("no embedder with a reranker is running"))
    found = await find(library(20), reranker, limit=3)
    assert numbers(found) == [("d000", 0), ("d001", 0), ("d002", 0)]
    assert (found.reranked, found.degraded) == (False, True)
    assert found.reason == "not reranked: no embedder with a reranker is running"
    assert len(reranker.asked) == 1


async def test_a_reranker_is_not_asked_when_the_deadline_is_near() -> None:
    reranker = FakeReranker()
    found = await find(library(20), reranker, limit=3, deadline=time.time() + 0.4)
    assert found.reason == "not reranked: there is no time left before the deadline"
    assert reranker.asked == []


async def test_reranking_is_the_caller_s_choice() -> None:
    reranker = FakeReranker()
    assert not (await find(library(5), reranker, rerank=False)).reranked
    assert reranker.asked == []
    assert (await find(library(5), reranker, rerank=True)).reranked
    assert not (await find(library(5), rerank=False)).reranked
    with pytest.raises(NoReranker, match="RAG_RERANKER"):
        await find(library(5), rerank=True)


@settings(max_examples=100, deadline=None)
@given(
    same=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    hidden=st.sets(st.integers(0, 39), max_size=20),
    limit=st.integers(1, 8),
    expand=st.sampled_from([0, 60, 500]),
    diversity=st.sampled_from([0.0, 0.5]),
    rerank=st.booleans(),
)
async def test_whatever_is_asked_passages_are_distinct_and_readable(
    same: list[int], hidden: set[int], limit: int, expand: int, diversity: float, rerank: bool
) -> None:
    texts = {f"d{n:03}": [sentence(number), sentence(100 + n)] for n, number in enumerate(same)}
    found_in = FakeLibrary(texts, [(document, 0) for document in texts])
    found_in.hidden = {f"d{n:03}" for n in hidden}
    reranker = FakeReranker() if rerank else None
    found = await find(found_in, reranker, limit=limit, expand=expand, diversity=diversity)
    readable = {number for n, number in enumerate(same) if n not in hidden}
    reach = 4 * (2 * limit + 10)
    assert len(same) <= reach
    assert len(found.passages) == min(limit, len(readable))
    named = [
        document
        for passage in found.passages
        for document in (passage.document_id, *(source.document_id for source in passage.also_in))
    ]
    assert len(named) == len(set(named))
    assert found_in.hidden.isdisjoint(named)
    assert len({same[int(passage.document_id[1:])] for passage in found.passages}) == len(found.passages)
