"""Intervals and p-values, against scipy."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ragp.evaluation.significance import bootstrap_interval, randomization_test

DIFFERENCES = st.lists(st.sampled_from([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=8)


def scipy_p(differences: list[float], resamples: int = 9999) -> float:
    test = stats.permutation_test(
        (np.array(differences),), np.mean, permutation_type="samples", n_resamples=resamples, rng=0
    )
    return float(test.pvalue)


@settings(max_examples=40)
@given(DIFFERENCES)
def test_few_differences_are_tested_exactly(differences: list[float]) -> None:
    assert randomization_test(differences) == pytest.approx(scipy_p(differences))


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1])
def test_many_differences_are_tested_by_chance(shift: float) -> None:
    draw = random.Random(5)
    differences = [draw.gauss(shift, 0.5) for _ in range(200)]
    assert randomization_test(differences) == pytest.approx(scipy_p(differences), abs=0.02)


def test_no_difference_is_never_significant() -> None:
    assert randomization_test([0.0] * 50) == 1


def test_the_interval_is_that_of_scipy() -> None:
    draw = random.Random(5)
    values = [draw.choice([0.0, 0.5, 0.63, 1.0]) for _ in range(150)]
    expected = stats.bootstrap(
        (np.array(values),), np.mean, method="percentile", n_resamples=2000, rng=0
    ).confidence_interval
    assert bootstrap_interval(values) == pytest.approx(tuple(expected), abs=0.01)


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_interval_lies_within_the_values_and_is_always_the_same(values: list[float]) -> None:
    low, high = bootstrap_interval(values)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert bootstrap_interval(values) == (low, high)
