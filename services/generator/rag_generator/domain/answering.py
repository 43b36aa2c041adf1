"""The use case: a question and its passages become an answer."""

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from rag_common.contracts import Adapter, AnswerOpened, GenerateAnswer, SentenceGrounding
from rag_common.errors import PermanentError, RagError
from rag_generator.domain.choosing import Models
from rag_generator.domain.drafts import Draft, Drafts
from rag_generator.domain.frames import Frames, first_attempt
from rag_generator.domain.grounding import ground
from rag_generator.domain.llm import ModelMissing, ModelRefused, ModelUnavailable
from rag_generator.domain.ports import Replies, SentenceEncoder
from rag_generator.domain.prompting import QuestionTooLong
from rag_generator.domain.relevance import is_relevant
from rag_generator.domain.transmission import RETURNS_WITHIN, SentText, Transmission

_log = structlog.get_logger(__name__)


class TooLate(PermanentError):
    """The deadline had passed before the answer was begun."""

    code = "deadline_exceeded"


class AnswerTimedOut(PermanentError):
    """The answer was not complete within the deadline."""

    code = "deadline_exceeded"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an answer came to; ``first_token`` is in seconds from the moment at which the work was begun."""

    adapter: Adapter
    answered: bool
    degraded: bool
    first_token: float | None
    tokens_per_second: float | None


@dataclass(slots=True)
class _Work:
    """A question under way."""

    ask: GenerateAnswer
    attempt: int
    queued: float
    opened: bool = False
    """Whether an attempt was opened, and wanted."""
    began: float = field(default_factory=time.monotonic)


class AnswerQuestion:
    """Answers by a model, or else by quotations, or says that the documents have no answer."""

    def __init__(self, models: Models, drafts: Drafts, encode: SentenceEncoder, replies: Replies) -> None:
        self._models = models
        self._drafts = drafts
        self._encode = encode
        self._replies = replies

    async def __call__(self, ask: GenerateAnswer, delivery: int, queued: float) -> Outcome:
        """Answer to ``ask.reply_to``. ``delivery`` counts those of this job; ``queued``: seconds before it.

        :raises TooLate: the deadline has passed; nothing was sent.
        :raises AnswerTimedOut: the deadline has passed in the middle.
        :raises Unwanted: nobody waits for it any more.
        """
        left = ask.deadline - time.time()
        if left <= 0:
            raise TooLate("the deadline has passed before the answer was begun")
        work = _Work(ask, first_attempt(ask.attempt, delivery), queued)
        try:
            async with asyncio.timeout(left) as limit:
                return await self._answer(work)
        except TimeoutError:
            if limit.expired():
                raise AnswerTimedOut("the answer was not complete within the deadline") from None
            raise

    async def _answer(self, work: _Work) -> Outcome:
        ask, drafts = work.ask, self._drafts
        llm = self._models.current()
        if not is_relevant(ask.standalone, ask.found):
            return await self._send(work, drafts.not_found(ask, llm))
        if llm is None:
            return await self._send(work, await drafts.quotations(ask))
        failure: RagError | None = llm.known_failure
        if failure is None:
            try:
                return await self._send(work, drafts.generated(ask, llm))
            except (ModelUnavailable, ModelMissing, ModelRefused, QuestionTooLong) as error:
                failure = error
                work.attempt += 1
        _log.warning("model_failed", model=llm.model, code=failure.code, reason=failure.message)
        return await self._send(work, await drafts.quotations(ask, failure.message))

    async def _send(self, work: _Work, draft: Draft) -> Outcome:
        frames = Frames(work.ask.query_id, work.attempt)
        transmission = Transmission(self._replies, work.ask.reply_to, frames)
        opened = _opening(work, draft, self._drafts.prompt_version)
        # Who has never answered has died while the question waited.
        await transmission.open(opened, RETURNS_WITHIN if work.opened else 0.0)
        work.opened = True
        began = time.monotonic()
        sent = await transmission.text(draft.pieces)
        generation = time.monotonic() - began
        done = frames.done(
            answered=draft.answered,
            finish=draft.ending.finish,
            grounding=await self._grounding(work.ask, draft, sent),
            prompt_tokens=draft.ending.prompt_tokens,
            completion_tokens=draft.ending.completion_tokens,
            timings_ms=_timings(work, sent, generation),
        )
        await transmission.end(done)
        tokens = draft.ending.completion_tokens
        return Outcome(
            adapter=opened.adapter,
            answered=draft.answered,
            degraded=opened.degraded,
            first_token=_first_token(work, sent),
            tokens_per_second=tokens / generation if tokens and generation > 0 else None,
        )

    async def _grounding(
        self, ask: GenerateAnswer, draft: Draft, sent: SentText
    ) -> tuple[SentenceGrounding, ...] | None:
        if not (ask.options.grounding and draft.answered):
            return None
        return await ground(sent.text, tuple(sent.citations), draft.passages, self._encode, ask.found.space)


def _opening(work: _Work, draft: Draft, prompt_version: str) -> AnswerOpened:
    found = work.ask.found
    return AnswerOpened(
        query_id=work.ask.query_id,
        attempt=work.attempt,
        standalone=work.ask.standalone,
        passages=draft.passages,
        mode=found.mode,
        space=found.space,
        adapter=draft.llm.adapter if draft.llm else "extractive",
        model=draft.llm.model if draft.llm else None,
        prompt_version=prompt_version,
        degraded=found.degraded or draft.failure is not None,
        reason="; ".join(filter(None, (found.reason, draft.failure))) or None,
    )


def _first_token(work: _Work, sent: SentText) -> float | None:
    return sent.first_at - work.began if sent.first_at is not None else None


def _timings(work: _Work, sent: SentText, generation: float) -> dict[str, float]:
    """Milliseconds, as :class:`AnswerDone` has them; the time in both queues is one figure."""
    search = work.ask.found.timings_ms
    own = {"queue": search.get("queue", 0.0) + work.queued * 1000, "generation": generation * 1000}
    first_token = _first_token(work, sent)
    if first_token is not None:
        own["first_token"] = first_token * 1000
    return {**search, **{name: round(milliseconds, 3) for name, milliseconds in own.items()}}
