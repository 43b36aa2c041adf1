"""Texts in, vectors or scores out: the micro-batcher and the use cases, without I/O or frameworks."""

from rag_embedder.domain.batcher import MicroBatcher
from rag_embedder.domain.budget import SliceBudget
from rag_embedder.domain.embedding import Embedder, SpaceModel, SpaceNotServed
from rag_embedder.domain.encoder import (
    BadModel,
    Encoder,
    EncodingFailed,
    Meter,
    Priority,
    Tokens,
    Vectors,
)
from rag_embedder.domain.reranking import Reranker, WrongReranker

__all__ = [
    "BadModel",
    "Embedder",
    "Encoder",
    "EncodingFailed",
    "Meter",
    "MicroBatcher",
    "Priority",
    "Reranker",
    "SliceBudget",
    "SpaceModel",
    "SpaceNotServed",
    "Tokens",
    "Vectors",
    "WrongReranker",
]
