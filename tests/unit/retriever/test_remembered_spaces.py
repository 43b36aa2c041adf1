import asyncio

import pytest
from retriever_fakes import FakeSpace

from rag_common.errors import TransientError
from rag_retriever.adapters.spaces import ACTIVE_SECONDS, RememberedSpaces

AWAY = TransientError("the document registry is unavailable")


class SlowRegistry:
    """Each read of the active space lasts until :meth:`settle`."""

    def __init__(self) -> None:
        self.reads: list[asyncio.Future[FakeSpace]] = []
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def active(self) -> FakeSpace:
        self.reads.append(asyncio.get_running_loop().create_future())
        return await self.reads[-1]

    async def get(self, name: str) -> FakeSpace:
        return FakeSpace(name)

    async def settle(self, outcome: FakeSpace | Exception) -> None:
        """Ends the last read, once it has begun."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if isinstance(outcome, Exception):
            self.reads[-1].set_exception(outcome)
        else:
            self.reads[-1].set_result(outcome)


async def test_those_who_ask_together_share_one_read() -> None:
    registry = SlowRegistry()
    spaces = RememberedSpaces(registry, registry.clock)
    asking = [asyncio.create_task(spaces.active()) for _ in range(5)]
    await registry.settle(FakeSpace("one"))
    assert {space.name for space in await asyncio.gather(*asking)} == {"one"}
    assert (await spaces.active()).name == "one"
    assert len(registry.reads) == 1


async def test_an_outage_fails_those_who_wait_at_once_and_is_asked_again() -> None:
    registry = SlowRegistry()
    spaces = RememberedSpaces(registry, registry.clock)
    asking = [asyncio.create_task(spaces.active()) for _ in range(5)]
    await registry.settle(AWAY)
    assert await asyncio.gather(*asking, return_exceptions=True) == [AWAY] * 5
    assert len(registry.reads) == 1
    again = asyncio.create_task(spaces.active())
    await registry.settle(FakeSpace("one"))
    assert (await again).name == "one"


async def test_the_old_space_serves_while_the_registry_is_away() -> None:
    registry = SlowRegistry()
    spaces = RememberedSpaces(registry, registry.clock)
    for outcome, expected in [
        (FakeSpace("one"), "one"),
        (AWAY, "one"),
        (FakeSpace("two"), "two"),
    ]:
        asking = asyncio.create_task(spaces.active())
        await registry.settle(outcome)
        assert (await asking).name == expected
        assert (await spaces.active()).name == expected
        registry.now += ACTIVE_SECONDS
    assert len(registry.reads) == 3


async def test_one_who_gives_up_does_not_stop_the_read() -> None:
    registry = SlowRegistry()
    spaces = RememberedSpaces(registry, registry.clock)
    patient, hurried = asyncio.create_task(spaces.active()), asyncio.create_task(spaces.active())
    await asyncio.sleep(0)
    hurried.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hurried
    await registry.settle(FakeSpace("one"))
    assert (await patient).name == "one"
