"""Joining a chunk with its neighbours: exact text, within section, part and budget, never overlapping."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retriever_fakes import FakeChunk, FakePassage

from rag_common.contracts import NOWHERE, Place
from rag_retriever.domain.answering import wide_passage
from rag_retriever.domain.candidates import Candidate
from rag_retriever.domain.expansion import WidePassages, windows
from rag_retriever.domain.index import ChunkKey, Hit

KEY = ("d", 1)


def chunk(no: int, **fields: object) -> FakeChunk:
    """Ten letters, and two line ends before the next ten."""
    text = chr(ord("a") + no) * 10
    return FakeChunk(**({"text": text, "start": 12 * no, "end": 12 * no + 10, "gap": "\n\n"} | fields))  # type: ignore[arg-type]


def candidate(no: int, of: FakeChunk, *copies: Candidate, document: str = "d") -> Candidate:
    row = FakePassage(of.text, of.place, of.start, of.end, of.heading)
    return Candidate(Hit(ChunkKey(document, 1, no), 1 / (no + 1), {"dense": no + 1}), row, copies)


def widened(chunks: list[FakeChunk], hits: list[int], budget: int, question: str = "keys") -> list[str]:
    wide = WidePassages(budget, question)
    for no in hits:
        hit = candidate(no, chunks[no])
        if not wide.absorb(hit):
            wide.add(hit, dict(enumerate(chunks)))
    return [passage.text for passage in wide.passages]


def test_it_grows_by_turns_after_and_before() -> None:
    chunks = [chunk(no) for no in range(6)]
    a, b, c, d, e, _ = (part.text for part in chunks)
    assert widened(chunks, [2], 10) == [c]
    assert widened(chunks, [2], 22) == [f"{c}\n\n{d}"]
    assert widened(chunks, [2], 34) == [f"{b}\n\n{c}\n\n{d}"]
    assert widened(chunks, [2], 46) == [f"{b}\n\n{c}\n\n{d}\n\n{e}"]
    assert widened(chunks, [0], 34) == [f"{a}\n\n{b}\n\n{c}"]
    assert widened(chunks, [2], 5) == [c]


def test_it_grows_towards_the_words_of_the_question() -> None:
    texts = ["rotating keys", "the keys", "each quarter", "fees", "lunch at noon"]
    chunks = []
    for text in texts:
        start = chunks[-1].end + 1 if chunks else 0
        chunks.append(FakeChunk(text, start, start + len(text), gap=" "))
    assert widened(chunks, [2], 22, "quarterly fees") == ["each quarter fees"]
    assert widened(chunks, [2], 22, "which keys?") == ["the keys each quarter"]
    assert widened(chunks, [2], 36, "rotated when?") == ["the keys each quarter fees"]
    assert widened(chunks, [2], 36, "keys, rotated") == ["rotating keys the keys each quarter"]


def test_a_side_that_does_not_fit_leaves_room_for_the_other() -> None:
    chunks = [chunk(0), chunk(1), FakeChunk("x" * 99, 24, 123, gap="\n\n")]
    assert widened(chunks, [1], 40) == ["a" * 10 + "\n\n" + "b" * 10]


@pytest.mark.parametrize(
    "border",
    [
        {"heading": ("Leave",)},
        {"place": Place(page=2)},
        {"place": Place(slide=2)},
        {"place": Place(sheet="Prices", rows=(1, 2))},
        {"gap": None},
        {"gap": "\n"},
    ],
    ids=["section", "page", "slide", "sheet", "gap unknown", "gap of another length"],
)
def test_a_border_is_not_crossed(border: dict[str, object]) -> None:
    chunks = [chunk(0), chunk(1, **border), chunk(2, **border)]
    assert widened(chunks, [0], 99) == [chunks[0].text]
    assert widened(chunks, [1], 99)[0].startswith(chunks[1].text)


def test_chunks_that_touch_or_overlap_need_no_gap() -> None:
    text = "abcdefghij"
    touching = [FakeChunk(text[:5], 0, 5), FakeChunk(text[5:], 5, 10)]
    overlapping = [FakeChunk(text[:7], 0, 7), FakeChunk(text[4:], 4, 10)]
    assert widened(touching, [1], 99) == widened(overlapping, [0], 99) == [text]


def test_a_hit_within_an_earlier_passage_is_no_passage_and_no_text_is_repeated() -> None:
    chunks = [chunk(no) for no in range(6)]
    a, b, c, d, e, f = (part.text for part in chunks)
    assert widened(chunks, [2, 3, 1], 34) == [f"{b}\n\n{c}\n\n{d}"]
    assert widened(chunks, [2, 4], 34) == [f"{b}\n\n{c}\n\n{d}", f"{e}\n\n{f}"]
    assert widened(chunks, [4, 3, 0], 22) == [f"{e}\n\n{f}", f"{c}\n\n{d}", f"{a}\n\n{b}"]


def test_rows_are_those_of_all_chunks() -> None:
    rows = [(2, 9), (10, 14), (15, 15)]
    chunks = [chunk(no, place=Place(sheet="Prices", rows=span)) for no, span in enumerate(rows)]
    wide = WidePassages(34, "keys")
    wide.add(candidate(1, chunks[1]), dict(enumerate(chunks)))
    passage = wide_passage(wide.passages[0])
    assert (passage.sheet, passage.rows, passage.page) == ("Prices", (2, 15), None)
    assert (passage.chunk_no, passage.start, passage.end) == (1, 0, 34)
    assert (passage.score, passage.ranks) == (0.5, {"dense": 2})


def test_a_near_duplicate_of_what_a_passage_holds_is_absorbed_with_its_sources() -> None:
    chunks = [chunk(0), chunk(1)]
    wide = WidePassages(22, "keys")
    wide.add(candidate(0, chunks[0], candidate(0, chunks[0], document="e")), dict(enumerate(chunks)))
    twin = candidate(
        1, chunks[1], candidate(1, chunks[1]), candidate(1, chunks[1], document="g"), document="f"
    )
    assert wide.absorb(twin)
    assert not wide.absorb(candidate(2, chunk(2)))
    sources = wide_passage(wide.passages[0]).also_in
    assert [source.document_id for source in sources] == ["e", "f", "g"]
    assert (sources[1].start, sources[1].end) == (12, 22)


def test_windows_reach_as_far_as_the_budget_and_do_not_overlap() -> None:
    chunks = [FakeChunk("x" * 100, 100 * no, 100 * no + 100) for no in range(40)]
    near = windows([candidate(20, chunks[20]), candidate(3, chunks[3]), candidate(0, chunks[0])], 300)
    assert near == [("d", 1, 0, 7, -200, 600), ("d", 1, 16, 24, 1800, 2300)]
    assert windows([candidate(2, chunks[2])], 50) == [("d", 1, 1, 3, 200, 300)]
    assert windows([], 300) == []


@dataclass
class Document:
    """A text that was cut into chunks, some of them of other sections or pages, some gaps forgotten."""

    text: str
    chunks: list[FakeChunk] = field(default_factory=list)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    document = Document(draw(st.text("abжё \n😀", min_size=1, max_size=120)))
    cuts = sorted(draw(st.sets(st.integers(0, len(document.text)), min_size=2, max_size=16)))
    for start, end in pairwise(cuts):
        inner = draw(st.integers(start + 1, end))
        before = document.chunks[-1].end if document.chunks else start
        known = draw(st.integers(0, 4)) > 0
        document.chunks.append(
            FakeChunk(
                document.text[start:inner],
                start,
                inner,
                draw(st.sampled_from([NOWHERE] * 5 + [Place(page=2)])),
                draw(st.sampled_from([()] * 5 + [("Leave",)])),
                document.text[before:start] if known else None,
            )
        )
    return document


@settings(max_examples=300, deadline=None)
@given(documents(), st.integers(1, 100), st.data())
def test_passages_are_exact_bounded_and_apart(document: Document, budget: int, data: st.DataObject) -> None:
    chunks = document.chunks
    question = data.draw(st.sampled_from(["keys", document.text]))
    hits = data.draw(st.lists(st.integers(0, len(chunks) - 1), unique=True, min_size=1))
    candidates = [candidate(no, chunks[no]) for no in hits]
    fetched = {
        no: part
        for window in windows(candidates, budget)
        for no, part in enumerate(chunks)
        if window.first <= no <= window.last and window.start <= part.start and part.end <= window.end
    }
    wide, absorbed = WidePassages(budget, question), []
    for hit in candidates:
        if wide.absorb(hit):
            absorbed.append(hit)
        else:
            wide.add(hit, fetched)
    passages = [wide_passage(passage) for passage in wide.passages]
    covered: set[int] = set()
    for passage in passages:
        assert passage.text == document.text[passage.start : passage.end]
        found = chunks[passage.chunk_no]
        assert passage.end - passage.start <= max(budget, found.end - found.start)
        assert covered.isdisjoint(range(passage.start, passage.end))
        covered.update(range(passage.start, passage.end))
        for part in chunks:
            if passage.start <= part.start and part.end <= passage.end:
                assert (part.heading, part.place) == (found.heading, found.place)
    for hit in absorbed:
        assert covered.issuperset(range(hit.row.start, hit.row.end))
