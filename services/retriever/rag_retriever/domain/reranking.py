"""Having a cross-encoder order the candidates of one query."""

import time
from collections.abc import Sequence
from dataclasses import replace

from rag_common.errors import PermanentError
from rag_retriever.domain.candidates import Candidate
from rag_retriever.domain.index import ChunkKey
from rag_retriever.domain.ports import Reranker, RerankerUnavailable
from rag_retriever.domain.timings import Timings

MAX_TEXTS = 128
"""Texts of one :class:`rag_common.contracts.RerankPassages`."""
RESERVE = 0.5
"""Seconds before a query's deadline that are left for all that follows."""


class NoReranker(PermanentError):
    """Reranking is asked for where it is not set up."""

    code = "no_reranker"


class Reranking:
    """Orders one query's candidates. Scores are asked for once; a failure ends it for this query."""

    def __init__(
        self, rerank: Reranker | None, question: str, deadline: float, shortlist: int, timings: Timings
    ) -> None:
        """``rerank``: ``None`` leaves the order as it is. ``deadline``: the query's, Unix time.
        ``shortlist``: candidates that are scored at a time, at most :data:`MAX_TEXTS`."""
        self.shortlist = min(shortlist, MAX_TEXTS) if rerank is not None else 0
        self._rerank = rerank
        self._question = question
        self._deadline = deadline
        self._timings = timings
        self._scores: dict[ChunkKey, float] = {}
        self.failure: str | None = None
        """Why the candidates are not reranked, though they should be."""

    @property
    def done(self) -> bool:
        """Whether a cross-encoder has ordered the candidates."""
        return bool(self._scores) and self.failure is None

    async def ordered(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """By the scores of the cross-encoder; those that were not among the best are left out.

        As they are, without a cross-encoder or when it fails.
        """
        if self._rerank is None or self.failure is not None:
            return list(candidates)
        pending = [candidate for candidate in candidates if candidate.key not in self._scores]
        try:
            await self._score(self._rerank, pending[: self.shortlist])
        except RerankerUnavailable as error:
            self.failure = f"not reranked: {error.message}"
            return list(candidates)
        scored = [
            replace(candidate, hit=replace(candidate.hit, score=self._scores[candidate.key]))
            for candidate in candidates
            if candidate.key in self._scores
        ]
        return sorted(scored, key=lambda candidate: -candidate.hit.score)

    async def _score(self, rerank: Reranker, candidates: Sequence[Candidate]) -> None:
        if not candidates:
            return
        within = self._deadline - time.time() - RESERVE
        if within <= 0:
            raise RerankerUnavailable("there is no time left before the deadline")
        with self._timings.stage("rerank"):
            scores = await rerank(self._question, [candidate.row.text for candidate in candidates], within)
        self._scores.update(zip((candidate.key for candidate in candidates), scores, strict=True))
