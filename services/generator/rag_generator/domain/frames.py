"""The numbers by which a gateway puts an answer together."""

from typing import Literal

from rag_common.contracts import AnswerDelta, AnswerDone, Citation, SentenceGrounding

DELIVERIES = 3
"""Of one :class:`GenerateAnswer` at most: the ``max_attempts`` of its consumer."""


def first_attempt(retrieval: int, delivery: int) -> int:
    """The attempt that a delivery begins with; the next one is for quotations in the place of a failed text.

    It is above both of any delivery before, also of one that an earlier delivery of the retrieval has caused.
    """
    return ((retrieval - 1) * DELIVERIES + delivery - 1) * 2 + 1


class Frames:
    """Numbers what follows the opening of one attempt, without a gap."""

    def __init__(self, query_id: str, attempt: int) -> None:
        self.query_id = query_id
        self.attempt = attempt
        self._sequence = 0

    def delta(self, text: str, citations: tuple[Citation, ...] = ()) -> AnswerDelta:
        """The next piece."""
        return AnswerDelta(
            query_id=self.query_id,
            attempt=self.attempt,
            sequence=self._next(),
            text=text,
            citations=citations,
        )

    def done(
        self,
        *,
        answered: bool,
        finish: Literal["stop", "length"],
        grounding: tuple[SentenceGrounding, ...] | None,
        prompt_tokens: int | None,
        completion_tokens: int | None,
        timings_ms: dict[str, float],
    ) -> AnswerDone:
        """The end."""
        return AnswerDone(
            query_id=self.query_id,
            attempt=self.attempt,
            sequence=self._next(),
            answered=answered,
            finish=finish,
            grounding=grounding,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            timings_ms=timings_ms,
        )

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence
