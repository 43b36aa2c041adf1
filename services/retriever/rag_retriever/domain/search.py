"""Answering one query: encode, ask the index, let the registry decide, choose, read wide."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rag_common.contracts import Passage, PassagesFound, RetrievePassages
from rag_retriever.domain.answering import passage
from rag_retriever.domain.bm25_unit import Bm25Unit
from rag_retriever.domain.candidates import Candidate, Candidates, Propose
from rag_retriever.domain.deadlines import until
from rag_retriever.domain.diversity import diversified
from rag_retriever.domain.duplicates import NearDuplicates
from rag_retriever.domain.index import Scope, SearchSpec, scope_filter
from rag_retriever.domain.ports import Collections, Passages, Reranker
from rag_retriever.domain.questions import EncodedQuestion, QuestionEncoder
from rag_retriever.domain.reading import WideReader, enough
from rag_retriever.domain.reranking import NoReranker, Reranking
from rag_retriever.domain.timings import Timings

LEAST_CHECKED = 10
"""Chunks that the registry is asked for at least, so that a search for the one best passage learns, too,
which other documents hold it."""


@dataclass(frozen=True, slots=True)
class Search:
    """Finds passages. ``propose`` asks the index; ``rerank`` is ``None`` where no reranker is set up."""

    encode: QuestionEncoder
    collections: Collections
    passages: Passages
    propose: Propose
    rerank: Reranker | None = None
    shortlist: int = 30
    """Candidates that are reranked, unless more passages are wanted."""
    bm25_unit: Bm25Unit | None = None
    """Makes BM25 scores comparable for who judges whether the passages answer the question at all."""

    async def __call__(self, query: RetrievePassages) -> PassagesFound:
        """Best passages first, at most ``query.limit``.

        :raises DeadlinePassed: before the work began, or in the middle of it.
        :raises EmbedderNeeded: ``mode`` is ``dense`` and no embedder answers; ``hybrid`` falls back on
            the sparse leg and says so.
        :raises NoReranker: ``rerank`` is asked for where none is set up; one that fails is done without,
            and the answer says so.
        :raises PermanentError: the registry has no space of the name that the query gives.
        """
        if query.rerank and self.rerank is None:
            raise NoReranker(
                "reranking is not set up: set RAG_RERANKER to the name of a cross-encoder, for the embedder"
                " and the retriever, or ask without it"
            )
        async with until(query.deadline):
            return await self._answer(query)

    async def _answer(self, query: RetrievePassages) -> PassagesFound:
        timings = Timings()
        with timings.stage("encode"):
            question, scope = await asyncio.gather(self.encode(query), self._scope(query))
        reranking = Reranking(
            None if query.rerank is False else self.rerank,
            query.question,
            query.deadline,
            max(query.limit, self.shortlist),
            timings,
        )
        passages: Sequence[Passage] = ()
        if scope is not None:
            passages = await self._find(query, question, scope, reranking, timings)
        reasons = [reason for reason in (question.reason, reranking.failure) if reason is not None]
        return PassagesFound(
            query_id=query.query_id,
            passages=tuple(passages),
            mode=question.mode,
            space=question.space.name,
            reranked=reranking.done,
            bm25_unit=await self._unit(query, question),
            degraded=bool(reasons),
            reason="; ".join(reasons) or None,
            timings_ms=timings.milliseconds(),
        )

    async def _unit(self, query: RetrievePassages, question: EncodedQuestion) -> float | None:
        if query.answer is None or question.sparse is None or self.bm25_unit is None:
            return None
        return await self.bm25_unit(question.space.name, len(question.sparse))

    async def _scope(self, query: RetrievePassages) -> Scope | None:
        """``None``: none of the named collections exists, so there is nothing to find."""
        ids: dict[str, str] = {}
        if query.collections:
            ids = await self.collections.ids(query.tenant, query.collections)
            if not ids:
                return None
        return scope_filter(query.tenant, query.principals, ids.values(), query.filter)

    async def _find(
        self,
        query: RetrievePassages,
        question: EncodedQuestion,
        scope: Scope,
        reranking: Reranking,
        timings: Timings,
    ) -> list[Passage]:
        candidates = self._candidates(query, question, scope, reranking, timings)
        duplicates = NearDuplicates()
        reader = self._reader(query, scope, timings)
        passages: list[Passage] = []
        while not enough(passages, query.limit):
            distinct = await _more(candidates, duplicates, query.limit)
            if distinct is None:
                break
            line = _diversified(await reranking.ordered(distinct), query.diversity)
            if reader is None:
                passages = [passage(candidate) for candidate in line[: query.limit]]
            else:
                passages = await reader.read(line)
        return passages

    def _candidates(
        self,
        query: RetrievePassages,
        question: EncodedQuestion,
        scope: Scope,
        reranking: Reranking,
        timings: Timings,
    ) -> Candidates:
        """A plain search has as many texts fetched as it needs; one that chooses, all that are proposed."""
        depth = max(2 * query.limit + 10, reranking.shortlist)
        chooses = query.expand > 0 or query.diversity > 0 or reranking.shortlist > 0
        return Candidates(
            SearchSpec(question.space.name, scope, depth, question.dense, question.sparse),
            self.propose,
            partial(self.passages.admitted, query.tenant, scope.principals, query.collections),
            timings,
            first=depth if chooses else max(query.limit, LEAST_CHECKED),
        )

    def _reader(self, query: RetrievePassages, scope: Scope, timings: Timings) -> WideReader | None:
        """``None``: the found chunks are answered as they are."""
        if query.expand == 0:
            return None
        neighbours = partial(self.passages.neighbours, query.tenant, scope.principals, query.collections)
        return WideReader(neighbours, query.expand, query.question, query.limit, timings)


async def _more(candidates: Candidates, duplicates: NearDuplicates, wanted: int) -> list[Candidate] | None:
    """All candidates without near-duplicates: some that were not there before, and as many as are wanted,
    if there are. ``None``: there are no more than before."""
    distinct: list[Candidate] | None = None
    while (distinct is None or len(distinct) < wanted) and await candidates.grow():
        distinct = duplicates.collapse(candidates.found())
    return distinct


def _diversified(line: list[Candidate], diversity: float) -> list[Candidate]:
    if diversity == 0:
        return line
    texts = [candidate.row.text for candidate in line]
    scores = [candidate.hit.score for candidate in line]
    return [line[position] for position in diversified(texts, scores, diversity)]
