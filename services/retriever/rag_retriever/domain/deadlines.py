"""Work that is worth doing only until somebody has stopped waiting for it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rag_common.errors import PermanentError


class DeadlinePassed(PermanentError):
    """Nobody waits for the answer any more."""

    code = "deadline_passed"


@asynccontextmanager
async def until(deadline: float) -> AsyncIterator[None]:
    """What is inside is ended at ``deadline`` (Unix time, seconds).

    :raises DeadlinePassed: before the work began, or in the middle of it.
    """
    left = deadline - time.time()
    if left <= 0:
        raise DeadlinePassed(f"the deadline passed {-left:.1f} s ago")
    try:
        async with asyncio.timeout(left) as limit:
            yield
    except TimeoutError as error:
        if limit.expired():
            raise DeadlinePassed("the deadline passed while the query was answered") from error
        raise
