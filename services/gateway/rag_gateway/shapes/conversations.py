"""Conversations and what was said in them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from rag_common.contracts import Citation
from rag_common.registry import GivenAnswer, Rating
from rag_gateway.shapes.base import Answer, Request, no_nul

MAX_TITLE = 200
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE),
    AfterValidator(no_nul),
]


class NewConversation(Request):
    model_config = ConfigDict(json_schema_extra={"example": {"title": "Leave in the first year"}})

    title: Title | None = None
    """Left out: it is made of the first question."""


class ConversationView(Answer):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0b6d1a51-3f0e-4f43-8a3f-6f0f9f6c2d77",
                "title": "How many days of leave do I have?",
                "answers": 2,
                "created_at": "2026-11-22T10:00:00Z",
                "updated_at": "2026-11-22T10:03:20Z",
            }
        }
    )

    id: UUID
    """For ``conversation_id`` of a question."""
    title: str | None
    """Null while there is no question."""
    answers: int
    """How many there are in it."""
    created_at: datetime
    """When it was begun."""
    updated_at: datetime
    """When the last answer was added."""


class FeedbackView(Answer):
    rating: Rating
    """What the caller thinks of the answer."""
    comment: str | None
    """In the caller's words."""
    updated_at: datetime
    """When it was said last."""


class MessageView(Answer):
    """A question with its answer. Where the caller may no longer read everything that the answer is made of,
    it is `withheld`: without text and citations."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "answer_id": "6f1f1c1e-7a53-4a65-9a0a-2a1f3f1f0f11",
                "position": 1,
                "question": "How many days of leave do I have?",
                "answer": "Everyone has 28 days of leave a year [1].",
                "citations": [],
                "answered": True,
                "degraded": False,
                "withheld": False,
                "created_at": "2026-11-22T10:00:07Z",
                "feedback": {"rating": "up", "comment": None, "updated_at": "2026-11-22T10:00:21Z"},
            }
        }
    )

    answer_id: UUID
    """For feedback."""
    position: int = Field(ge=1)
    """Place in the conversation, from 1."""
    question: str
    """As it was asked."""
    answer: str | None
    """With markers ``[n]``; null where it is withheld."""
    citations: list[Citation]
    """What the markers refer to; none where it is withheld."""
    answered: bool
    """Whether the documents held an answer."""
    degraded: bool
    """Whether something was missing that could have made it better."""
    withheld: bool
    """Whether the caller may no longer read everything that the answer is made of."""
    created_at: datetime
    """When the answer was complete."""
    feedback: FeedbackView | None
    """What the caller has said of it; null: nothing."""

    @classmethod
    def of(cls, given: GivenAnswer) -> "MessageView":
        """The answer as its owner may see it now."""
        return cls(
            answer_id=UUID(given.id),
            position=given.position,
            question=given.question,
            answer=None if given.withheld else given.text,
            citations=[] if given.withheld else [Citation.model_validate(each) for each in given.citations],
            answered=given.answered,
            degraded=given.degraded,
            withheld=given.withheld,
            created_at=given.created_at,
            feedback=FeedbackView.model_validate(given.feedback) if given.feedback else None,
        )
