"""The passages of one answer, read wide, with as few queries for their neighbours as it takes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from rag_common.contracts import MAX_MESSAGE_BYTES, Passage
from rag_retriever.domain.answering import wide_passage
from rag_retriever.domain.candidates import Candidate
from rag_retriever.domain.expansion import WidePassages, Window, windows
from rag_retriever.domain.index import ChunkKey
from rag_retriever.domain.ports import NeighbourText
from rag_retriever.domain.timings import Timings

Generation = tuple[str, int]
Neighbours = Callable[[Sequence[Window]], Awaitable[Mapping[Generation, Mapping[int, NeighbourText]]]]
"""Asks the registry: of these windows the chunks that the caller may read now."""


def enough(passages: Sequence[Passage], limit: int) -> bool:
    """So many, or more text than one message holds: each character takes a byte or more."""
    return len(passages) >= limit or sum(len(found.text) for found in passages) > MAX_MESSAGE_BYTES


class WideReader:
    """Reads the candidates of one query, which may become more; no neighbourhood is fetched twice."""

    def __init__(
        self, neighbours: Neighbours, budget: int, question: str, limit: int, timings: Timings
    ) -> None:
        self._neighbours = neighbours
        self._budget = budget
        self._question = question
        self._limit = limit
        self._timings = timings
        self._fetched: set[ChunkKey] = set()
        self._chunks: dict[Generation, dict[int, NeighbourText]] = {}

    async def read(self, line: Sequence[Candidate]) -> list[Passage]:
        """The first passages of the line, as if it were the only one. What the registry does not admit
        any more, while its neighbours are fetched, is left out."""
        wide = WidePassages(self._budget, self._question)
        most = 1 + MAX_MESSAGE_BYTES // self._budget
        passages: list[Passage] = []
        waiting = list(line)
        at_once = min(self._limit, most)
        while waiting and not enough(passages, self._limit):
            waiting = [candidate for candidate in waiting if not wide.absorb(candidate)]
            batch, waiting = waiting[:at_once], waiting[at_once:]
            await self._fetch(batch)
            for candidate in batch:
                own = self._chunks.get((candidate.key.document_id, candidate.key.generation), {})
                if candidate.key.no in own and not wide.absorb(candidate):
                    wide.add(candidate, own)
            passages = [wide_passage(found) for found in wide.passages[: self._limit]]
            # the first ones did not suffice: the others in as few queries as memory allows
            at_once = most
        return passages

    async def _fetch(self, batch: Sequence[Candidate]) -> None:
        unknown = [candidate for candidate in batch if candidate.key not in self._fetched]
        if not unknown:
            return
        with self._timings.stage("registry"):
            found = await self._neighbours(windows(unknown, self._budget))
        self._fetched.update(candidate.key for candidate in unknown)
        for generation, chunks in found.items():
            self._chunks.setdefault(generation, {}).update(chunks)
