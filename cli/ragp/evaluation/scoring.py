"""One answer against what was expected."""

from collections.abc import Mapping, Sequence
from typing import Any

from ragp.evaluation.matching import Source, found_documents, names_in, names_of, sources_of
from ragp.evaluation.metrics import Interval, length, ndcg, overlap, recall, reciprocal_rank, union
from ragp.evaluation.questions import Question

CUT = 10
"""Documents that nDCG and MRR look at."""
RECALL_CUTS = (1, 5, 10)

Scores = Mapping[str, float]
"""Metric → value; only metrics that the question has gold for."""


def score(question: Question, passages: Sequence[Source], budget: int) -> Scores:
    """``ndcg10``, ``mrr10``, ``recall1`` and so on where documents are expected; ``span_recall_4000`` (with
    the budget's number) where spans or quotations are.
    """
    scores: dict[str, float] = {}
    if question.relevant:
        found = found_documents(passages, list(question.relevant))
        gains = [question.relevant[reference] if reference is not None else 0.0 for reference in found]
        scores[f"ndcg{CUT}"] = ndcg(gains, question.relevant.values(), CUT)
        scores[f"mrr{CUT}"] = reciprocal_rank(gains, CUT)
        for cut in RECALL_CUTS:
            scores[f"recall{cut}"] = recall(gains, len(question.relevant), cut)
    if question.spans or question.answers:
        scores[span_metric(budget)] = span_recall(question, passages, budget)
    return scores


def span_metric(budget: int) -> str:
    return f"span_recall_{budget}"


def metrics_with(budget: int) -> tuple[str, ...]:
    """All that there are, in the order of reports."""
    recalls = (f"recall{cut}" for cut in RECALL_CUTS)
    return (f"ndcg{CUT}", f"mrr{CUT}", *recalls, span_metric(budget))


def title_of(metric: str) -> str:
    """``ndcg10`` → ``nDCG@10``, for people."""
    if metric.startswith("span_recall_"):
        return f"span recall in {int(metric.rpartition('_')[2]):,} characters"
    name = metric.rstrip("0123456789")
    return {"ndcg": "nDCG", "mrr": "MRR"}.get(name, name) + "@" + metric.removeprefix(name)


def span_recall(question: Question, passages: Sequence[Source], budget: int) -> float:
    """The share of the gold characters in a context of ``budget`` characters, made of the passages in their
    order; the last one is cut where the context is full.

    A quotation counts as all of its characters once a passage of an expected document (of any document
    where none is named) holds it, letter case and white space aside.
    """
    context = _context(passages, budget)
    covered = gold = 0
    for document in {span.document for span in question.spans}:
        expected = union((span.start, span.end) for span in question.spans if span.document == document)
        gold += length(expected)
        covered += overlap(expected, _returned(context, document))
    texts = [_plain(passage["text"][:taken]) for passage, taken in context if _may_answer(question, passage)]
    for answer in map(_plain, question.answers):
        gold += len(answer)
        covered += len(answer) * any(answer in text for text in texts)
    return covered / gold


def _context(passages: Sequence[Source], budget: int) -> list[tuple[Source, int]]:
    """The passages that fit, each with the number of its characters that do."""
    context = []
    for passage in passages:
        taken = min(passage["end"] - passage["start"], budget)
        if taken <= 0:
            break
        context.append((passage, taken))
        budget -= taken
    return context


def _returned(context: Sequence[tuple[Source, int]], document: str) -> list[Interval]:
    return [
        (source["start"], min(source["end"], source["start"] + taken))
        for passage, taken in context
        for source in sources_of(passage)
        if document in names_of(source)
    ]


def _may_answer(question: Question, passage: Source) -> bool:
    named = {*question.relevant, *(span.document for span in question.spans)}
    return not named or bool(named & names_in(passage))


def _plain(text: Any) -> str:
    return " ".join(str(text).casefold().split())
