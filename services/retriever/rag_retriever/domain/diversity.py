"""Maximal marginal relevance: passages that answer the question and do not repeat each other.

Carbonell and Goldstein: The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
Summaries, SIGIR 1998.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rag_retriever.domain.stems import stems


class LexicalSimilarity:
    """Cosines of the texts' sets of stems, each stem weighed by how rare it is among these texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        words = [stems(text) for text in texts]
        frequencies = Counter(word for own in words for word in own)
        rows = {word: row for row, word in enumerate(frequencies)}
        self._of_text = [np.array([rows[word] for word in own], np.intp) for own in words]
        self._weights = np.zeros((len(rows), len(texts)))
        rarity = np.log1p(len(texts) / np.fromiter(frequencies.values(), np.float64, len(rows)))
        for column, own in enumerate(self._of_text):
            self._weights[own, column] = rarity[own]
        lengths = np.linalg.norm(self._weights, axis=0)
        self._weights /= np.where(lengths > 0, lengths, 1)

    def of(self, position: int) -> NDArray[np.float64]:
        """To each text, from 0 (nothing in common) to 1 (the same words)."""
        # few products, for which the threads of a matrix product would cost more than they do
        own = self._weights[self._of_text[position]]
        similarity: NDArray[np.float64] = (own * own[:, [position]]).sum(axis=0)
        return similarity


def diversified(texts: Sequence[str], scores: Sequence[float], diversity: float) -> list[int]:
    """All positions, the next always the one with the greatest ``(1 - diversity) · relevance - diversity ·
    similarity`` to the most similar text before it.

    The relevance is the score brought to the range 0 to 1, since every leg and model has a scale of its
    own. The first is the most relevant one; of equal ones the earlier goes first.
    """
    if not texts:
        return []
    similarity = LexicalSimilarity(texts)
    relevance = np.asarray(scores, np.float64)
    spread = float(np.ptp(relevance))
    relevance = (relevance - relevance.min()) / spread if spread > 0 else np.ones(len(relevance))
    repeated = np.zeros(len(relevance))
    left = np.ones(len(relevance), bool)
    order: list[int] = []
    for _ in texts:
        gain = (1 - diversity) * relevance - diversity * repeated if order else relevance
        chosen = int(np.argmax(np.where(left, gain, -np.inf)))
        left[chosen] = False
        order.append(chosen)
        repeated = np.maximum(repeated, similarity.of(chosen))
    return order
