"""What the API takes and returns, as JSON."""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from rag_common.contracts import (
    Acl,
    CollectionName,
    DocumentState,
    Filter,
    Line,
    Metadata,
    Passage,
    Question,
    SearchMode,
    check_filter,
)

MAX_PAGE = 200
T = TypeVar("T")


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must hold more than white space")
    return text


def _bounded(condition: Filter | None) -> Filter | None:
    if condition is not None:
        check_filter(condition)
    return condition


Text = Annotated[str, AfterValidator(_no_nul)]
MediaType = Annotated[str, StringConstraints(pattern=r"^[\w.+-]{1,100}/[\w.+-]{1,100}$", to_lower=True)]


class Request(BaseModel):
    """A misspelt field is an error, not silently nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


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


class Page(BaseModel, Generic[T]):
    """``next_cursor`` is null on the last page; else pass it back as ``cursor``."""

    items: list[T]
    next_cursor: str | None = None


class UploadFields(Request):
    """What goes with uploaded bytes. What is left out keeps its value when the document exists."""

    collection: CollectionName
    source_uri: Line | None = None
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


class ChunkView(BaseModel):
    """``text`` is the extracted text from ``start`` to ``end`` (Unicode code points, end exclusive)."""

    chunk_no: int
    text: str
    page: int | None
    start: int
    end: int
    heading: tuple[str, ...]


class SearchRequest(Request):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "query": "How many days of leave do I have?",
                "collections": ["handbook"],
                "mode": "hybrid",
                "limit": 5,
                "filter": {"op": "eq", "field": "department", "value": "hr"},
            }
        }
    )

    query: Annotated[Question, AfterValidator(_no_nul), AfterValidator(_not_blank)]
    collections: Annotated[tuple[CollectionName, ...], Field(max_length=100)] = ()
    """Empty: every collection."""
    mode: SearchMode = "hybrid"
    limit: int = Field(10, ge=1, le=100)
    filter: Annotated[Filter | None, AfterValidator(_bounded)] = None


class SearchAnswer(BaseModel):
    query_id: str
    passages: list[Passage]
    mode: SearchMode
    """The mode that was really used."""
    degraded: bool
    reason: str | None
    """Why the answer is degraded."""
    timings_ms: dict[str, float]
    """Milliseconds per stage, and the whole way in ``total``."""


EXAMPLE_PASSAGES: dict[str, Any] = {
    "query_id": "5d0f2b0c7d6b4a64a6b1f0a1c2d3e4f5",
    "passages": [
        {
            "document_id": "6f1f1c1e-7a53-4a65-9a0a-2a1f3f1f0f11",
            "generation": 1,
            "collection": "handbook",
            "title": "Leave",
            "source_uri": "upload:/leave.pdf",
            "chunk_no": 3,
            "page": 2,
            "start": 1804,
            "end": 2391,
            "heading": ["Working time", "Leave"],
            "text": "Everyone has 28 days of leave a year.",
            "score": 0.91,
            "ranks": {"dense": 1, "sparse": 2},
            "metadata": {"department": "hr"},
        }
    ],
    "mode": "hybrid",
    "degraded": False,
    "reason": None,
    "timings_ms": {"queue": 0.6, "encode": 7.1, "index": 2.3, "registry": 0.9, "total": 12.4},
}
