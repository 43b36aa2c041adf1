"""What the answers under one set of settings say: means with intervals, groups, the worst questions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import Any

from ragp.evaluation.details import Problem, WorstQuestion, problems_of, worst_question
from ragp.evaluation.questions import Question
from ragp.evaluation.running import Reply
from ragp.evaluation.scoring import Scores, score
from ragp.evaluation.significance import bootstrap_interval

_WORST = 10
"""Questions that a report lists."""


@dataclass(frozen=True, slots=True)
class Run:
    """The questions and what came back for each, under one set of settings."""

    settings: Mapping[str, Any]
    questions: Sequence[Question]
    replies: Sequence[Reply]
    scores: Sequence[Scores | None]
    """``None`` for a question without a complete answer: it is told apart, not scored."""

    @classmethod
    def of(
        cls, settings: Mapping[str, Any], questions: Sequence[Question], replies: Sequence[Reply], budget: int
    ) -> "Run":
        scores = [
            score(question, reply.passages, budget) if reply.complete else None
            for question, reply in zip(questions, replies, strict=True)
        ]
        return cls(settings, questions, replies, scores)

    def values(self, metric: str) -> list[float]:
        """Of every question that has the metric."""
        return [scores[metric] for scores in self.scores if scores is not None and metric in scores]


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over questions with its 95% confidence interval."""

    mean: float
    low: float
    high: float
    questions: int


@dataclass(frozen=True, slots=True)
class Group:
    """Questions of one language, of one collection, or of one language on one collection."""

    kind: str
    name: str
    figures: Mapping[str, float]
    questions: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One set of settings. ``figures`` is ordered; the worst questions are by its first metric."""

    settings: Mapping[str, Any]
    name: str
    asked: int
    errors: int
    degraded: int
    p50_ms: float
    p95_ms: float
    figures: Mapping[str, Figure]
    groups: Sequence[Group]
    histogram: Sequence[int]
    """Questions by the first metric: ten equal steps from 0 to 1, the last with 1 itself."""
    worst: Sequence[WorstQuestion]
    problems: Sequence[Problem]
    scores: Mapping[str, Scores]
    """Of each question that is scored, by its id."""


def summarize(run: Run, name: str) -> Summary:
    """:raises ValueError: the run has no questions."""
    metrics = metrics_of(run.scores)
    first = metrics[0] if metrics else ""
    milliseconds = [reply.milliseconds for reply in run.replies if reply.error is None] or [0.0]
    problems = problems_of(run.questions, run.replies)
    return Summary(
        settings=dict(run.settings),
        name=name,
        asked=len(run.questions),
        errors=sum(problem.kind == "error" for problem in problems),
        degraded=sum(problem.kind == "degraded" for problem in problems),
        p50_ms=round(_percentile(milliseconds, 50), 1),
        p95_ms=round(_percentile(milliseconds, 95), 1),
        figures={metric: _figure(run.values(metric)) for metric in metrics},
        groups=_groups(run, metrics),
        histogram=_histogram(run.values(first)),
        worst=_worst(run, first),
        problems=problems,
        scores={
            question.id: scores
            for question, scores in zip(run.questions, run.scores, strict=True)
            if scores is not None
        },
    )


def metrics_of(scores: Sequence[Scores | None]) -> list[str]:
    """Every metric that a question has; those of documents come first."""
    present = dict.fromkeys(metric for each in scores if each is not None for metric in each)
    return sorted(present, key=lambda metric: metric.startswith("span"))


def _figure(values: Sequence[float]) -> Figure:
    low, high = bootstrap_interval(values)
    return Figure(fmean(values), low, high, len(values))


def _percentile(values: Sequence[float], percent: int) -> float:
    if len(values) == 1:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def _histogram(values: Sequence[float]) -> list[int]:
    counts = [0] * 10
    for value in values:
        counts[min(int(value * 10), 9)] += 1
    return counts


def _groups(run: Run, metrics: Sequence[str]) -> list[Group]:
    """Only divisions into more than one group say something."""
    kinds: dict[str, Callable[[Question], str | None]] = {
        "language": lambda question: question.language,
        "collection": lambda question: question.collection,
        "language and collection": _language_and_collection,
    }
    groups = {kind: _divided(run, kind, key, metrics) for kind, key in kinds.items()}
    if min(len(groups["language"]), len(groups["collection"])) < 2:
        del groups["language and collection"]
    return [group for found in groups.values() if len(found) > 1 for group in found]


def _language_and_collection(question: Question) -> str | None:
    if question.language is None or question.collection is None:
        return None
    return f"{question.language} on {question.collection}"


def _divided(
    run: Run, kind: str, key: Callable[[Question], str | None], metrics: Sequence[str]
) -> list[Group]:
    members: dict[str, list[Scores]] = {}
    for question, scores in zip(run.questions, run.scores, strict=True):
        if scores is not None:
            members.setdefault(key(question) or "not named", []).append(scores)
    return [
        Group(kind, name, _means(scored, metrics), len(scored)) for name, scored in sorted(members.items())
    ]


def _means(scored: Sequence[Scores], metrics: Sequence[str]) -> dict[str, float]:
    values = {metric: [scores[metric] for scores in scored if metric in scores] for metric in metrics}
    return {metric: fmean(found) for metric, found in values.items() if found}


def _worst(run: Run, metric: str) -> list[WorstQuestion]:
    """The lowest values below 1, lowest first."""
    scored = [
        (scores[metric], question, reply)
        for question, reply, scores in zip(run.questions, run.replies, run.scores, strict=True)
        if scores is not None and scores.get(metric, 1.0) < 1.0
    ]
    scored.sort(key=lambda each: each[0])
    return [worst_question(*each) for each in scored[:_WORST]]
