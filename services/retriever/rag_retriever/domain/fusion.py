"""Fusion of the legs of one search by their scores, each brought to the range 0 to 1."""

from collections.abc import Iterable, Mapping, Sequence

from rag_common.contracts import Leg
from rag_retriever.domain.index import ChunkKey, Hit

LegHits = Sequence[tuple[ChunkKey, float]]
"""What one leg found, best first: chunk and the leg's own score."""

COVERAGE_HITS = 10
"""Of so many lexical hits the one that holds most of the question's terms counts."""
FULL_COVERAGE = 2 / 3
"""Above this share of terms the lexical leg has an equal say; the mean within a language is .69-.77."""


def term_coverage(terms: Iterable[int], hits: Iterable[Iterable[int]]) -> float:
    """How much of the question the text can match at all: the largest share of its terms in one hit.

    Measured on XQuAD, mean of the best of ten hits: .69-.77 within a language, .04-.09 across languages,
    where only names and numbers are spelt alike.
    """
    wanted = frozenset(terms)
    return max((len(wanted.intersection(hit)) / len(wanted) for hit in hits), default=0.0) if wanted else 0.0


def fuse(legs: Mapping[Leg, LegHits], limit: int, *, coverage: float = 1.0) -> list[Hit]:
    """Merge the legs: ``score = (dense' + w · sparse') / (1 + w)``, between 0 and 1, where
    ``w = min(1, coverage / FULL_COVERAGE)``.

    ``dense'`` is the similarity between the worst (0) and the best hit (1) of the leg: what a cosine means
    differs from model to model. ``sparse'`` is the share of the best hit's BM25 score, for which 0 means
    something: no term in common. What a leg did not find has 0 there. Equal scores are ordered by chunk
    key. One leg alone keeps its own order and scores.

    Measured, nDCG@10 on XQuAD with multilingual-e5-small (4 bit), against reciprocal rank fusion with
    k = 60: en .983 (.978), ru .975 (.961), en→ru .906 (.856), ru→en .899 (.896); see ``docs/quality.md``.
    """
    if len(legs) == 1:
        ((leg, found),) = legs.items()
        return [
            Hit(key, score, {leg: rank}, {leg: score}) for rank, (key, score) in enumerate(found[:limit], 1)
        ]
    lexical = min(1.0, coverage / FULL_COVERAGE)
    scores: dict[ChunkKey, float] = {}
    ranks: dict[ChunkKey, dict[Leg, int]] = {}
    own_scores: dict[ChunkKey, dict[Leg, float]] = {}
    for leg, found in legs.items():
        weight = lexical if leg == "sparse" else 1.0
        for rank, ((key, own), share) in enumerate(zip(found, _normalised(leg, found), strict=True), 1):
            ranks.setdefault(key, {})[leg] = rank
            own_scores.setdefault(key, {})[leg] = own
            scores[key] = scores.get(key, 0.0) + weight * share / (1.0 + lexical)
    ordered = sorted(scores.items(), key=lambda scored: (-scored[1], scored[0]))
    return [Hit(key, score, ranks[key], own_scores[key]) for key, score in ordered[:limit]]


def _normalised(leg: Leg, found: LegHits) -> list[float]:
    if not found:
        return []
    best = found[0][1]
    worst = found[-1][1] if leg == "dense" and len(found) > 1 else 0.0
    if best <= worst:
        return [1.0] * len(found)
    return [(score - worst) / (best - worst) for _, score in found]
