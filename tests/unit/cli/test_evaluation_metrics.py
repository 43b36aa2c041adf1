"""The formulas, against another implementation and by what must always hold."""

from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from ragp.evaluation.metrics import length, ndcg, overlap, recall, reciprocal_rank, union

GRADES = st.lists(st.integers(0, 3), min_size=2, max_size=30).filter(any)
INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(lambda pair: pair[0] < pair[1]))


@given(GRADES, st.integers(1, 15))
def test_ndcg_is_that_of_scikit_learn(gains: list[int], k: int) -> None:
    ranking = np.arange(len(gains), 0, -1)
    expected = ndcg_score([gains], [ranking], k=k)
    assert ndcg(gains, gains, k) == pytest.approx(expected)


def test_ndcg_of_a_worked_example() -> None:
    # DCG = 3/log2(2) + 2/log2(3) + 0 + 1/log2(5); the ideal has 3, 3, 2
    found = ndcg([3, 2, 0, 1], [1, 3, 2, 3], 4)
    assert found == pytest.approx(
        (3 + 2 / 1.5849625 + 1 / 2.3219281) / (3 + 3 / 1.5849625 + 2 / 2 + 1 / 2.3219281)
    )


@given(GRADES, st.integers(1, 15))
def test_ndcg_lies_between_0_and_1_and_the_ideal_order_has_1(gains: list[int], k: int) -> None:
    assert 0 <= ndcg(gains, gains, k) <= 1 + 1e-12
    assert ndcg(sorted(gains, reverse=True), gains, k) == pytest.approx(1)


@given(GRADES, st.data())
def test_a_better_result_moved_up_never_harms(gains: list[int], data: st.DataObject) -> None:
    position = data.draw(st.integers(1, len(gains) - 1))
    if gains[position] <= gains[position - 1]:
        return
    moved = gains.copy()
    moved[position - 1], moved[position] = gains[position], gains[position - 1]
    for k in range(1, len(gains) + 1):
        assert ndcg(moved, gains, k) >= ndcg(gains, gains, k) - 1e-12
        assert reciprocal_rank(moved, k) >= reciprocal_rank(gains, k)
        assert recall(moved, 30, k) >= recall(gains, 30, k)


@given(GRADES)
def test_recall_grows_with_the_cut_up_to_all(gains: list[int]) -> None:
    relevant = sum(gain > 0 for gain in gains)
    recalls = [recall(gains, relevant, k) for k in range(len(gains) + 1)]
    assert recalls == list(accumulate(recalls, max))
    assert (recalls[0], recalls[-1]) == (0, 1)


def test_the_reciprocal_rank_stops_at_the_cut() -> None:
    assert reciprocal_rank([0, 0, 2], 10) == pytest.approx(1 / 3)
    assert reciprocal_rank([0, 0, 2], 2) == 0
    assert reciprocal_rank([], 10) == 0


@given(INTERVALS, INTERVALS)
def test_intervals_are_sets_of_points(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    def points(intervals: list[tuple[int, int]]) -> set[int]:
        return {point for start, end in intervals for point in range(start, end)}

    merged = union(first)
    assert points(merged) == points(first)
    assert length(merged) == len(points(first))
    assert all(end < start for (_, end), (start, _) in pairwise(merged))
    assert overlap(first, second) == len(points(first) & points(second))
