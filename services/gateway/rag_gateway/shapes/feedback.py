"""What callers say of answers."""

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from rag_common.registry import Rating
from rag_gateway.shapes.base import Request, Text

MAX_COMMENT = 4000


class NewFeedback(Request):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "answer_id": "6f1f1c1e-7a53-4a65-9a0a-2a1f3f1f0f11",
                "rating": "down",
                "comment": "It is 30 days since January.",
            }
        }
    )

    answer_id: UUID
    """Of an answer of this caller."""
    rating: Rating
    """Whether it was of use."""
    comment: Annotated[Text, Field(max_length=MAX_COMMENT)] | None = None
    """In the caller's words."""
