"""One answer, many followers: each gets all of it, and none disturbs another."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest
from caching_support import POSITION, WHOLE, Script, answered, delta, done, opened, settle
from hypothesis import given
from hypothesis import strategies as st

from rag_common.errors import TransientError
from rag_gateway.domain.answers import AnswerBroken, AnswerEvent, AnswerFailed, AnswerTimedOut
from rag_gateway.domain.sharing import SharedAnswer, SharedAnswers


@pytest.fixture
async def shared() -> AsyncIterator[SharedAnswers]:
    answers = SharedAnswers()
    yield answers
    await answers.close()


def start(shared: SharedAnswers, script: Script, timeout: float = 30.0) -> SharedAnswer:
    return shared.start("key", script.events(), position=POSITION, timeout=timeout)


async def read(answer: SharedAnswer, seconds: float = 30.0) -> list[AnswerEvent]:
    return [event async for event in answer.follow(seconds)]


async def test_who_comes_later_gets_what_has_come_and_then_the_rest(shared: SharedAnswers) -> None:
    script = Script()
    answer = start(shared, script)
    first = asyncio.create_task(read(answer))
    script.say(opened(), delta("28"))
    await settle()
    second = asyncio.create_task(read(answer))
    script.say(delta(" days", 2), done(3))
    expected = [opened(), delta("28"), delta(" days", 2), done(3)]
    assert await first == await second == expected
    assert not script.cancelled
    # also after the end, as long as somebody holds it
    assert await read(answer) == expected
    assert shared.running("key") is None


async def test_a_slow_follower_keeps_nobody_waiting(shared: SharedAnswers) -> None:
    script = Script()
    answer = start(shared, script)
    async with aclosing(answer.follow(30)) as slow:
        script.say(opened())
        assert await anext(slow) == opened()
        script.say(*(delta("x", n) for n in range(1, 500)), done(500))
        assert len(await read(answer)) == 501
        assert [event async for event in slow][-1] == done(500)


async def test_the_answer_goes_on_until_the_last_one_has_left(shared: SharedAnswers) -> None:
    script = answered(opened())
    answer = start(shared, script)
    first, second = answer.follow(30), answer.follow(30)
    await anext(first)
    await anext(second)
    await first.aclose()
    script.say(delta("28 days"))
    assert await anext(second) == delta("28 days")
    assert not script.ended.is_set()
    await second.aclose()
    assert script.cancelled
    assert shared.running("key") is None
    assert not answer.admits(30)


async def test_a_cancelled_task_leaves_like_everybody_else(shared: SharedAnswers) -> None:
    script = answered(opened())
    reading = asyncio.create_task(read(start(shared, script)))
    await script.begun.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert script.cancelled


async def test_leaving_after_the_end_cancels_nothing(shared: SharedAnswers) -> None:
    after = asyncio.Event()

    async def events() -> AsyncGenerator[AnswerEvent, None]:
        for event in WHOLE:
            yield event
        await asyncio.sleep(0)
        after.set()

    answer = shared.start("key", events(), position=None, timeout=30)
    await read(answer)
    await asyncio.wait_for(after.wait(), 5)


async def test_an_error_reaches_all(shared: SharedAnswers) -> None:
    script = Script()
    answer = start(shared, script)
    readers = [asyncio.create_task(read(answer)) for _ in range(3)]
    await settle()
    script.say(opened(), AnswerFailed("no such space", code="unknown_space"))
    for outcome in await asyncio.gather(*readers, return_exceptions=True):
        assert isinstance(outcome, AnswerFailed)
        assert outcome.code == "unknown_space"
    assert not answer.admits(30)


async def test_a_stream_that_ends_too_early_is_an_error(shared: SharedAnswers) -> None:
    async def events() -> AsyncGenerator[AnswerEvent, None]:
        yield opened()

    with pytest.raises(AnswerBroken):
        await read(shared.start("key", events(), position=None, timeout=30))


async def test_the_deadline_of_a_follower_is_its_own(shared: SharedAnswers) -> None:
    script = answered(opened())
    answer = start(shared, script)
    patient = asyncio.create_task(read(answer))
    with pytest.raises(AnswerTimedOut):
        await read(answer, seconds=0.01)
    assert not script.ended.is_set()
    script.say(done(1))
    assert len(await patient) == 2


async def test_an_answer_about_to_be_given_up_is_not_followed(shared: SharedAnswers) -> None:
    answer = start(shared, Script(), timeout=10)
    assert answer.admits(19)
    assert not answer.admits(21)


async def test_closing_ends_also_what_has_not_begun(shared: SharedAnswers) -> None:
    script = Script()
    reading = asyncio.create_task(read(start(shared, script)))
    await shared.close()
    assert not script.begun.is_set()
    with pytest.raises(TransientError, match="restarting"):
        await reading


async def test_a_restart_takes_back_the_text_for_all(shared: SharedAnswers) -> None:
    script = answered(opened(1), delta("wrong"))
    answer = start(shared, script)
    async with aclosing(answer.follow(30)) as early:
        assert [await anext(early), await anext(early)] == [opened(1), delta("wrong")]
        script.say(delta("more", 2), opened(2), delta("28 days", 1, 2), done(2, 2))
        await settle()
        again = [opened(2), delta("28 days", 1, 2), done(2, 2)]
        assert await read(answer) == again
        assert [event async for event in early] == again


async def test_closing_ends_what_runs_with_an_error(shared: SharedAnswers) -> None:
    script = answered(opened())
    reading = asyncio.create_task(read(start(shared, script)))
    await script.begun.wait()
    await shared.close()
    with pytest.raises(TransientError, match="restarting"):
        await reading
    assert script.cancelled


async def test_a_newer_answer_takes_the_place_and_keeps_it(shared: SharedAnswers) -> None:
    script = Script()
    older = start(shared, script)
    reading = asyncio.create_task(read(older))
    newer = start(shared, Script())
    script.say(*WHOLE)
    await reading
    await settle()
    assert shared.running("key") is newer


@given(
    pieces=st.lists(st.text(max_size=3), max_size=8),
    joins=st.lists(st.integers(0, 10), min_size=1, max_size=6),
    leaves=st.lists(st.integers(1, 10), max_size=4),
)
def test_whenever_they_come_all_get_the_same(pieces: list[str], joins: list[int], leaves: list[int]) -> None:
    texts = (delta(text, no) for no, text in enumerate(pieces, 1))
    script: list[AnswerEvent] = [opened(), *texts, done(len(pieces) + 1)]

    async def leaver(answer: SharedAnswer, after: int) -> None:
        async with aclosing(answer.follow(30)) as events:
            for _ in range(after):
                await anext(events, None)

    async def run() -> None:
        shared, source = SharedAnswers(), Script()
        answer = start(shared, source)
        readers = [asyncio.create_task(read(answer))]
        leavers = [asyncio.create_task(leaver(answer, after)) for after in leaves]
        for no, event in enumerate(script):
            readers += [asyncio.create_task(read(answer)) for join in joins if join == no]
            source.say(event)
            await asyncio.sleep(0)
        assert all(events == script for events in await asyncio.gather(*readers))
        await asyncio.gather(*leavers)
        assert not source.cancelled
        await shared.close()

    asyncio.run(run())
