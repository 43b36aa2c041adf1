"""Messages of answering: gateway → retriever → gateway, and retriever ↔ embedder."""

import base64
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from rag_common.contracts.base import CollectionName, Message, Principal, TenantId, Value
from rag_common.contracts.filters import Filter

SearchMode = Literal["hybrid", "dense", "sparse"]
Leg = Literal["dense", "sparse"]
Question = Annotated[str, StringConstraints(min_length=1, max_length=4000, strip_whitespace=True)]


class RetrievePassages(Message):
    """Command: find the passages that answer a question and send them to ``reply_to``.

    The caller's principals are mandatory: there is no search without access control.
    """

    subject: ClassVar[str] = "query.retrieve"
    stream: ClassVar[str | None] = "QUERY"

    query_id: str
    reply_to: str
    deadline: float
    """Unix time, seconds; a query past it is dropped."""
    tenant: TenantId
    principals: tuple[Principal, ...] = Field(min_length=1)
    collections: tuple[CollectionName, ...] = ()
    """Empty: every collection of the tenant."""
    question: Question
    mode: SearchMode = "hybrid"
    limit: int = Field(default=10, ge=1, le=100)
    filter: Filter | None = None


class Passage(Value):
    """A retrieved chunk, as the registry holds it."""

    document_id: str
    generation: int
    collection: str
    title: str
    source_uri: str
    chunk_no: int
    page: int | None
    """From 1; ``None`` where the format has no pages."""
    start: int
    """Offsets into the document's extracted text, in Unicode code points; ``end`` is exclusive."""
    end: int
    heading: tuple[str, ...]
    text: str
    score: float
    ranks: dict[Leg, int]
    """Rank from 1 in each leg that proposed the passage."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class PassagesFound(Message):
    """Reply to :class:`RetrievePassages`."""

    subject: ClassVar[str] = "reply.{gateway}.{query}"

    kind: Literal["passages"] = "passages"
    query_id: str
    passages: tuple[Passage, ...]
    mode: SearchMode
    """The mode that was really used."""
    degraded: bool = False
    reason: str | None = None
    """Why the answer is degraded, or shorter than it could be."""
    timings_ms: dict[str, float] = Field(default_factory=dict)
    """Milliseconds per stage: ``queue``, ``encode``, ``index``, ``registry``."""


class QueryFailed(Message):
    """Reply to a query that cannot be answered."""

    subject: ClassVar[str] = "reply.{gateway}.{query}"

    kind: Literal["failed"] = "failed"
    query_id: str
    code: str
    message: str


class EmbedQuery(Message):
    """Request (core NATS): encode questions for one space."""

    subject: ClassVar[str] = "embed.query"

    space: str
    texts: tuple[str, ...] = Field(min_length=1, max_length=64)


class QueryVectors(Message):
    """Reply to :class:`EmbedQuery`: vectors, or an ``error``."""

    subject: ClassVar[str] = "embed.query"

    space: str
    dimension: int = 0
    vectors: str = ""
    """Rows of little-endian float32 in base64, in the order of the texts."""
    error: str | None = None

    @model_validator(mode="after")
    def _vectors_or_error(self) -> Self:
        if self.error is None and (self.dimension < 1 or not self.vectors):
            raise ValueError("a reply without an error carries vectors and their dimension")
        return self

    def vector_bytes(self) -> bytes:
        """The raw little-endian float32 rows."""
        return base64.b64decode(self.vectors)
