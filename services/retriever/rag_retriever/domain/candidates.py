"""The chunks that may answer one query: the index proposes them, the registry admits them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rag_retriever.domain.index import ChunkKey, Hit, SearchSpec
from rag_retriever.domain.ports import PassageText
from rag_retriever.domain.timings import Timings

ROUNDS = 3
"""How often the index is asked, each time for twice as much, while there are too few candidates."""

Propose = Callable[[SearchSpec], Awaitable[list[Hit]]]
"""Asks the index; merges what arrives together."""
Admit = Callable[[Sequence[ChunkKey]], Awaitable[Mapping[tuple[str, int, int], PassageText]]]
"""Asks the registry: of these chunks those that the caller may read now."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An admitted chunk, with the near-duplicates in other documents that it stands for."""

    hit: Hit
    row: PassageText
    copies: tuple["Candidate", ...] = ()

    @property
    def key(self) -> ChunkKey:
        return self.hit.key


class Candidates:
    """The candidates of one query; each :meth:`grow` makes them more."""

    def __init__(
        self, spec: SearchSpec, propose: Propose, admit: Admit, timings: Timings, *, first: int
    ) -> None:
        """``spec``: the first question to the index. ``first``: chunks that the registry is asked for at
        first; after that it is asked for all at hand, so four times at most."""
        self._spec = spec
        self._propose = propose
        self._admit = admit
        self._timings = timings
        self._first = first
        self._rounds = 0
        self._exhausted = False
        self._hits: list[Hit] = []
        self._pending: list[ChunkKey] = []
        self._checked: set[ChunkKey] = set()
        self._admitted: dict[tuple[str, int, int], PassageText] = {}

    def found(self) -> list[Candidate]:
        """What is admitted so far, in the order of the index."""
        return [Candidate(hit, self._admitted[hit.key]) for hit in self._hits if hit.key in self._admitted]

    async def grow(self) -> bool:
        """Have the hits at hand checked; without any, ask the index for twice as many.

        ``False``: there is nothing more to check.
        """
        while not self._pending:
            if self._exhausted:
                return False
            await self._ask_index()
        many = len(self._pending) if self._checked else self._first
        asked, self._pending = self._pending[:many], self._pending[many:]
        self._checked.update(asked)
        with self._timings.stage("registry"):
            self._admitted.update(await self._admit(asked))
        return True

    async def _ask_index(self) -> None:
        with self._timings.stage("index"):
            self._hits = await self._propose(self._spec)
        self._rounds += 1
        self._exhausted = self._rounds == ROUNDS or len(self._hits) < self._spec.limit
        self._spec = replace(self._spec, limit=2 * self._spec.limit)
        self._pending = [hit.key for hit in self._hits if hit.key not in self._checked]
