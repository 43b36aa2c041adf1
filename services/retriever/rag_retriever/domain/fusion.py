"""Rank fusion of the legs of one search."""

from collections.abc import Mapping, Sequence

from rag_common.contracts import Leg
from rag_retriever.domain.index import ChunkKey, Hit

RRF_K = 60
"""Cormack, Clarke and Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual
rank learning methods, SIGIR 2009; the constant that they found robust."""

LegHits = Sequence[tuple[ChunkKey, float]]
"""What one leg found, best first: chunk and the leg's own score."""


def fuse(legs: Mapping[Leg, LegHits], limit: int) -> list[Hit]:
    """Merge the legs: ``score = Σ 1 / (60 + rank)``; equal scores are ordered by chunk key.

    One leg alone keeps its own order and scores.
    """
    if len(legs) == 1:
        ((leg, found),) = legs.items()
        return [Hit(key, score, {leg: rank}) for rank, (key, score) in enumerate(found[:limit], 1)]
    ranks: dict[ChunkKey, dict[Leg, int]] = {}
    for leg, found in legs.items():
        for rank, (key, _) in enumerate(found, 1):
            ranks.setdefault(key, {})[leg] = rank
    scored = [(-sum(1 / (RRF_K + rank) for rank in by_leg.values()), key) for key, by_leg in ranks.items()]
    scored.sort()
    return [Hit(key, -negative, ranks[key]) for negative, key in scored[:limit]]
