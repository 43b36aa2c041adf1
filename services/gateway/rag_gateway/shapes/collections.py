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
    """How documents are cut into chunks."""


class NewCollection(Request):
    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "handbook", "description": "What every employee may read"}}
    )

    name: CollectionName
    """Lower-case letters, digits, ``_`` and ``-``; it does not change."""
    description: Annotated[Text, Field(max_length=2000)] = ""
    """For people."""
    settings: SettingsChanges = SettingsChanges()
    """What differs from the installation's settings."""


class CollectionChanges(Request):
    """What is left out stays as it is; a setting that is null is the installation's again."""

    model_config = ConfigDict(json_schema_extra={"example": {"settings": {"splitting": {"chunk_words": 60}}}})

    description: Annotated[Text, Field(max_length=2000)] | None = None
    """For people."""
    settings: SettingsChanges | None = None
    """What differs from the installation's settings."""


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
    """What requests call it."""
    description: str
    """For people."""
    documents: int | None
    """How many there are; null where they were not counted."""
    settings: CollectionSettings
    """What differs from the installation's settings."""
    created_at: datetime
    """When it was created."""
