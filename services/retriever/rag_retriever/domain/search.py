"""Answering one query: encode, ask the index, let the registry decide, choose, read wide."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rag_common.contracts import MAX_MESSAGE_BYTES, Passage, PassagesFound, RetrievePassages
from rag_common.errors import PermanentError
from rag_retriever.domain.answering import passage, wide_passage
from rag_retriever.domain.candidates import Candidate, Candidates, Propose
from rag_retriever.domain.diversity import diversified
from rag_retriever.domain.duplicates import collapse
from rag_retriever.domain.expansion import WidePassages, windows
from rag_retriever.domain.index import Scope, SearchSpec, scope_filter
from rag_retriever.domain.ports import Collections, Passages, Reranker
from rag_retriever.domain.questions import EncodedQuestion, QuestionEncoder
from rag_retriever.domain.reranking import NoReranker, Reranking
from rag_retriever.domain.timings import Timings

LEAST_CHECKED = 10
"""Chunks that the registry is asked for at least, so that a search for the one best passage learns, too,
which other documents hold it."""


class DeadlinePassed(PermanentError):
    """Nobody waits for the answer any more."""

    code = "deadline_passed"


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
        left = query.deadline - time.time()
        if left <= 0:
            raise DeadlinePassed(f"the deadline passed {-left:.1f} s ago")
        try:
            async with asyncio.timeout(left) as limit:
                return await self._answer(query)
        except TimeoutError as error:
            if limit.expired():
                raise DeadlinePassed("the deadline passed while the query was answered") from error
            raise

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
            degraded=bool(reasons),
            reason="; ".join(reasons) or None,
            timings_ms=timings.milliseconds(),
        )

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
        passages: list[Passage] = []
        more = True
        while more and not _enough(passages, query.limit):
            more = await candidates.grow()
            distinct = collapse(candidates.found())
            if more and len(distinct) < query.limit:
                continue
            line = _diversified(await reranking.ordered(distinct), query.diversity)
            passages = await self._read(query, scope, line, timings)
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
        step = max(query.limit, LEAST_CHECKED)
        chooses = query.expand > 0 or query.diversity > 0 or reranking.shortlist > 0
        return Candidates(
            SearchSpec(question.space.name, scope, depth, question.dense, question.sparse),
            self.propose,
            partial(self.passages.admitted, query.tenant, scope.principals, query.collections),
            timings,
            first=depth if chooses else step,
            step=step,
        )

    async def _read(
        self, query: RetrievePassages, scope: Scope, line: Sequence[Candidate], timings: Timings
    ) -> list[Passage]:
        """The first passages of the line. What the registry does not admit any more, while its neighbours
        are fetched, is left out."""
        if query.expand == 0:
            return [passage(candidate) for candidate in line[: query.limit]]
        wide = WidePassages(query.expand, query.question)
        passages: list[Passage] = []
        at_once = min(query.limit, 1 + MAX_MESSAGE_BYTES // query.expand)
        for begin in range(0, len(line), at_once):
            batch = [candidate for candidate in line[begin : begin + at_once] if not wide.absorb(candidate)]
            with timings.stage("registry"):
                chunks = await self.passages.neighbours(
                    query.tenant, scope.principals, query.collections, windows(batch, query.expand)
                )
            for candidate in batch:
                own = chunks.get((candidate.key.document_id, candidate.key.generation), {})
                if candidate.key.no in own and not wide.absorb(candidate):
                    wide.add(candidate, own)
            passages = [wide_passage(found) for found in wide.passages[: query.limit]]
            if _enough(passages, query.limit):
                break
        return passages


def _enough(passages: Sequence[Passage], limit: int) -> bool:
    """So many, or more text than one message holds: each character takes a byte or more."""
    return len(passages) >= limit or sum(len(found.text) for found in passages) > MAX_MESSAGE_BYTES


def _diversified(line: list[Candidate], diversity: float) -> list[Candidate]:
    if diversity == 0:
        return line
    texts = [candidate.row.text for candidate in line]
    scores = [candidate.hit.score for candidate in line]
    return [line[position] for position in diversified(texts, scores, diversity)]
