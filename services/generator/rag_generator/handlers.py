"""Messages in, use case, messages out: translation only."""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from faststream.nats import NatsMessage
from pydantic import ValidationError

from rag_common.broker import Handler, Job
from rag_common.broker.cancellation import Cancellations
from rag_common.contracts import (
    GenerateAnswer,
    Message,
    QueryFailed,
    QuestionRewritten,
    RewriteQuestion,
)
from rag_common.errors import RagError, TransientError
from rag_generator.domain.answering import AnswerQuestion, Outcome, TooLate
from rag_generator.domain.choosing import Models
from rag_generator.domain.frames import first_attempt
from rag_generator.domain.rewriting import RewriteFollowUp
from rag_generator.domain.transmission import Unwanted

Answer = Callable[[NatsMessage], Awaitable[bytes]]
Reply = Callable[[str, Message], Awaitable[None]]
"""Answers on a reply subject. Raises ``TransientError`` while NATS is away."""

_log = structlog.get_logger(__name__)


class Meter(Protocol):
    """Counts what the questions came to."""

    def answered(self, outcome: Outcome) -> None: ...

    def expired(self) -> None:
        """The deadline had passed before the answer was begun."""

    def unwanted(self) -> None:
        """Nobody waited for it any more."""

    def failed(self, code: str) -> None: ...


def answer_handler(
    answer: AnswerQuestion, cancellations: Cancellations, reply: Reply, meter: Meter
) -> Handler[GenerateAnswer]:
    """Somebody waits for an answer: whatever is final is told, also a failure.

    No failure is held: after the first words the work could not be begun again under the same numbers.
    """

    async def work(ask: GenerateAnswer, job: Job) -> None:
        queued = max(0.0, time.time() - job.time_ns / 1e9)
        try:
            meter.answered(await answer(ask, job.attempt, queued))
        except TooLate:
            meter.expired()
        except Unwanted:
            meter.unwanted()
        except RagError as error:
            meter.failed(error.code)
            _log.warning("answer_failed", code=error.code, reason=error.message)
            await tell(ask, job, error.code, error.message)
        except Exception:
            meter.failed("internal_error")
            failure = "the question could not be answered; the log of the generator says why"
            await tell(ask, job, "internal_error", failure)
            raise

    async def tell(ask: GenerateAnswer, job: Job, code: str, message: str) -> None:
        # whichever of this delivery's two has failed, it is below those of the next one
        last = first_attempt(ask.attempt, job.attempt) + 1
        failed = QueryFailed(query_id=ask.query_id, attempt=last, code=code, message=message)
        try:
            await reply(ask.reply_to, failed)
        except TransientError as error:
            _log.warning("failure_not_told", code=code, reason=error.message)

    async def handle(ask: GenerateAnswer, job: Job) -> None:
        if not await cancellations.run(ask.query_id, work(ask, job)):
            meter.unwanted()

    return handle


def answer_rewriting(rewrite: RewriteFollowUp, cancellations: Cancellations) -> Answer:
    """The handler of requests to rewrite a follow-up. Whatever is wrong, the answer says so."""

    async def rewritten(request: RewriteQuestion) -> str | None:
        """``None``: nobody waits for it any more."""
        questions: list[str] = []

        async def work() -> None:
            questions.append(await rewrite(request.question, request.history, request.deadline))

        return questions[0] if await cancellations.run(request.query_id, work()) else None

    async def answer(received: NatsMessage) -> bytes:
        try:
            question = await rewritten(RewriteQuestion.decode(received.raw_message.data))
        except ValidationError as error:
            return _not_rewritten(f"not a request to rewrite: {error.error_count()} fields are wrong")
        except RagError as error:
            return _not_rewritten(error.message)
        if question is None:
            return _not_rewritten("the query was cancelled")
        return QuestionRewritten(question=question).encode()

    return answer


def answer_describing(models: Models, prompt_version: str) -> Answer:
    """The handler of requests for who writes the answers."""

    async def answer(_: NatsMessage) -> bytes:
        return (await models.describe(prompt_version)).encode()

    return answer


def _not_rewritten(problem: str) -> bytes:
    _log.info("question_not_rewritten", reason=problem)
    return QuestionRewritten(error=problem).encode()
