import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_common.contracts import MAX_MESSAGE_BYTES, Passage, PassagesFound
from rag_retriever.domain.shortening import PassageTooLarge, shortened

TEXTS = st.text(st.sampled_from('ab "\\\n\x01éж😀'), max_size=200)


def passage(text: str) -> Passage:
    return Passage(
        document_id="d",
        generation=1,
        collection="handbook",
        title="A",
        source_uri="a.md",
        chunk_no=0,
        page=None,
        start=0,
        end=len(text),
        heading=(),
        text=text,
        score=1.0,
        ranks={"dense": 1},
        metadata={"note": text},
    )


def found(texts: list[str], reason: str | None = None) -> PassagesFound:
    return PassagesFound(
        query_id="q", passages=tuple(passage(text) for text in texts), mode="hybrid", reason=reason
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=20), st.integers(1000, 6000))
def test_what_fits_is_kept_best_first(texts: list[str], limit: int) -> None:
    answer = found(texts)
    try:
        cut = shortened(answer, limit)
    except PassageTooLarge:
        assert len(found(texts[:1], "only 1 of 20 passages fit into one answer").encode()) > limit - 2
        return
    kept = len(cut.passages)
    assert cut.passages == answer.passages[:kept]
    assert len(cut.encode()) <= limit
    if kept < len(texts):
        longer = cut.model_copy(update={"passages": answer.passages[: kept + 1]})
        # the reason may be counted with one digit more than it has
        assert len(longer.encode()) > limit - 2


def test_the_answer_says_what_was_cut() -> None:
    texts = ["ж" * 50_000] * 10
    cut = shortened(found(texts))
    assert len(cut.passages) == 2
    assert cut.reason == "only 2 of 10 passages fit into one answer"
    assert not cut.degraded
    lexical = shortened(found(texts, "only lexical search: no embedder is running"))
    assert lexical.reason == (
        "only lexical search: no embedder is running; only 2 of 10 passages fit into one answer"
    )


def test_one_passage_may_be_too_large() -> None:
    with pytest.raises(PassageTooLarge, match=str(MAX_MESSAGE_BYTES)):
        shortened(found(["a" * MAX_MESSAGE_BYTES, "b"]))
