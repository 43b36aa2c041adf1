"""Messages of answering: gateway → retriever → gateway, and retriever ↔ embedder."""

import base64
from typing import ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from rag_common.contracts.base import CollectionName, Message, Place, Principal, TenantId
from rag_common.contracts.filters import Filter
from rag_common.contracts.turns import AnswerOptions, Question

SearchMode = Literal["hybrid", "dense", "sparse"]
Leg = Literal["dense", "sparse"]
MAX_EXPANSION = 20_000
"""Most characters of one widened passage."""


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
    space: str | None = None
    """The embedding space to search; ``None``: the active one."""
    expand: int = Field(default=0, ge=0, le=MAX_EXPANSION)
    """Characters up to which a passage is widened by its neighbours of the same section; 0: not."""
    diversity: float = Field(default=0.0, ge=0, le=1)
    """0: by relevance alone; 1: as different from each other as possible (MMR's ``1 - lambda``)."""
    rerank: bool | None = None
    """Whether a cross-encoder orders the best passages; ``None``: where one is configured."""
    answer: AnswerOptions | None = None
    """With it the passages go on to the generator, and the answer comes from there."""


class Source(Place):
    """Another document that says the same as a passage."""

    document_id: str
    """Id of the document."""
    collection: str
    """The collection that it is in."""
    title: str
    """Its title."""
    source_uri: str
    """Its identity within the collection."""
    start: int
    """Offsets into its extracted text, in Unicode code points; ``end`` is exclusive."""
    end: int
    """The offset after the last character."""


class Passage(Place):
    """A retrieved chunk, or several that follow each other, as the registry holds them."""

    document_id: str
    """Id of the document that it stands in."""
    generation: int
    """The version of the document."""
    collection: str
    """The collection of the document."""
    title: str
    """Title of the document."""
    source_uri: str
    """Identity of the document within its collection."""
    chunk_no: int
    """The chunk that was found, from 0; with ``expand`` its neighbours may be around it."""
    start: int
    """Offsets into the document's extracted text, in Unicode code points; ``end`` is exclusive."""
    end: int
    """The offset after the last character."""
    heading: tuple[str, ...]
    """The headings above it, the outermost first."""
    text: str
    """The extracted text from ``start`` to ``end``."""
    score: float
    """How well it answers the question; comparable within one search alone."""
    ranks: dict[Leg, int]
    """Rank from 1 in each leg that proposed the passage."""
    leg_scores: dict[Leg, float] = Field(default_factory=dict)
    """The own score of each of these legs: the cosine, and BM25."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    """Metadata of the document."""
    also_in: tuple[Source, ...] = ()
    """Other documents with nearly the same text; they are no hits of their own."""


class PassagesFound(Message):
    """Reply to :class:`RetrievePassages`."""

    subject: ClassVar[str] = "reply.{gateway}.{query}"

    kind: Literal["passages"] = "passages"
    query_id: str
    passages: tuple[Passage, ...]
    mode: SearchMode
    """The mode that was really used."""
    space: str | None = None
    """The embedding space that was searched."""
    reranked: bool = False
    """Whether a cross-encoder has ordered the passages; then ``score`` is its score."""
    bm25_unit: float | None = None
    """What a BM25 score is divided by to mean the same for every question and index: the IDF of a term that
    one chunk alone holds, times the square root of the number of the question's terms. ``None``: there was
    no lexical leg, or no answer is wanted."""
    degraded: bool = False
    reason: str | None = None
    """Why the answer is degraded, or shorter than it could be."""
    timings_ms: dict[str, float] = Field(default_factory=dict)
    """Milliseconds per stage: ``queue``, ``encode``, ``index``, ``registry``, ``rerank``."""


class QueryFailed(Message):
    """Reply to a query that cannot be answered."""

    subject: ClassVar[str] = "reply.{gateway}.{query}"

    kind: Literal["failed"] = "failed"
    query_id: str
    attempt: int | None = None
    """The last one that the failed delivery could have opened (see :class:`AnswerOpened`); those of later
    deliveries are not concerned. ``None``: the search has failed; no answer that was opened is concerned."""
    code: str
    message: str


class EmbedQuery(Message):
    """Request (core NATS): encode short texts for one space."""

    subject: ClassVar[str] = "embed.query"

    space: str
    side: Literal["question", "passage"] = "question"
    """Many models encode what is looked for and what is found differently."""
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


class RerankPassages(Message):
    """Request (core NATS): score texts by how well they answer a question."""

    subject: ClassVar[str] = "rerank.query"

    model: str
    question: str
    texts: tuple[str, ...] = Field(min_length=1, max_length=128)


class PassageScores(Message):
    """Reply to :class:`RerankPassages`: a score for each text, or an ``error``."""

    subject: ClassVar[str] = "rerank.query"

    model: str
    scores: tuple[float, ...] = ()
    """In the order of the texts; higher is better, the scale is the model's."""
    error: str | None = None

    @model_validator(mode="after")
    def _scores_or_error(self) -> Self:
        if self.error is None and not self.scores:
            raise ValueError("a reply without an error carries scores")
        return self
