"""How far a mean can be trusted, and whether the difference of two is more than chance."""

import itertools
import random
from collections.abc import Sequence
from statistics import fmean, quantiles

_RESAMPLES = 1000
_PERMUTATIONS = 10_000
_EXACT_UP_TO = 13
"""Differences whose every assignment of signs is tried: 2 ** 13 are fewer than the random ones."""
_SEED = 0
"""The same figures give the same report."""


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95% confidence interval of the mean, by the percentile bootstrap.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. Questions are resampled,
    so the interval speaks of other questions of this kind on the same documents.

    :param values: one for each question; at least one.
    """
    draw = random.Random(_SEED)  # noqa: S311 - statistics, not secrets
    means = [fmean(draw.choices(values, k=len(values))) for _ in range(_RESAMPLES)]
    cuts = quantiles(means, n=40, method="inclusive")
    return cuts[0], cuts[-1]


def randomization_test(differences: Sequence[float]) -> float:
    """The two-sided p-value of the mean of paired differences, by Fisher's randomization test.

    Were the two settings equal, each difference might as well have the other sign: the p-value is the
    share of all assignments of signs whose mean is at least as far from 0. It is exact for few questions that
    differ, else of 10,000 random assignments. Recommended for means over questions by Smucker, Allan and
    Carterette, "A comparison of statistical significance tests for information retrieval
    evaluation", CIKM 2007.
    """
    # A difference of 0 has no sign: it changes neither the mean nor the share.
    nonzero = [difference for difference in differences if difference]
    observed = abs(sum(nonzero))
    if len(nonzero) <= _EXACT_UP_TO:
        signs = itertools.product((0, 1), repeat=len(nonzero))
        return fmean(_as_extreme(nonzero, flipped, observed) for flipped in signs)
    draw = random.Random(_SEED)  # noqa: S311 - statistics, not secrets
    extreme = sum(
        _as_extreme(nonzero, _random_bits(draw, len(nonzero)), observed) for _ in range(_PERMUTATIONS)
    )
    # The observed assignment is one of them, so that p is never 0.
    return (extreme + 1) / (_PERMUTATIONS + 1)


_BIT = bytes.maketrans(b"01", b"\x00\x01")


def _random_bits(draw: random.Random, count: int) -> bytes:
    return f"{draw.getrandbits(count):0{count}b}".encode().translate(_BIT)


def _as_extreme(differences: Sequence[float], flipped: Sequence[int], observed: float) -> bool:
    """Whether the sum with these signs flipped is as far from 0; equal up to rounding counts."""
    flipped_sum = sum(differences) - 2 * sum(itertools.compress(differences, flipped))
    return abs(flipped_sum) >= observed * (1 - 1e-9) - 1e-12
