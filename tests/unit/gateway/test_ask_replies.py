"""The frames of one answer between NATS and their reader: bounded, and ended with a reason."""

import asyncio

import pytest

from rag_common.contracts import AnswerDelta, AnswerOpened, QueryFailed
from rag_common.errors import Overloaded, TransientError
from rag_common.topology import Topology
from rag_gateway.adapters.replies import MAX_WAITING_FRAMES, FrameQueue, ReplyInbox
from rag_gateway.domain.answers import AnswerBroken


def opened(attempt: int = 1) -> bytes:
    return AnswerOpened(
        query_id="q",
        attempt=attempt,
        standalone="?",
        passages=(),
        mode="hybrid",
        adapter="extractive",
        prompt_version="1",
    ).encode()


def delta(sequence: int) -> bytes:
    return AnswerDelta(query_id="q", attempt=1, sequence=sequence, text="text").encode()


async def test_frames_wait_in_their_order() -> None:
    frames = FrameQueue()
    assert all(frames.put(body) for body in (opened(), delta(1), delta(1), delta(2)))
    taken = [await frames.next() for _ in range(3)]
    assert [getattr(frame, "sequence", 0) for frame in taken] == [0, 1, 2]


async def test_a_reader_is_woken() -> None:
    frames = FrameQueue()
    waiting = asyncio.create_task(frames.next())
    await asyncio.sleep(0)
    frames.put(opened())
    assert (await waiting).kind == "opened"


async def test_more_frames_than_a_reader_may_leave_end_its_answer() -> None:
    frames = FrameQueue()
    frames.put(opened())
    assert all(frames.put(delta(number)) for number in range(1, MAX_WAITING_FRAMES))
    assert not frames.put(delta(MAX_WAITING_FRAMES))
    with pytest.raises(Overloaded):
        await frames.next()
    assert not frames.put(opened(2))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"kind": "opened"}', b"\xff", delta(1)])
async def test_what_cannot_be_used_ends_the_answer(body: bytes) -> None:
    frames = FrameQueue()
    assert not frames.put(body)
    with pytest.raises(AnswerBroken):
        await frames.next()


async def test_a_failure_is_the_last_frame() -> None:
    frames = FrameQueue()
    frames.put(opened())
    assert not frames.put(QueryFailed(query_id="q", attempt=2, code="x", message="y").encode())
    assert [(await frames.next()).kind for _ in range(2)] == ["opened", "failed"]


async def test_all_who_listen_can_be_ended() -> None:
    inbox = ReplyInbox(Topology("rag"))
    with inbox.listen("a") as first, inbox.listen("b") as second:
        waiting = [asyncio.create_task(frames.next()) for frames in (first, second)]
        await asyncio.sleep(0)
        inbox.end_all("the service is restarting; ask again")
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, TransientError)
