"""Queueing what follows the change of a document for everything that is inside it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

AT_ONCE = 16
"""Messages of one request that wait for the broker at a time."""


async def queue_all(queue: Callable[[str], Awaitable[None]], document_ids: Sequence[str]) -> None:
    """Raises the first failure; of the documents up to its batch some are queued, of later ones none."""
    for begin in range(0, len(document_ids), AT_ONCE):
        batch = document_ids[begin : begin + AT_ONCE]
        for failure in await asyncio.gather(*map(queue, batch), return_exceptions=True):
            if failure is not None:
                raise failure
