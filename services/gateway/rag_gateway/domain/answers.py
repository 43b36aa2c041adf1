"""What an answer is to the gateway: a stream of events, and what they come to."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

from rag_common.contracts import (
    AnswerDelta,
    AnswerDone,
    AnswerOpened,
    AnswerOptions,
    Citation,
    Filter,
    SearchMode,
)
from rag_common.errors import PermanentError, TransientError

AnswerEvent = AnswerOpened | AnswerDelta | AnswerDone
"""First the passages, then pieces of text, then the end. Another :class:`AnswerOpened` in the middle takes
back all text before it."""


class AnswerTimedOut(TransientError):
    """The answer was not complete within the deadline."""

    code = "deadline_exceeded"


class AnswerBroken(TransientError):
    """A piece of the answer is missing."""

    code = "answer_interrupted"


class SlowReader(TransientError):
    """The client has not read the answer by the end of all patience."""

    code = "slow_reader"


class AnswerFailed(PermanentError):
    """A service has answered that it cannot; ``code`` is that service's."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A validated question of one caller. ``timeout`` is in seconds."""

    tenant: str
    principals: tuple[str, ...]
    question: str
    timeout: float
    collections: tuple[str, ...] = ()
    mode: SearchMode = "hybrid"
    limit: int = 10
    filter: Filter | None = None
    expand: int = 0
    diversity: float = 0.0
    rerank: bool | None = None
    space: str | None = None
    cache: bool = True
    """Whether an answer that was given before will do."""
    options: AnswerOptions = field(default_factory=AnswerOptions)


class Answers(Protocol):
    """Something that answers: the generator, or a layer around it (shared, cached)."""

    def __call__(self, ask: Ask) -> AsyncGenerator[AnswerEvent, None]:
        """The events of one answer, ending with :class:`AnswerDone`. Closing it cancels the answer.

        :raises Overloaded: too many questions wait, or too many pieces of this answer.
        :raises AnswerTimedOut: the deadline has passed.
        :raises AnswerBroken: a piece is missing.
        :raises AnswerFailed: the retriever or the generator refuses.
        :raises TransientError: NATS is away.
        """


@dataclass(slots=True)
class CollectedAnswer:
    """What the events so far come to."""

    opened: AnswerOpened | None = None
    done: AnswerDone | None = None
    text: str = ""
    citations: list[Citation] = field(default_factory=list)

    def add(self, event: AnswerEvent) -> None:
        """Take the next event of the answer."""
        if isinstance(event, AnswerOpened):
            self.opened, self.text, self.citations = event, "", []
        elif isinstance(event, AnswerDelta):
            self.text += event.text
            self.citations += event.citations
        else:
            self.done = event
