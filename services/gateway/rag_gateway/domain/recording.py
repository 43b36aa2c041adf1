"""What is kept of answers: the conversations that they belong to, and what feedback refers to."""

import asyncio
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from rag_common.contracts import MAX_TURNS, AnswerDone, AnswerOpened, Citation, Turn
from rag_common.contracts.turns import MAX_TURN_CHARACTERS
from rag_common.errors import TransientError
from rag_gateway.domain.answers import CollectedAnswer

PATIENCE = 5.0
"""Seconds that the end of an answer waits for the registry."""
MAX_TITLE = 80
"""Characters of a conversation's title that is made of its first question."""
_MARKER = re.compile(r"[ \u00a0]?\[\d{1,3}(?:, ?\d{1,3})*\]")
_log = structlog.get_logger(__name__)


class Asker(Protocol):
    """Whose question it is. Rows belong to the name within the tenant."""

    @property
    def name(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def principals(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A turn of a conversation."""

    position: int
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class FinishedAnswer:
    """What is written down of an answer."""

    answer_id: str
    conversation_id: str | None
    title: str
    """For a conversation that has none yet."""
    question: str
    standalone: str
    text: str
    citations: tuple[Citation, ...]
    documents: tuple[str, ...]
    """Those of its passages: the text may repeat them."""
    history: tuple[int, ...]
    """Positions of the earlier answers that the text may repeat, with all that these repeat."""
    answered: bool
    adapter: str
    model: str | None
    prompt_version: str
    degraded: bool
    cached: bool
    timings_ms: dict[str, float]


class Records(Protocol):
    """Where answers are kept."""

    async def history(self, asker: Asker, conversation_id: str, limit: int) -> Sequence[PastTurn]:
        """The last turns, the oldest first; without those that repeat what the asker may not read now.

        :raises PermanentError: code ``unknown_conversation``: not one of this asker.
        """

    async def record(self, asker: Asker, answer: FinishedAnswer) -> bool:
        """Add the answer, at the end of its conversation. ``False``: that was deleted meanwhile."""


class Recorder:
    """Gives each answer its id and its history, and keeps it when it is complete."""

    def __init__(self, records: Records, on_lost: Callable[[], None]) -> None:
        """:param on_lost: called for each answer that the client got and that could not be kept."""
        self._records = records
        self._on_lost = on_lost

    async def begin(self, asker: Asker, question: str, conversation_id: str | None) -> "Recording":
        """Without a conversation nothing is asked of the registry.

        :raises PermanentError: code ``unknown_conversation``: there is none, or it is another caller's.
        :raises TransientError: the registry is away.
        """
        past: Sequence[PastTurn] = ()
        if conversation_id is not None:
            past = await self._records.history(asker, conversation_id, MAX_TURNS)
        return Recording(self._records, self._on_lost, asker, question, conversation_id, past)


class Recording:
    """One answer on its way."""

    def __init__(
        self,
        records: Records,
        on_lost: Callable[[], None],
        asker: Asker,
        question: str,
        conversation_id: str | None,
        past: Sequence[PastTurn],
    ) -> None:
        self.answer_id = str(uuid.uuid4())
        self.conversation_id = conversation_id
        self.history = as_history((turn.question, turn.answer) for turn in past)
        self._past = tuple(turn.position for turn in past)
        self._records = records
        self._on_lost = on_lost
        self._asker = asker
        self._question = question

    async def finish(self, collected: CollectedAnswer) -> None:
        """Keep a complete answer; one without its end is nothing to keep.

        While the registry is away the client has its answer nevertheless: it is logged and counted, it is no
        part of the conversation, and feedback on it finds nothing.
        """
        if collected.opened is None or collected.done is None:
            return
        answer = self._finished(collected, collected.opened, collected.done)
        try:
            async with asyncio.timeout(PATIENCE):
                kept = await self._records.record(self._asker, answer)
        except (TransientError, TimeoutError) as error:
            self._on_lost()
            _log.warning("answer_not_recorded", answer_id=self.answer_id, reason=str(error) or "no answer")
            return
        if not kept:
            _log.info("answer_not_recorded", answer_id=self.answer_id, reason="conversation deleted")

    def _finished(self, collected: CollectedAnswer, opened: AnswerOpened, done: AnswerDone) -> FinishedAnswer:
        return FinishedAnswer(
            answer_id=self.answer_id,
            conversation_id=self.conversation_id,
            title=title_from(self._question),
            question=self._question,
            standalone=opened.standalone,
            text=collected.text,
            citations=tuple(collected.citations),
            documents=tuple(dict.fromkeys(passage.document_id for passage in opened.passages)),
            # quotations are of the passages alone, whatever was said before
            history=() if opened.adapter == "extractive" else self._past,
            answered=done.answered,
            adapter=opened.adapter,
            model=opened.model,
            prompt_version=opened.prompt_version,
            degraded=opened.degraded,
            cached=opened.cached,
            timings_ms=done.timings_ms,
        )


def as_history(pairs: Iterable[tuple[str, str]]) -> tuple[Turn, ...]:
    """The last turns of (question, answer), as they travel with a question: bounded, and without markers.

    The numbers of earlier citations mean nothing beside other passages.
    """
    last = list(pairs)[-MAX_TURNS:]
    return tuple(
        Turn(question=_cut(question), answer=_cut(_MARKER.sub("", answer))) for question, answer in last
    )


def title_from(question: str) -> str:
    """The question in one line, cut between words."""
    line = " ".join(question.split())
    if len(line) <= MAX_TITLE:
        return line
    head, _, _ = line[:MAX_TITLE].rpartition(" ")
    return f"{head or line[: MAX_TITLE - 1]}…"


def _cut(text: str) -> str:
    return text[:MAX_TURN_CHARACTERS]
