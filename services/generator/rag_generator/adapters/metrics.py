"""What the generator does, for Prometheus."""

import asyncio
from typing import NoReturn

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rag_generator.domain.answering import Outcome
from rag_generator.domain.choosing import Models

REPORT_SECONDS = 5.0
_FIRST_TOKEN = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
_SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class AnswerMetrics:
    """What the questions of this process came to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "rag_answers",
            "Answers by their outcome (answered or not_found) and by who has written them.",
            ["outcome", "adapter"],
            registry=registry,
        )
        self._expired = Counter(
            "rag_answers_expired", "Questions dropped because their deadline had passed.", registry=registry
        )
        self._unwanted = Counter(
            "rag_answers_unwanted", "Answers given up because nobody waited any more.", registry=registry
        )
        self._degraded = Counter(
            "rag_answers_degraded",
            "Answers given without the model that should have, or after a degraded search.",
            registry=registry,
        )
        self._failed = Counter("rag_answers_failed", "Answers that failed.", ["code"], registry=registry)
        self._first_token = Histogram(
            "rag_answer_first_token_seconds",
            "Time until the first text of an answer, from the moment at which the job was taken.",
            ["adapter"],
            buckets=_FIRST_TOKEN,
            registry=registry,
        )
        self._speed = Histogram(
            "rag_answer_tokens_per_second",
            "Tokens that the model wrote per second, its reading of the prompt included.",
            ["adapter"],
            buckets=_SPEEDS,
            registry=registry,
        )

    def answered(self, outcome: Outcome) -> None:
        self._answers.labels("answered" if outcome.answered else "not_found", outcome.adapter).inc()
        if outcome.degraded:
            self._degraded.inc()
        if outcome.first_token is not None:
            self._first_token.labels(outcome.adapter).observe(outcome.first_token)
        if outcome.tokens_per_second is not None:
            self._speed.labels(outcome.adapter).observe(outcome.tokens_per_second)

    def expired(self) -> None:
        self._expired.inc()

    def unwanted(self) -> None:
        self._unwanted.inc()

    def failed(self, code: str) -> None:
        self._failed.labels(code).inc()


class ModelReport:
    """The gauge ``rag_model_unavailable``, brought up to date every :data:`REPORT_SECONDS`.

    The service is ready all the same: it answers with quotations.
    """

    def __init__(self, models: Models, registry: CollectorRegistry) -> None:
        self._models = models
        self._unavailable = Gauge(
            "rag_model_unavailable",
            "1 while the configured language model cannot be used, else 0.",
            registry=registry,
        )

    async def run(self) -> NoReturn:
        """Until it is cancelled."""
        while True:
            description = await self._models.describe(prompt_version="")
            self._unavailable.set(description.reason is not None)
            await asyncio.sleep(REPORT_SECONDS)
