"""Can the model of the active embedding space read the documents? The letters of a sample tell."""

import asyncio
from dataclasses import dataclass

from rag_common.languages import reads, script_of
from rag_common.spaces import Space

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


def read_sample(database_url: str) -> Readability:
    """:raises rag_common.errors.RagError: the registry cannot be read."""
    return asyncio.run(_read_sample(database_url))


async def _read_sample(database_url: str) -> Readability:
    # Imported here: the driver would slow down the start of every other command.
    from rag_common.registry import Registry

    registry = await Registry.connect(database_url, pool_size=1)
    try:
        return judge(await registry.spaces.active(), await registry.spaces.sample_texts(SAMPLE))
    finally:
        await registry.close()
