"""Collections."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from rag_common.contracts import CollectionName, CollectionSettings, SplittingSettings
from rag_gateway.shapes.base import Answer, Request, Text


class Splitting(SplittingSettings):
    """How documents are cut into chunks. Null: as the installation has it."""

    model_config = ConfigDict(extra="forbid")


class SettingsChanges(CollectionSettings):
    """Documents are cut anew when their bytes are sent again."""

    model_config = ConfigDict(extra="forbid")

    splitting: Splitting = Splitting()


class NewCollection(Request):
    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "handbook", "description": "What every employee may read"}}
    )

    name: CollectionName
    description: Annotated[Text, Field(max_length=2000)] = ""
    settings: SettingsChanges = SettingsChanges()


class CollectionChanges(Request):
    """What is left out stays as it is; a setting that is null is the installation's again."""

    model_config = ConfigDict(json_schema_extra={"example": {"settings": {"splitting": {"chunk_words": 60}}}})

    description: Annotated[Text, Field(max_length=2000)] | None = None
    settings: SettingsChanges | None = None


class CollectionView(Answer):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "handbook",
                "description": "What every employee may read",
                "documents": 12,
                "settings": {"splitting": {"chunk_words": 60, "chunk_characters": None}},
                "created_at": "2026-11-22T10:00:00Z",
            }
        }
    )

    name: str
    description: str
    documents: int | None
    settings: CollectionSettings
    created_at: datetime
