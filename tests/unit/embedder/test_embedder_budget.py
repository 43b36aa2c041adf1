"""The slice budget follows the speed of the encoder."""

import pytest

from rag_embedder.domain import SliceBudget
from rag_embedder.domain.budget import LEAST_TOKENS


def test_before_the_first_slice_it_is_the_maximum() -> None:
    assert SliceBudget(768, 0.1).tokens == 768


def test_a_slow_encoder_gets_slices_of_the_wanted_time() -> None:
    budget = SliceBudget(768, 0.1)
    for _ in range(50):
        budget.observe(768, 0.2)
    assert budget.tokens == pytest.approx(384, abs=1)


def test_a_fast_encoder_gets_no_more_than_the_maximum() -> None:
    budget = SliceBudget(768, 0.1)
    budget.observe(768, 0.001)
    assert budget.tokens == 768


def test_slices_never_become_uselessly_small() -> None:
    budget = SliceBudget(768, 0.1)
    for _ in range(50):
        budget.observe(768, 60.0)
    assert budget.tokens == LEAST_TOKENS


def test_one_hiccup_changes_little() -> None:
    budget = SliceBudget(768, 0.1)
    for _ in range(20):
        budget.observe(768, 0.1)
    budget.observe(768, 10.0)
    assert budget.tokens > 680


def test_a_small_slice_says_nothing_about_the_speed() -> None:
    budget = SliceBudget(768, 0.1)
    budget.observe(LEAST_TOKENS - 1, 5.0)
    assert budget.tokens == 768


@pytest.mark.parametrize(("most", "seconds"), [(0, 0.1), (768, 0.0)])
def test_a_budget_of_nothing_is_refused(most: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="slice"):
        SliceBudget(most, seconds)
