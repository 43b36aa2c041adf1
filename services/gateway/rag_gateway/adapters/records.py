"""The registry's answers, as the recorder sees them."""

from rag_common.registry import NewAnswer, Registry, UnknownConversation
from rag_gateway.domain.recording import Asker, FinishedAnswer, PastTurn


class AnswerRecords:
    """Raises what the registry raises."""

    def __init__(self, registry: Registry) -> None:
        self._answers = registry.answers

    async def history(self, asker: Asker, conversation_id: str, limit: int) -> list[PastTurn]:
        """The last turns that the asker may be told again, the oldest first."""
        given = await self._answers.last(asker.tenant, asker.name, asker.principals, conversation_id, limit)
        return [PastTurn(answer.position, answer.question, answer.text) for answer in given]

    async def record(self, asker: Asker, answer: FinishedAnswer) -> bool:
        """``False``: its conversation is gone."""
        try:
            await self._answers.record(asker.tenant, asker.name, _row(answer))
        except UnknownConversation:
            return False
        return True


def _row(answer: FinishedAnswer) -> NewAnswer:
    return NewAnswer(
        id=answer.answer_id,
        conversation_id=answer.conversation_id,
        title=answer.title,
        question=answer.question,
        standalone=_storable(answer.standalone),
        text=_storable(answer.text),
        citations=[
            citation.model_copy(update={"quote": _storable(citation.quote)}).model_dump(mode="json")
            for citation in answer.citations
        ],
        documents=answer.documents,
        history=answer.history,
        answered=answer.answered,
        adapter=answer.adapter,
        model=answer.model,
        prompt_version=answer.prompt_version,
        degraded=answer.degraded,
        cached=answer.cached,
        timings_ms=answer.timings_ms,
    )


def _storable(text: str) -> str:
    """A model may write NUL, and PostgreSQL stores none."""
    return text.replace("\x00", "")
