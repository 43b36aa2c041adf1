"""Answering one query: encode, ask the index, let the registry decide, refill."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rag_common.contracts import Passage, PassagesFound, RetrievePassages, SearchMode
from rag_common.errors import PermanentError
from rag_retriever.domain.index import ChunkKey, Hit, Scope, SearchSpec, SparseVector, Vector, scope_filter
from rag_retriever.domain.legs import choose_legs
from rag_retriever.domain.ports import (
    Collections,
    DenseEncoder,
    EncoderUnavailable,
    Passages,
    PassageText,
    Space,
    Spaces,
    SparseEncoder,
)

ROUNDS = 3
"""How often the index is asked, each time for twice as much, while the registry drops hits."""


class DeadlinePassed(PermanentError):
    """Nobody waits for the answer any more."""

    code = "deadline_passed"


class EmbedderNeeded(PermanentError):
    """A dense search while no embedder answers."""

    code = "embedder_unavailable"


@dataclass(frozen=True, slots=True)
class EncodedQuestion:
    """A question in one space, for the legs that take part. ``reason``: why it is degraded."""

    space: str
    dense: Vector | None
    sparse: SparseVector | None
    reason: str | None = None

    @property
    def mode(self) -> SearchMode:
        if self.dense is None:
            return "sparse"
        return "dense" if self.sparse is None else "hybrid"


@dataclass(frozen=True, slots=True)
class Search:
    """Finds passages. ``propose`` asks the index; like ``encode`` it merges what arrives together."""

    spaces: Spaces
    collections: Collections
    passages: Passages
    sparse: SparseEncoder
    encode: DenseEncoder
    propose: Callable[[SearchSpec], Awaitable[list[Hit]]]

    async def __call__(self, query: RetrievePassages) -> PassagesFound:
        """Best passages first, at most ``query.limit``.

        :raises DeadlinePassed: before the work began, or in the middle of it.
        :raises EmbedderNeeded: ``mode`` is ``dense`` and no embedder answers; ``hybrid`` falls back on
            the sparse leg and says so.
        """
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
        spent: defaultdict[str, float] = defaultdict(float)
        with _measured(spent, "encode"):
            question, scope = await asyncio.gather(self._encode(query), self._scope(query))
        passages = await self._collect(query, question, scope, spent) if scope is not None else []
        return PassagesFound(
            query_id=query.query_id,
            passages=tuple(passages),
            mode=question.mode,
            degraded=question.reason is not None,
            reason=question.reason,
            timings_ms={stage: round(seconds * 1000, 3) for stage, seconds in spent.items()},
        )

    async def _encode(self, query: RetrievePassages) -> EncodedQuestion:
        space = await self.spaces.active()
        terms = self.sparse.encode_query(query.question, space.languages)
        legs = choose_legs(query.mode, query.question, space.languages, has_terms=len(terms) > 0)
        if "dense" not in legs:
            return EncodedQuestion(space.name, None, terms)
        try:
            vector = await self._encode_densely(space, query.question)
        except EncoderUnavailable as error:
            if query.mode == "dense":
                raise EmbedderNeeded(f"a dense search needs the embedder: {error.message}") from error
            return EncodedQuestion(space.name, None, terms, f"only lexical search: {error.message}")
        return EncodedQuestion(space.name, vector, terms if "sparse" in legs else None)

    async def _encode_densely(self, space: Space, question: str) -> Vector:
        vector = await self.encode((space.name, question))
        if len(vector) != space.dimension:
            raise EncoderUnavailable(
                f"the embedder made a vector of dimension {len(vector)} for the space {space.name!r},"
                f" which has {space.dimension}"
            )
        return vector

    async def _scope(self, query: RetrievePassages) -> Scope | None:
        """``None``: none of the named collections exists, so there is nothing to find."""
        ids: dict[str, str] = {}
        if query.collections:
            ids = await self.collections.ids(query.tenant, query.collections)
            if not ids:
                return None
        return scope_filter(query.tenant, query.principals, ids.values(), query.filter)

    async def _collect(
        self, query: RetrievePassages, question: EncodedQuestion, scope: Scope, spent: defaultdict[str, float]
    ) -> list[Passage]:
        depth = 2 * query.limit + 10
        spec = SearchSpec(question.space, scope, depth, question.dense, question.sparse)
        admitted: dict[tuple[str, int, int], PassageText] = {}
        checked: set[ChunkKey] = set()
        found: list[Hit] = []
        for _ in range(ROUNDS):
            with _measured(spent, "index"):
                hits = await self.propose(spec)
            with _measured(spent, "registry"):
                await self._check(query, scope, hits, checked, admitted)
            found = [hit for hit in hits if hit.key in admitted]
            if len(found) >= query.limit or len(hits) < spec.limit:
                break
            spec = replace(spec, limit=2 * spec.limit)
        return [_passage(hit, admitted[hit.key]) for hit in found[: query.limit]]

    async def _check(
        self,
        query: RetrievePassages,
        scope: Scope,
        hits: Sequence[Hit],
        checked: set[ChunkKey],
        admitted: dict[tuple[str, int, int], PassageText],
    ) -> None:
        """Ask the registry about the best hits, until enough of them are admitted or none is left."""
        pending = [hit.key for hit in hits if hit.key not in checked]
        while pending and sum(hit.key in admitted for hit in hits) < query.limit:
            asked, pending = pending[: query.limit], pending[query.limit :]
            checked.update(asked)
            admitted.update(
                await self.passages.admitted(query.tenant, scope.principals, query.collections, asked)
            )


@contextmanager
def _measured(spent: defaultdict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        spent[stage] += time.perf_counter() - started


def _passage(hit: Hit, row: PassageText) -> Passage:
    return Passage(
        document_id=hit.key.document_id,
        generation=hit.key.generation,
        collection=row.collection,
        title=row.title,
        source_uri=row.source_uri,
        chunk_no=hit.key.no,
        **row.place.model_dump(),
        start=row.start,
        end=row.end,
        heading=row.heading,
        text=row.text,
        score=hit.score,
        ranks=hit.ranks,
        metadata=row.metadata,
    )
