"""A complete answer as it is kept, and whether it is good enough to be kept."""

from rag_common.contracts import AnswerDelta, AnswerDone, AnswerOpened, Citation
from rag_common.contracts.base import Value
from rag_gateway.domain.answers import AnswerEvent, Ask, CollectedAnswer
from rag_gateway.domain.freshness import Position


class StoredAnswer(Value):
    """A complete answer, and what the documents were before it was begun."""

    position: Position
    opened: AnswerOpened
    text: str
    citations: tuple[Citation, ...]
    done: AnswerDone

    @classmethod
    def of(
        cls, position: Position, opened: AnswerOpened, answer: CollectedAnswer, done: AnswerDone
    ) -> "StoredAnswer":
        """Without the id of the query: whose question it was is nobody else's business."""
        anonymous = {"query_id": ""}
        return cls(
            position=position,
            opened=opened.model_copy(update=anonymous),
            text=answer.text,
            citations=tuple(answer.citations),
            done=done.model_copy(update=anonymous),
        )

    def events(self, seconds: float) -> tuple[AnswerEvent, ...]:
        """As they are given to whoever asks again. :param seconds: how long it took to find the answer."""
        timings = {"cache": round(seconds * 1000, 3)}
        query_id = self.opened.query_id
        return (
            self.opened.model_copy(update={"attempt": 1, "cached": True}),
            AnswerDelta(query_id=query_id, attempt=1, sequence=1, text=self.text, citations=self.citations),
            self.done.model_copy(update={"attempt": 1, "sequence": 2, "timings_ms": timings}),
        )


def reason_not_to_keep(ask: Ask, position: Position, opened: AnswerOpened, done: AnswerDone) -> str | None:
    """Why a complete answer is not as good as a new one would be."""
    if opened.degraded:
        return "degraded"
    if ask.options.grounding and done.answered and done.grounding is None:
        return "degraded"
    # The retriever remembers the active space for some seconds. Another one may be filled without any
    # change to documents.
    if not {opened.space, ask.space} <= {None, position.active_space}:
        return "space"
    return None
