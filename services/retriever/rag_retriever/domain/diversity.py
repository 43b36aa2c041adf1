"""Maximal marginal relevance: passages that answer the question and do not repeat each other.

Carbonell and Goldstein: The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
Summaries, SIGIR 1998.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rag_retriever.domain.index import SparseVector

Similarities = NDArray[np.float32]
"""Square and symmetric, from 0 (nothing in common) to 1 (the same)."""


def diversified(scores: Sequence[float], similarities: Similarities, diversity: float) -> list[int]:
    """All positions, each as ``argmax (1 - diversity) · relevance - diversity · greatest similarity`` to
    those before it.

    The relevance is the score, brought to the range 0 to 1, since scores of different legs and models have
    different scales. The first is the most relevant one, and the earlier of two equal ones goes first.
    """
    relevance = np.asarray(scores, np.float64)
    spread = float(np.ptp(relevance)) if len(relevance) else 0.0
    relevance = (relevance - relevance.min()) / spread if spread > 0 else np.ones(len(relevance))
    repeated = np.zeros(len(relevance))
    left = np.ones(len(relevance), bool)
    order: list[int] = []
    for _ in scores:
        gain = (1 - diversity) * relevance - diversity * repeated if order else relevance
        chosen = int(np.argmax(np.where(left, gain, -np.inf)))
        left[chosen] = False
        order.append(chosen)
        repeated = np.maximum(repeated, similarities[chosen])
    return order


def similarities(texts: Sequence[SparseVector]) -> Similarities:
    """Cosines of the texts' BM25 weights: how much of their words, by stem, they have in common."""
    terms = np.unique(np.concatenate([text.indices for text in texts])) if texts else np.array([])
    rows = np.zeros((len(texts), len(terms)), np.float32)
    for row, text in zip(rows, texts, strict=True):
        row[np.searchsorted(terms, text.indices)] = text.values
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths > 0, lengths, 1)
    return rows @ rows.T
