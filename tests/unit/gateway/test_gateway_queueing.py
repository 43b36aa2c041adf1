"""A change of an archive is queued for its members: several at a time, and not all."""

import asyncio

import pytest

from rag_common.errors import TransientError
from rag_gateway.domain.queueing import AT_ONCE, queue_all


class Broker:
    """Answers when as many wait as it is told; ``full`` after so many messages."""

    def __init__(self, full: int = 10**6) -> None:
        self.waiting = self.most = 0
        self.stored: list[str] = []
        self._full = full

    async def publish(self, document_id: str) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0)
        self.waiting -= 1
        if len(self.stored) >= self._full:
            raise TransientError("full")
        self.stored.append(document_id)


async def test_all_are_queued_some_at_a_time() -> None:
    broker, members = Broker(), [str(number) for number in range(1000)]
    await queue_all(broker.publish, members)
    assert broker.stored == members
    assert broker.most == AT_ONCE


async def test_the_first_failure_ends_it_and_leaves_nothing_running() -> None:
    broker = Broker(full=20)
    with pytest.raises(TransientError, match="full"):
        await queue_all(broker.publish, [str(number) for number in range(1000)])
    assert (len(broker.stored), broker.waiting) == (20, 0)


async def test_of_nothing_nothing_is_queued() -> None:
    await queue_all(Broker(full=0).publish, [])
