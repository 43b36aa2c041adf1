"""What the retriever needs from outside, besides the index."""

from collections.abc import Sequence
from typing import Protocol

from rag_common.errors import TransientError
from rag_retriever.domain.index import SparseVector, Vector


class EncoderUnavailable(TransientError):
    """No embedder has answered in time."""

    code = "embedder_unavailable"


class SparseEncoder(Protocol):
    """BM25 weights of texts and questions; needs no model and no network."""

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Term weights, without IDF: the index knows how rare a term is."""

    def encode_query(self, question: str) -> SparseVector:
        """Every distinct term with weight 1; empty when the question has only stop words."""


class DenseEncoder(Protocol):
    """Dense vectors of questions, made by the embedder."""

    async def encode(self, space: str, question: str) -> Vector:
        """The question's vector in the space.

        :raises EncoderUnavailable: no answer after the retry, or the embedder refused.
        """
