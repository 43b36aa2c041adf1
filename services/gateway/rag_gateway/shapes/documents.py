"""Documents: uploads, views and changes."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field, JsonValue, StringConstraints

from rag_common.contracts import Acl, CollectionName, DocumentState, Line, Metadata, Place, SourceUri
from rag_common.i18n import translate
from rag_gateway.shapes.base import Answer, Described, Request, Text

BARE_MEDIA_TYPE = r"^[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,99}$"
"""Without parameters, in at most the 200 characters of the ingest command."""
MediaType = Annotated[str, StringConstraints(pattern=BARE_MEDIA_TYPE, to_lower=True)]


class UploadFields(Request):
    """What goes with uploaded bytes. What is left out keeps its value when the document exists."""

    collection: CollectionName
    """Where the document goes."""
    source_uri: SourceUri | None = None
    """Its identity within the collection; left out: made of the file name, or of the content."""
    title: Line | None = None
    """Of a new document that has none here, what it says itself counts."""
    metadata: Metadata | None = None
    """A JSON object for filters, at most 16 KiB."""
    acl: Acl | None = None
    """Who may read it: callers with one of these principals."""


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
    """The document itself."""
    media_type: MediaType = "text/plain"
    """How the text is to be read."""


class UploadOutcome(Described):
    """``accepted``: it is on its way; ``unchanged``: these bytes are known; ``updated``: only title,
    metadata or ACL differ."""

    id: str
    """Id of the document."""
    generation: int
    """The version that this upload is."""
    state: DocumentState
    """How far this version has come."""
    outcome: str
    """``accepted``, ``unchanged`` or ``updated``."""
    collection: str
    """The collection that it is in."""
    source_uri: str
    """Its identity within the collection."""
    file_name: str | None
    """Of the upload; null for a text."""
    size: int
    """Bytes."""
    sha256: str
    """Of the bytes, in hexadecimal digits."""


class UploadAnswer(Described):
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


class DocumentError(Described):
    """Why the latest generation has failed."""

    stage: str | None
    """The stage that has failed."""
    code: str | None
    """For programs."""
    message: str | None
    """For people."""


class DocumentView(Answer):
    """``state`` is that of the latest generation; an older one stays searchable until it is live."""

    id: str
    """Id of the document."""
    collection: str
    """The collection that it is in."""
    source_uri: str
    """Its identity within the collection."""
    parent_id: str | None
    """The archive or the mail that the document came in."""
    title: str
    """As it was given, or as the document has it."""
    metadata: dict[str, JsonValue]
    """A JSON object for filters."""
    acl: tuple[str, ...]
    """Who may read it: callers with one of these principals."""
    acl_pending: bool
    """Whether the index has not applied the latest ACL or metadata yet; revocations hold at once."""
    generation: int
    """The latest version."""
    live_generation: int | None
    """The version that searches find; null: none."""
    state: DocumentState
    """How far the latest version has come."""
    stage: str | None
    """The stage that works on it, or has failed; null: none."""
    attempts: int
    """How often that stage has begun."""
    error: DocumentError | None = None
    """Why the latest version has failed; null: it has not."""
    warnings: tuple[str, ...]
    """What was noticed while it was read."""
    media_type: str | None
    """What its bytes are; null while that is not known."""
    file_name: str | None
    """Of the upload; null where there was none."""
    size: int
    """Bytes."""
    sha256: str
    """Of the bytes, in hexadecimal digits."""
    chunk_count: int | None
    """Chunks of the latest version; null while it is not cut yet."""
    created_at: datetime
    """When it was uploaded first."""
    updated_at: datetime
    """When something of it has changed last."""


class TransitionView(Answer):
    id: int
    """Order of the events; each is higher than the last."""
    generation: int
    """The version that it happened to."""
    from_state: str | None
    """The state before; null: there was none."""
    to_state: str
    """The state after."""
    stage: str | None
    """The stage that has caused it."""
    code: str | None
    """Of an error, for programs."""
    message: str | None
    """Of an error, for people."""
    at: datetime
    """When it happened."""

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
    """A new title."""
    metadata: Metadata | None = None
    """New metadata, instead of what was there."""
    acl: Acl | None = None
    """Who may read it, instead of those before; holds at once."""


class ChunkView(Place):
    """``text`` is the extracted text from ``start`` to ``end`` (Unicode code points, end exclusive)."""

    chunk_no: int
    """Number in the document, from 0."""
    text: str
    """The extracted text from ``start`` to ``end``."""
    start: int
    """Offset of the first character, in Unicode code points."""
    end: int
    """The offset after the last character."""
    heading: tuple[str, ...]
    """The headings above it, the outermost first."""
