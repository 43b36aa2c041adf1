"""Two settings on the same questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ragp.evaluation.significance import bootstrap_interval, randomization_test
from ragp.evaluation.summary import Run, metrics_of

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """The second settings minus the first, over the questions that both answered completely."""

    difference: float
    low: float
    high: float
    """Of the 95% confidence interval of the difference."""
    p_value: float
    better: int
    worse: int
    questions: int

    @property
    def significant(self) -> bool:
        return self.p_value < SIGNIFICANT


@dataclass(frozen=True, slots=True)
class Comparison:
    first: str
    second: str
    changes: Mapping[str, Change]
    """By metric."""
    differences: Sequence[float]
    """Of the first metric, for the questions whose value differs, ascending."""


def compare(first: Run, second: Run, names: tuple[str, str]) -> Comparison:
    """Both runs have the same questions in the same order."""
    by_metric = {metric: _differences(first, second, metric) for metric in metrics_of(first.scores)}
    changes = {metric: _change(found) for metric, found in by_metric.items() if found}
    nonzero = sorted(difference for difference in next(iter(by_metric.values()), []) if difference)
    return Comparison(*names, changes, [round(difference, 4) for difference in nonzero])


def _differences(first: Run, second: Run, metric: str) -> list[float]:
    return [
        theirs[metric] - mine[metric]
        for mine, theirs in zip(first.scores, second.scores, strict=True)
        if mine is not None and theirs is not None and metric in mine
    ]


def _change(differences: Sequence[float]) -> Change:
    low, high = bootstrap_interval(differences)
    return Change(
        difference=fmean(differences),
        low=low,
        high=high,
        p_value=randomization_test(differences),
        better=sum(difference > 0 for difference in differences),
        worse=sum(difference < 0 for difference in differences),
        questions=len(differences),
    )
