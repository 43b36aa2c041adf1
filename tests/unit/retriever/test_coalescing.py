import asyncio
from collections.abc import Sequence

import pytest

from rag_common.errors import PermanentError, TransientError
from rag_retriever.domain.coalescing import Coalescer

OUTAGE = 1_000


class Recorder:
    """Doubles numbers; refuses negative ones. Waits for ``gate`` when there is one."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self.batches: list[list[int]] = []
        self.started = asyncio.Event()
        self.most = 0
        self._now = 0
        self._gate = gate

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.started.set()
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            if self._gate is not None:
                await self._gate.wait()
            if any(item == OUTAGE for item in items):
                raise TransientError("down")
            if any(item < 0 for item in items):
                raise PermanentError("negative")
            return [2 * item for item in items]
        finally:
            self._now -= 1


async def test_one_item_is_a_batch_at_once() -> None:
    run = Recorder()
    assert await Coalescer(run, max_batch=8)(3) == 6
    assert run.batches == [[3]]


async def test_items_of_one_moment_share_batches() -> None:
    run = Recorder()
    double = Coalescer(run, max_batch=16)
    assert await asyncio.gather(*(double(n) for n in range(64))) == [2 * n for n in range(64)]
    assert [len(batch) for batch in run.batches] == [16, 16, 16, 16]
    assert run.most == 1


async def test_what_comes_while_a_batch_runs_goes_together_next() -> None:
    gate = asyncio.Event()
    run = Recorder(gate)
    double = Coalescer(run, max_batch=16)
    first = asyncio.create_task(double(1))
    await run.started.wait()
    rest = [asyncio.create_task(double(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6]
    assert run.batches == [[1], [2, 3]]


async def test_several_batches_in_flight() -> None:
    gate = asyncio.Event()
    run = Recorder(gate)
    double = Coalescer(run, max_batch=1, in_flight=2)
    tasks = [asyncio.create_task(double(n)) for n in range(5)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(run.batches) == 2
    gate.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8]
    assert run.most == 2


async def test_a_bad_item_fails_alone() -> None:
    run = Recorder()
    double = Coalescer(run, max_batch=8)
    answers = await asyncio.gather(*(double(n) for n in (1, -1, 2)), return_exceptions=True)
    assert answers[0] == 2
    assert isinstance(answers[1], PermanentError)
    assert answers[2] == 4


async def test_an_outage_fails_the_batch_and_no_later_one() -> None:
    run = Recorder()
    double = Coalescer(run, max_batch=8)
    answers = await asyncio.gather(double(1), double(OUTAGE), return_exceptions=True)
    assert all(isinstance(answer, TransientError) for answer in answers)
    assert await double(2) == 4


async def test_who_gave_up_is_left_out() -> None:
    gate = asyncio.Event()
    run = Recorder(gate)
    double = Coalescer(run, max_batch=8)
    first = asyncio.create_task(double(1))
    await run.started.wait()
    second, third = asyncio.create_task(double(2)), asyncio.create_task(double(3))
    await asyncio.sleep(0)
    second.cancel()
    gate.set()
    assert list(await asyncio.gather(first, third)) == [2, 6]
    with pytest.raises(asyncio.CancelledError):
        await second
    assert run.batches == [[1], [3]]


async def test_an_item_that_comes_in_the_moment_a_batch_ends_is_not_left_waiting() -> None:
    async def run(items: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        return [10 * item for item in items]

    coalescer = Coalescer(run, max_batch=4)
    # a caller that goes on at once runs before the event loop has taken leave of the finished worker
    async with asyncio.timeout(5):
        assert [await coalescer(number) for number in range(3)] == [0, 10, 20]
