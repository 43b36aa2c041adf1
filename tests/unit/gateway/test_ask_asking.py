"""A question goes out once, its answer comes in, and whoever leaves tells the others to stop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager

import pytest

from rag_common.contracts import (
    AnswerDelta,
    AnswerDone,
    AnswerOpened,
    AnswerOptions,
    QueryFailed,
    RetrievePassages,
    Turn,
)
from rag_common.errors import Overloaded, TransientError
from rag_gateway.domain.answers import AnswerBroken, AnswerFailed, AnswerTimedOut, Ask
from rag_gateway.domain.asking import AskTheGenerator
from rag_gateway.domain.frames import Frame

OPENED = AnswerOpened(
    query_id="q",
    attempt=1,
    standalone="?",
    passages=(),
    mode="hybrid",
    adapter="extractive",
    prompt_version="1",
)
DELTA = AnswerDelta(query_id="q", attempt=1, sequence=1, text="28 days")
DONE = AnswerDone(query_id="q", attempt=1, sequence=2, answered=True)


class Frames:
    """A script; after its end nothing comes any more."""

    def __init__(self, script: list[Frame | Exception]) -> None:
        self._script = iter(script)

    async def next(self) -> Frame:
        await asyncio.sleep(0)
        for item in self._script:
            if isinstance(item, Exception):
                raise item
            return item
        await asyncio.Event().wait()
        raise AssertionError


class Other:
    """NATS, the retriever and the generator."""

    def __init__(self, *script: Frame | Exception, refuses: Exception | None = None) -> None:
        self._script = list(script)
        self._refuses = refuses
        self.asked: list[RetrievePassages] = []
        self.retrieved = asyncio.Event()
        self.cancelled: list[str] = []
        self.listening: set[str] = set()

    def address(self, query_id: str) -> str:
        return f"reply.{query_id}"

    @contextmanager
    def listen(self, query_id: str) -> Iterator[Frames]:
        self.listening.add(query_id)
        try:
            yield Frames(self._script)
        finally:
            self.listening.discard(query_id)

    async def retrieve(self, query: RetrievePassages) -> None:
        assert query.query_id in self.listening
        if self._refuses is not None:
            raise self._refuses
        self.asked.append(query)
        self.retrieved.set()

    async def cancel(self, query_id: str) -> None:
        self.cancelled.append(query_id)


def asking(other: Other) -> AskTheGenerator:
    return AskTheGenerator(other, other)


def question(timeout: float = 5.0, **changes: object) -> Ask:
    return Ask("default", ("*",), "How many days?", timeout, **changes)  # type: ignore[arg-type]  # a test's wishes


async def test_an_answer_is_what_the_generator_says() -> None:
    other = Other(OPENED, DELTA, DONE)
    options = AnswerOptions(history=(Turn(question="a", answer="b"),), max_tokens=7)
    events = [event async for event in asking(other)(question(options=options, collections=("handbook",)))]
    assert events == [OPENED, DELTA, DONE]
    (query,) = other.asked
    assert query.answer == options
    assert (query.question, query.collections) == ("How many days?", ("handbook",))
    assert query.reply_to == f"reply.{query.query_id}"
    assert RetrievePassages.decode(query.encode()) == query
    assert not other.cancelled


async def test_closing_it_cancels() -> None:
    other = Other(OPENED, DELTA, DONE)
    async with aclosing(asking(other)(question())) as events:
        assert await anext(events) == OPENED
    assert other.cancelled == [other.asked[0].query_id]


async def test_being_cancelled_while_it_waits_cancels() -> None:
    other = Other()
    events = asking(other)(question())
    waiting = asyncio.create_task(anext(events))
    await other.retrieved.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert other.cancelled == [other.asked[0].query_id]


async def test_an_answer_that_was_given_whole_needs_no_cancelling() -> None:
    other = Other(OPENED, DONE)
    async with aclosing(asking(other)(question())) as events:
        assert [await anext(events), await anext(events)] == [OPENED, DONE]
    assert not other.cancelled


@pytest.mark.parametrize("script", [(), (OPENED, DELTA)])
async def test_the_deadline_ends_it(script: tuple[Frame, ...]) -> None:
    other = Other(*script)
    with pytest.raises(AnswerTimedOut, match="in time"):
        await take(asking(other)(question(0.05)))
    assert len(other.cancelled) == 1


async def test_a_failure_carries_its_code() -> None:
    other = Other(QueryFailed(query_id="q", code="unknown_space", message="no such space"))
    with pytest.raises(AnswerFailed, match="no such space") as failure:
        await take(asking(other)(question()))
    assert failure.value.code == "unknown_space"
    assert not other.cancelled


async def test_a_broken_answer_is_cancelled() -> None:
    other = Other(OPENED, AnswerBroken("lost"))
    with pytest.raises(AnswerBroken):
        await take(asking(other)(question()))
    assert len(other.cancelled) == 1


@pytest.mark.parametrize("refusal", [Overloaded("full"), TransientError("NATS is disconnected")])
async def test_a_question_that_is_refused_leaves_nothing_behind(refusal: TransientError) -> None:
    other = Other(refuses=refusal)
    with pytest.raises(TransientError) as raised:
        await take(asking(other)(question()))
    assert raised.value is refusal
    assert not other.listening


async def take(events: AsyncIterator[object]) -> None:
    async for _ in events:
        pass
