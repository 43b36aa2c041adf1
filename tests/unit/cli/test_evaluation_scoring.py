"""What an answer is worth."""

from typing import Any

import pytest
from evaluation_support import passage
from hypothesis import given
from hypothesis import strategies as st

from ragp.evaluation.matching import found_documents, names_of
from ragp.evaluation.questions import Question, Span
from ragp.evaluation.scoring import metrics_with, score, span_recall, title_of


def asked(**gold: Any) -> Question:
    return Question(id="1", text="where?", **gold)


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("file:///home/anna/ru/otchet%2017.pdf", True),
        ("ru/otchet 17.pdf", True),
        ("otchet 17.pdf", True),
        ("otchet", False),
        ("17.pdf", False),
        ("id of file:///home/anna/ru/otchet%2017.pdf", True),
        ("title of file:///home/anna/ru/otchet%2017.pdf", True),
        ("", False),
    ],
)
def test_a_document_is_meant_by_id_uri_title_or_last_segments(reference: str, meant: bool) -> None:
    assert (reference in names_of(passage("file:///home/anna/ru/otchet%2017.pdf"))) is meant


def test_chunks_of_one_document_count_once_at_the_first() -> None:
    passages = [
        passage("a:/1"),
        passage("a:/1"),
        passage("a:/2"),
        passage("a:/1"),
        passage("a:/2"),
        passage("a:/3"),
    ]
    assert found_documents(passages, ["a:/2"]) == [None, "a:/2", None]
    assert score(asked(relevant={"a:/2": 1.0}), passages, 100)["mrr10"] == 0.5


def test_near_duplicates_stand_for_the_expected_document() -> None:
    collapsed = passage("a:/1", also_in=[passage("a:/2"), passage("a:/3")])
    assert found_documents([collapsed, passage("a:/1"), passage("a:/2")], ["a:/2"]) == ["a:/2", None]
    assert found_documents([collapsed], ["a:/3", "a:/2"]) == ["a:/3", "a:/2"]


def test_a_question_has_the_metrics_that_it_has_gold_for() -> None:
    documents = score(asked(relevant={"a:/1": 2.0, "a:/9": 1.0}), [passage("a:/1")], 100)
    assert (documents["ndcg10"], documents["recall1"], documents["recall10"]) == (
        pytest.approx(2 / (2 + 1 / 1.5849625)),
        0.5,
        0.5,
    )
    spans = score(asked(spans=(Span("a:/1", 0, 5),)), [passage("a:/1")], 100)
    assert spans == {"span_recall_100": 1.0}
    assert set(documents) | set(spans) == set(metrics_with(100))


def test_the_context_is_cut_at_the_budget() -> None:
    question = asked(spans=(Span("a:/2", 0, 100),))
    passages = [passage("a:/1", 0, 30), passage("a:/2", 50, 100), passage("a:/2", 0, 50)]
    assert span_recall(question, passages, 30) == 0
    assert span_recall(question, passages, 40) == 0.1
    assert span_recall(question, passages, 80) == 0.5
    assert span_recall(question, passages, 130) == 1


def test_characters_that_come_twice_count_once_but_fill_the_context() -> None:
    question = asked(spans=(Span("a:/1", 0, 10), Span("a:/1", 5, 20)))
    passages = [passage("a:/1", 0, 10), passage("a:/1", 0, 10), passage("a:/1", 10, 20)]
    assert span_recall(question, passages, 20) == 0.5
    assert span_recall(question, passages, 30) == 1


def test_spans_are_covered_by_near_duplicates_too() -> None:
    other = passage("a:/2", 100, 110)
    assert span_recall(asked(spans=(Span("a:/2", 100, 105),)), [passage("a:/1", also_in=[other])], 50) == 1


def test_a_quotation_is_found_whatever_its_case_and_white_space() -> None:
    found = passage("a:/1", 0, 30, text="The  allowance is\n90 Euros.   ")
    question = asked(answers=("the allowance is 90 euros",))
    assert span_recall(question, [found], 100) == 1
    assert span_recall(question, [found], 10) == 0


def test_a_quotation_counts_only_in_an_expected_document() -> None:
    question = asked(relevant={"a:/2": 1.0}, answers=("308",))
    assert span_recall(question, [passage("a:/1", text="308")], 100) == 0
    assert span_recall(question, [passage("a:/2", text="308")], 100) == 1


SPANS = st.builds(
    lambda start, size: (start, start + size), st.integers(0, 200), st.integers(1, 60)
)  # fmt: skip


@given(st.lists(SPANS, min_size=1, max_size=5), st.lists(SPANS, max_size=8), st.integers(1, 400))
def test_span_recall_never_falls_with_the_budget(
    gold: list[tuple[int, int]], returned: list[tuple[int, int]], budget: int
) -> None:
    question = asked(spans=tuple(Span("a:/1", *span) for span in gold))
    passages = [passage("a:/1", *span) for span in returned]
    value = span_recall(question, passages, budget)
    assert 0 <= value <= span_recall(question, passages, budget + 50) <= 1


def test_metrics_have_titles_for_people() -> None:
    titles = [title_of(metric) for metric in metrics_with(4000)]
    assert titles == [
        *("nDCG@10", "MRR@10", "recall@1", "recall@5", "recall@10"),
        "span recall in 4,000 characters",
    ]
