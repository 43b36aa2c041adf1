"""Searches."""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from rag_common.contracts import (
    MAX_EXPANSION,
    CollectionName,
    Filter,
    Passage,
    Question,
    SearchMode,
    check_filter,
)
from rag_gateway.shapes.base import Described, Request, no_nul


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must hold more than white space")
    return text


def _bounded(condition: Filter | None) -> Filter | None:
    if condition is not None:
        check_filter(condition)
    return condition


def _clean(name: str | None) -> str | None:
    return name if name is None else no_nul(name)


QuestionText = Annotated[Question, AfterValidator(no_nul), AfterValidator(_not_blank)]


class Retrieval(Request):
    """How passages are found."""

    collections: Annotated[tuple[CollectionName, ...], Field(max_length=100)] = ()
    """Empty: every collection."""
    mode: SearchMode = "hybrid"
    """By meaning (``dense``), by words (``sparse``), or both."""
    filter: Annotated[Filter | None, AfterValidator(_bounded)] = None
    """What the metadata of a document must be like."""
    expand: int = Field(0, ge=0, le=MAX_EXPANSION)
    """Characters up to which a passage is widened by its neighbours of the same section; 0: not."""
    diversity: float = Field(0.0, ge=0, le=1)
    """0: by relevance alone; towards 1 what repeats an earlier passage comes later (MMR)."""
    rerank: bool | None = None
    """Whether a cross-encoder orders the best passages; left out: where one is set up."""
    space: Annotated[str | None, Field(min_length=1, max_length=200), AfterValidator(_clean)] = None
    """The embedding space to search; left out: the active one."""


class SearchRequest(Retrieval):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "query": "How many days of leave do I have?",
                "collections": ["handbook"],
                "mode": "hybrid",
                "limit": 5,
                "filter": {"op": "eq", "field": "department", "value": "hr"},
                "expand": 2000,
            }
        }
    )

    query: QuestionText
    """What is looked for."""
    limit: int = Field(10, ge=1, le=100)
    """Most passages."""


class SearchAnswer(Described):
    query_id: str
    """What logs call this search."""
    passages: list[Passage]
    """The best first. The same text in several documents is one passage that names the others."""
    mode: SearchMode
    """The mode that was really used."""
    space: str | None
    """The embedding space that was searched."""
    reranked: bool
    """Whether a cross-encoder has ordered the passages; then `score` is its score."""
    degraded: bool
    """Whether something was missing that could have made it better."""
    reason: str | None
    """Why the answer is degraded, or shorter than it could be."""
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
            "slide": None,
            "sheet": None,
            "rows": None,
            "start": 1804,
            "end": 2391,
            "heading": ["Working time", "Leave"],
            "text": "Everyone has 28 days of leave a year.",
            "score": 0.91,
            "ranks": {"dense": 1, "sparse": 2},
            "leg_scores": {"dense": 0.63, "sparse": 7.4},
            "metadata": {"department": "hr"},
            "also_in": [
                {
                    "document_id": "0b6d1a51-3f0e-4f43-8a3f-6f0f9f6c2d77",
                    "collection": "archive",
                    "title": "Leave (2025)",
                    "source_uri": "upload:/leave.xlsx",
                    "page": None,
                    "slide": None,
                    "sheet": "Rules",
                    "rows": [4, 9],
                    "start": 96,
                    "end": 683,
                }
            ],
        }
    ],
    "mode": "hybrid",
    "space": "all-minilm-l6-v2",
    "reranked": False,
    "degraded": False,
    "reason": None,
    "timings_ms": {"queue": 0.6, "encode": 7.1, "index": 2.3, "registry": 0.9, "total": 12.4},
}
