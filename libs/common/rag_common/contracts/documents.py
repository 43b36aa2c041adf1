"""Messages of ingestion: gateway or producer → ingest → embedder → retriever."""

import base64
from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from rag_common.contracts.base import (
    Acl,
    CollectionName,
    DocumentRef,
    Lane,
    Line,
    Message,
    Metadata,
    SourceUri,
    TenantId,
    Value,
    decode_base64,
)

MAX_INLINE_BYTES = 256 * 1024
"""Largest inline drop, in bytes of its encoded message."""
MAX_MESSAGE_BYTES = 512 * 1024
"""Largest message that one of our own services publishes, in encoded bytes."""

MEDIA_TYPE_PATTERN = r"^[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}( *;([ -~]*[!-~])?)?$"
"""A media type in RFC 6838's characters, parameters after it allowed: it must fit into an HTTP header."""

DocumentState = Literal[
    "accepted",
    "parsing",
    "embedding",
    "live",
    "failed",
    "rejected",
    "superseded",
    "deleting",
    "deleted",
]


class AcceptedContent(Value):
    """The gateway has accepted this generation; its bytes are in the ``documents`` bucket."""

    kind: Literal["accepted"] = "accepted"
    document_id: str
    generation: int = Field(ge=1)


class InlineContent(Value):
    """The bytes are in the message: ``text``, or ``data`` in base64."""

    kind: Literal["inline"] = "inline"
    text: str | None = None
    data: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.text is None) == (self.data is None):
            raise ValueError("inline content takes exactly one of 'text' and 'data'")
        if self.data is not None:
            decode_base64(self.data)
        return self

    def bytes(self) -> bytes:
        """The document's bytes; ``text`` is encoded as UTF-8."""
        return self.text.encode() if self.text is not None else decode_base64(self.data or "")


class DroppedContent(Value):
    """The bytes are an object in the tenant's drop bucket, ``drop-{tenant}``."""

    kind: Literal["dropped"] = "dropped"
    object: Annotated[str, StringConstraints(min_length=1, max_length=512)]


class IngestDocument(Message):
    """Command: make these bytes a searchable document.

    The tenant is that of the subject, never of the body: a producer's credentials are bound to it.
    Fields that are ``None`` keep their value when the document exists already.
    """

    subject: ClassVar[str] = "ingest.{lane}.{tenant}"
    stream: ClassVar[str | None] = "INGEST"

    collection: CollectionName
    source_uri: SourceUri
    content: Annotated[AcceptedContent | InlineContent | DroppedContent, Field(discriminator="kind")]
    title: Line | None = None
    media_type: Annotated[str, StringConstraints(max_length=200, pattern=MEDIA_TYPE_PATTERN)] | None = None
    file_name: Annotated[str, StringConstraints(max_length=300)] | None = None
    metadata: Metadata | None = None
    acl: Acl | None = None


class ChunkText(Value):
    """A chunk's number within its generation, from 0, and the text that is encoded."""

    no: int = Field(ge=0)
    text: str


class EmbedChunks(Message):
    """Command: encode one batch of a generation's chunks. Batches count from 0."""

    subject: ClassVar[str] = "embed.{lane}"
    stream: ClassVar[str | None] = "EMBED"

    document: DocumentRef
    lane: Lane
    space: str
    batch: int = Field(ge=0)
    chunks: tuple[ChunkText, ...] = Field(min_length=1)


class IndexChunks(Message):
    """Command: write one batch of vectors. Texts and the ACL are read from the registry."""

    subject: ClassVar[str] = "index.upsert"
    stream: ClassVar[str | None] = "INDEX"

    document: DocumentRef
    space: str
    batch: int = Field(ge=0)
    numbers: tuple[int, ...] = Field(min_length=1)
    """Chunk numbers, in the order of the vectors."""
    dimension: int = Field(ge=1)
    vectors: str
    """``len(numbers)`` × ``dimension`` little-endian float32, row by row, in base64."""

    @model_validator(mode="after")
    def _vectors_fit(self) -> Self:
        expected = len(self.numbers) * self.dimension * 4
        if len(self.vectors) != 4 * ((expected + 2) // 3):
            raise ValueError(
                f"vectors must be {len(self.numbers)} x {self.dimension} float32 values in base64"
            )
        return self

    def vector_bytes(self) -> bytes:
        """The raw little-endian float32 rows."""
        return base64.b64decode(self.vectors)


class UpdateIndexedDocument(Message):
    """Command: bring the points of a document's live generation to the registry's ACL and metadata."""

    subject: ClassVar[str] = "index.update"
    stream: ClassVar[str | None] = "INDEX"

    tenant: TenantId
    document_id: str


class PurgeDocument(Message):
    """Command: remove points and objects that the registry no longer vouches for.

    ``generations`` names the generations to purge; empty means the whole, tombstoned document.
    Without a document, every point of the index that the registry does not vouch for.
    The registry is asked again before anything is removed.
    """

    subject: ClassVar[str] = "index.delete"
    stream: ClassVar[str | None] = "INDEX"

    tenant: TenantId | None
    document_id: str | None
    generations: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.tenant is None) != (self.document_id is None):
            raise ValueError("tenant and document_id are given together, or neither")
        return self


class DocumentEvent(Message):
    """Event, a hint: something happened to a document. The record is the table ``transitions``."""

    subject: ClassVar[str] = "event.document"
    stream: ClassVar[str | None] = "EVENTS"

    tenant: TenantId
    collection: str
    source_uri: str
    document_id: str | None
    generation: int | None
    outcome: DocumentState | Literal["unchanged", "updated"]
    at: datetime
    code: str | None = None
    message: str | None = None


class DeadLetter(Message):
    """A job that no retry can help, with all that is needed to explain or replay it."""

    subject: ClassVar[str] = "dlq.{stage}"
    stream: ClassVar[str | None] = "DLQ"

    stage: str
    code: str
    reason: str
    stack: str = ""
    attempts: int
    original_subject: str
    original_stream: str
    original_sequence: int
    original_time_ns: int = Field(ge=0)
    """When the stream stored the job, in ns since the epoch: exact, since drops are ordered by it."""
    headers: dict[str, str] = Field(default_factory=dict)
    body: str
    """The job's bytes in base64."""
    document: DocumentRef | None = None
