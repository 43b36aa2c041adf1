"""Texts in, vectors out: the micro-batcher and the use case, without I/O or frameworks."""

from rag_embedder.domain.batcher import MicroBatcher
from rag_embedder.domain.budget import SliceBudget
from rag_embedder.domain.embedding import Embedder, SpaceMismatch
from rag_embedder.domain.encoder import Encoder, EncodingFailed, Meter, Priority, Tokens, Vectors
from rag_embedder.domain.space import Space

__all__ = [
    "Embedder",
    "Encoder",
    "EncodingFailed",
    "Meter",
    "MicroBatcher",
    "Priority",
    "SliceBudget",
    "Space",
    "SpaceMismatch",
    "Tokens",
    "Vectors",
]
