"""Documents: uploads, views and changes."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from rag_common.contracts import Acl, CollectionName, DocumentState, Line, Metadata, Place, SourceUri
from rag_common.i18n import translate
from rag_gateway.shapes.base import Answer, Request, Text

BARE_MEDIA_TYPE = r"^[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,99}$"
"""Without parameters, in at most the 200 characters of the ingest command."""
MediaType = Annotated[str, StringConstraints(pattern=BARE_MEDIA_TYPE, to_lower=True)]


class UploadFields(Request):
    """What goes with uploaded bytes. What is left out keeps its value when the document exists."""

    collection: CollectionName
    source_uri: SourceUri | None = None
    title: Line | None = None
    metadata: Metadata | None = None
    acl: Acl | None = None


class NewText(UploadFields):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "collection": "handbook",
                "source_uri": "wiki:/leave",
                "title": "Leave",
                "text": "Everyone has 28 days of leave a year.",
                "metadata": {"department": "hr", "year": 2026},
                "acl": ["group:staff"],
            }
        }
    )

    text: Annotated[Text, Field(min_length=1)]
    media_type: MediaType = "text/plain"


class UploadOutcome(BaseModel):
    """``accepted``: it is on its way; ``unchanged``: these bytes are known; ``updated``: only title,
    metadata or ACL differ."""

    id: str
    generation: int
    state: DocumentState
    outcome: str
    collection: str
    source_uri: str
    file_name: str | None
    size: int
    sha256: str


class UploadAnswer(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "documents": [
                    {
                        "id": "6f1f1c1e-7a53-4a65-9a0a-2a1f3f1f0f11",
                        "generation": 1,
                        "state": "accepted",
                        "outcome": "accepted",
                        "collection": "handbook",
                        "source_uri": "upload:/leave.pdf",
                        "file_name": "leave.pdf",
                        "size": 18231,
                        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    }
                ]
            }
        }
    )

    documents: list[UploadOutcome]
    """In the order of the files."""


class DocumentError(BaseModel):
    """Why the latest generation has failed."""

    stage: str | None
    code: str | None
    message: str | None


class DocumentView(Answer):
    """``state`` is that of the latest generation; an older one stays searchable until it is live."""

    id: str
    collection: str
    source_uri: str
    parent_id: str | None
    """The archive or the mail that the document came in."""
    title: str
    metadata: dict[str, JsonValue]
    acl: tuple[str, ...]
    acl_pending: bool
    """Whether the index has not applied the latest ACL or metadata yet; revocations hold at once."""
    generation: int
    live_generation: int | None
    state: DocumentState
    stage: str | None
    attempts: int
    error: DocumentError | None = None
    warnings: tuple[str, ...]
    media_type: str | None
    file_name: str | None
    size: int
    sha256: str
    chunk_count: int | None
    created_at: datetime
    updated_at: datetime


class TransitionView(Answer):
    id: int
    generation: int
    from_state: str | None
    to_state: str
    stage: str | None
    code: str | None
    message: str | None
    at: datetime

    @classmethod
    def of(cls, transition: object, language: str) -> Self:
        """Of a transition in the registry, its message in this language."""
        view = cls.model_validate(transition)
        if view.message is None:
            return view
        return view.model_copy(update={"message": translate(view.message, language)})


class DocumentDetail(DocumentView):
    transitions: list[TransitionView]
    """What has happened to the document, oldest first, at most 1,000."""


class DocumentChanges(Request):
    """What to change; what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"title": "Leave 2027", "acl": ["group:staff", "user:anna"]}}
    )

    title: Line | None = None
    metadata: Metadata | None = None
    acl: Acl | None = None


class ChunkView(Place):
    """``text`` is the extracted text from ``start`` to ``end`` (Unicode code points, end exclusive)."""

    chunk_no: int
    text: str
    start: int
    end: int
    heading: tuple[str, ...]
