"""What the registry returns: plain, immutable values."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from rag_common.contracts import (
    NO_SETTINGS,
    NOWHERE,
    CollectionSettings,
    DocumentRef,
    DocumentState,
    Lane,
    Place,
)

UNFINISHED: tuple[DocumentState, ...] = ("accepted", "parsing", "embedding")
"""States in which a generation still has a job on some queue."""


@dataclass(frozen=True, slots=True)
class Collection:
    id: str
    tenant: str
    name: str
    description: str
    created_at: datetime
    documents: int | None = None
    settings: CollectionSettings = NO_SETTINGS


@dataclass(frozen=True, slots=True)
class Installation:
    id: str
    active_space: str
    pipeline_fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """Last accepted wins: the INGEST stream's timestamp in ns, its sequence as tie-break."""

    time_ns: int
    sequence: int


@dataclass(frozen=True, slots=True)
class NewContent:
    """Bytes offered for a document, already hashed."""

    collection: str
    source_uri: str
    sha256: str
    size: int
    lane: Lane
    title: str | None = None
    media_type: str | None = None
    file_name: str | None = None
    metadata: dict[str, JsonValue] | None = None
    acl: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The registry's decision about offered bytes."""

    outcome: Literal["accepted", "unchanged", "updated", "resumed", "superseded"]
    document: DocumentRef
    state: DocumentState
    collection: str
    source_uri: str
    upload_id: str | None
    """Object that holds the generation's bytes; an offered object of another name is not needed."""
    reindex: bool = False
    """Whether an :class:`UpdateIndexedDocument` must be published."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation, with what its document adds."""

    document: DocumentRef
    collection: str
    source_uri: str
    title: str
    state: DocumentState
    document_state: str
    latest_generation: int
    lane: Lane
    upload_id: str
    sha256: str
    size: int
    media_type: str | None
    file_name: str | None
    chunk_count: int | None
    batch_count: int | None
    parent_id: str | None
    """The archive or the mail that the document came in."""
    has_members: bool
    """Whether documents have come in this one, in any generation of it."""
    settings: CollectionSettings
    """Of its collection."""

    @property
    def current(self) -> bool:
        """Whether work on it is still wanted."""
        return self.document_state == "active" and self.latest_generation == self.document.generation


@dataclass(frozen=True, slots=True)
class Document:
    """A document as the API shows it: its latest generation, and whether an older one is live."""

    id: str
    tenant: str
    collection: str
    source_uri: str
    parent_id: str | None
    """The archive or the mail that the document came in."""
    title: str
    metadata: dict[str, JsonValue]
    acl: tuple[str, ...]
    acl_pending: bool
    generation: int
    live_generation: int | None
    state: DocumentState
    stage: str | None
    attempts: int
    error_code: str | None
    error_message: str | None
    warnings: tuple[str, ...]
    media_type: str | None
    file_name: str | None
    size: int
    sha256: str
    chunk_count: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Transition:
    id: int
    generation: int
    from_state: str | None
    to_state: str
    stage: str | None
    code: str | None
    message: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk: ``text`` is the extracted text from ``start`` to ``end`` (code points, end exclusive)."""

    no: int
    text: str
    start: int
    end: int
    place: Place = NOWHERE
    heading: tuple[str, ...] = field(default=())
    batch: int = 0
    gap: str | None = None
    """The text between the chunk before and this one; ``None``: too long to keep, or none before."""
    context: str = ""
    """Title, headings and a table's header, as lines: what the text alone does not say."""

    @property
    def in_context(self) -> str:
        """What is encoded and indexed, where ``text`` is what is shown."""
        return f"{self.context}\n{self.text}" if self.context else self.text


@dataclass(frozen=True, slots=True)
class PassageRow:
    """A chunk that the registry vouches for, with its document."""

    document_id: str
    generation: int
    no: int
    text: str
    start: int
    end: int
    place: Place
    heading: tuple[str, ...]
    collection: str
    title: str
    source_uri: str
    metadata: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class IndexSource:
    """What the retriever writes beside the vectors of a generation."""

    collection_id: str
    collection: str
    source_uri: str
    acl: tuple[str, ...]
    acl_version: int
    metadata: dict[str, JsonValue]
    texts: dict[int, str]
    """Chunk number → text in its context."""


@dataclass(frozen=True, slots=True)
class Completion:
    """Answer to "this batch is in the index"."""

    outcome: Literal["pending", "live", "refused", "acl_changed"]
    purge: tuple[int, ...] = ()
    """Older generations whose points and objects can go now."""


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """What may be removed, as the registry sees it now."""

    document_id: str
    whole: bool
    generations: tuple[int, ...]
    upload_ids: tuple[str, ...]
