"""The formulas. Every metric is between 0 and 1; higher is better."""

import math
from collections.abc import Iterable, Sequence


def ndcg(gains: Sequence[float], relevances: Iterable[float], k: int) -> float:
    """Normalised discounted cumulative gain of the first ``k`` results.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002,
    with their linear gains (the relevance itself, not ``2 ** relevance - 1``), and with the discount
    ``log2(rank + 1)`` of trec_eval's ``ndcg_cut``.

    :param gains: the relevance of each result, best result first.
    :param relevances: those of all relevant documents, in any order; at least one above 0.
    """
    return _dcg(gains[:k]) / _dcg(sorted(relevances, reverse=True)[:k])


def _dcg(gains: Iterable[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def recall(gains: Sequence[float], relevant: int, k: int) -> float:
    """The share of the ``relevant`` documents (1 or more) that is among the first ``k`` results."""
    return sum(gain > 0 for gain in gains[:k]) / relevant


def reciprocal_rank(gains: Sequence[float], k: int) -> float:
    """1 / rank of the first relevant result; 0 when none is among the first ``k``.

    Its mean is the MRR: Voorhees, "The TREC-8 Question Answering Track Report", 1999.
    """
    return next((1 / rank for rank, gain in enumerate(gains[:k], start=1) if gain > 0), 0.0)


Interval = tuple[int, int]


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same points as disjoint intervals, ascending. ``end`` is exclusive."""
    merged: list[Interval] = []
    for start, end in sorted(interval for interval in intervals if interval[0] < interval[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def length(intervals: Iterable[Interval]) -> int:
    """Points in disjoint intervals."""
    return sum(end - start for start, end in intervals)


def overlap(first: Iterable[Interval], second: Iterable[Interval]) -> int:
    """Points that are in both."""
    mine, theirs = union(first), union(second)
    return length(mine) + length(theirs) - length(union([*mine, *theirs]))
