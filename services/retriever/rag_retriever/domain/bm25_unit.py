"""What makes a BM25 score mean the same for every question and every index."""

import math
import time
from collections.abc import Awaitable, Callable

REMEMBERED_SECONDS = 60.0
"""How long the size of a space is not counted again."""


class Bm25Unit:
    """The IDF of a term that one chunk alone holds, times the root of the number of the question's terms.

    Divided by it, the best score of a question that the text answers is 1.5 to 1.8 in the median whether the
    index has 8 chunks or 280, and that of one which it does not answer up to 0.6 (``docs/answers.md``).
    """

    def __init__(
        self, count: Callable[[str], Awaitable[int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``count``: the chunks of a space. The IDF of the index is over all of them, readable or not."""
        self._count = count
        self._clock = clock
        self._counted: dict[str, tuple[float, int]] = {}

    async def __call__(self, space: str, terms: int) -> float | None:
        """``None``: without terms or chunks there is no score."""
        chunks = await self._chunks(space)
        if not chunks or not terms:
            return None
        return math.sqrt(terms) * math.log(1 + (chunks - 0.5) / 1.5)

    async def _chunks(self, space: str) -> int:
        counted_at, chunks = self._counted.get(space, (-math.inf, 0))
        if self._clock() - counted_at >= REMEMBERED_SECONDS:
            chunks = await self._count(space)
            self._counted[space] = (self._clock(), chunks)
        return chunks
