"""What is measured: questions, and what should come back for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Span:
    """Characters that answer a question; offsets into the document's extracted text, ``end`` exclusive."""

    document: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its gold.

    A document is referred to as :func:`ragp.evaluation.matching.names_of` says.
    """

    id: str
    text: str
    relevant: Mapping[str, float] = field(default_factory=dict)
    """Reference of an expected document → its relevance, above 0."""
    spans: tuple[Span, ...] = ()
    answers: tuple[str, ...] = ()
    """Quotations that a passage should hold."""
    language: str | None = None
    collection: str | None = None
    """Where to search; ``None``: in every collection."""


@dataclass(frozen=True, slots=True)
class TextDocument:
    """A document of a retrieval collection."""

    source_uri: str
    text: str
    title: str | None = None
    media_type: str = "text/plain"
