"""Can searches find the documents? All must be in the active space, and its model must read their letters."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_common.languages import reads, script_of
from rag_common.spaces import Space

if TYPE_CHECKING:
    from rag_common.registry import SpaceCoverage

SAMPLE = 1000
"""Documents whose first chunk is looked at."""
MANY = 0.05
"""Share of unreadable documents above which it is worth a warning."""


@dataclass(frozen=True)
class Readability:
    """What the active space reads, and how much of the sample it does not."""

    space: Space
    sampled: int
    unreadable: dict[str, int]
    """Script → documents in it that the model does not read, the most frequent first."""

    @property
    def many_unreadable(self) -> bool:
        return sum(self.unreadable.values()) > MANY * self.sampled


def judge(space: Space, texts: list[str]) -> Readability:
    """By the script of most letters of each text: languages that share a script are not told apart."""
    counts: dict[str, int] = {}
    for text in texts:
        if not reads(space.languages, text):
            script = script_of(text) or ""
            counts[script] = counts.get(script, 0) + 1
    return Readability(space, len(texts), dict(sorted(counts.items(), key=lambda item: -item[1])))


def read_active(database_url: str) -> "tuple[SpaceCoverage, Readability]":
    """Of the active space. :raises rag_common.errors.RagError: the registry cannot be read."""
    return asyncio.run(_read_active(database_url))


async def _read_active(database_url: str) -> "tuple[SpaceCoverage, Readability]":
    # Imported here: the driver would slow down the start of every other command.
    from rag_common.registry import Registry

    registry = await Registry.connect(database_url, pool_size=1)
    try:
        active = next(found for found in await registry.spaces.coverage() if found.active)
        return active, judge(active.space, await registry.spaces.sample_texts(SAMPLE))
    finally:
        await registry.close()
