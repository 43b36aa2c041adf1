"""Collections."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from rag_common.contracts import CollectionName
from rag_gateway.shapes.base import Answer, Request, Text


class NewCollection(Request):
    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "handbook", "description": "What every employee may read"}}
    )

    name: CollectionName
    description: Annotated[Text, Field(max_length=2000)] = ""


class CollectionView(Answer):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "handbook",
                "description": "What every employee may read",
                "documents": 12,
                "created_at": "2026-11-22T10:00:00Z",
            }
        }
    )

    name: str
    description: str
    documents: int | None
    created_at: datetime
