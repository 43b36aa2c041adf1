"""When an earlier answer stands for a question, and when it must not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from caching_support import (
    GENERATOR,
    WHOLE,
    Counts,
    Generator,
    Registry,
    Script,
    Storage,
    answered,
    ask,
    delta,
    done,
    opened,
    settle,
)

from rag_common.contracts import (
    AnswerDelta,
    AnswerDone,
    AnswerOpened,
    AnswerOptions,
    GeneratorDescription,
    SentenceGrounding,
)
from rag_common.errors import Overloaded, TransientError
from rag_gateway.domain import caching
from rag_gateway.domain.answers import AnswerEvent, AnswerFailed, Ask
from rag_gateway.domain.caching import CachedAnswers
from rag_gateway.domain.sharing import SharedAnswers


class Desk:
    """The layer under test with everything around it."""

    def __init__(self, *scripts: Script, most: int = 100, keeps: bool = True) -> None:
        self.generator = Generator(*scripts)
        self.registry = Registry()
        self.storage = Storage()
        self.counts = Counts()
        self.shared = SharedAnswers()
        self.description: GeneratorDescription | None = GENERATOR
        self.answers = CachedAnswers(
            self.generator,
            self.shared,
            self.registry,
            self.storage if keeps else None,
            self.describe,
            self.counts,
            most=most,
        )

    async def describe(self) -> GeneratorDescription | None:
        return self.description

    async def read(self, question: Ask | None = None) -> list[AnswerEvent]:
        events = [event async for event in self.answers(question or ask())]
        # what follows the answer: it is kept
        await settle()
        return events

    async def cached(self, question: Ask | None = None) -> bool:
        first = (await self.read(question))[0]
        assert isinstance(first, AnswerOpened)
        return first.cached


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.shared.close()


async def test_the_same_question_again_asks_nobody(desk: Desk) -> None:
    assert await desk.read() == list(WHOLE)
    first, text, last = await desk.read(ask(question="  How many days  of leave?"))
    assert isinstance(first, AnswerOpened)
    assert first == opened(cached=True, query_id="")
    assert text == AnswerDelta(query_id="", attempt=1, sequence=1, text="28 days")
    assert isinstance(last, AnswerDone)
    assert last.timings_ms.keys() == {"cache"}
    assert len(desk.generator.asked) == 1
    assert desk.counts.all == [("missed", "absent"), ("stored", ""), ("hit", "")]


async def test_text_and_citations_are_those_of_the_last_attempt() -> None:
    script = answered(
        opened(1), delta("wrong"), opened(2), delta("28 ", 1, 2), delta("days", 2, 2), done(3, 2)
    )
    desk = Desk(script)
    await desk.read()
    _, text, last = await desk.read()
    assert isinstance(text, AnswerDelta)
    assert (text.text, text.attempt, last.attempt) == ("28 days", 1, 1)


async def test_a_change_makes_it_miss_and_a_new_answer_is_kept(desk: Desk) -> None:
    await desk.read()
    desk.registry.change()
    assert not await desk.cached()
    assert await desk.cached()
    assert [what for what in desk.counts.all if what[0] == "missed"] == [
        ("missed", "absent"),
        ("missed", "changed"),
    ]


async def test_a_change_while_the_answer_is_written_makes_it_miss() -> None:
    script = Script()
    desk = Desk(script)
    reading = asyncio.create_task(desk.read())
    await script.begun.wait()
    desk.registry.change()
    script.say(*WHOLE)
    await reading
    assert not await desk.cached()


@pytest.mark.parametrize(
    "changes",
    [
        {"principals": ("*",)},
        {"tenant": "other"},
        {"collections": ("other",)},
        {"options": AnswerOptions(max_tokens=5)},
    ],
)
async def test_another_question_misses(desk: Desk, changes: dict[str, Any]) -> None:
    await desk.read()
    assert not await desk.cached(ask(**changes))


async def test_another_model_or_prompt_misses(desk: Desk) -> None:
    await desk.read()
    desk.description = GENERATOR.model_copy(update={"prompt_version": "2"})
    assert not await desk.cached()
    desk.description = GENERATOR
    assert await desk.cached()


async def test_not_reading_keeps_all_the_same(desk: Desk) -> None:
    await desk.read()
    assert not await desk.cached(ask(cache=False))
    assert len(desk.storage.entries) == 1
    assert await desk.cached()
    assert ("missed", "unwanted") in desk.counts.all


SENTENCE = SentenceGrounding(text="28 days", score=0.9)


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        (ask(), [opened(degraded=True), done(1)], "degraded"),
        (ask(options=AnswerOptions(grounding=True)), WHOLE, "degraded"),
        (ask(), [opened(space="old"), done(1)], "space"),
        (ask(space="other"), [opened(space="other"), done(1)], "space"),
        (ask(), [opened(), delta("x" * 10_000), done()], "size"),
        (ask(), [opened(), done(1, answered=False)], None),
        (ask(), [opened(space=None), done(1, finish="length")], None),
        (ask(options=AnswerOptions(grounding=True)), [opened(), done(1, grounding=[SENTENCE])], None),
        (ask(options=AnswerOptions(grounding=True)), [opened(), done(1, answered=False)], None),
    ],
)
async def test_only_what_is_as_good_as_a_new_answer_is_kept(
    question: Ask, answer: list[AnswerEvent], reason: str | None
) -> None:
    desk = Desk(answered(*answer))
    await desk.read(question)
    assert desk.counts.all[-1] == (("stored", "") if reason is None else ("not stored", reason))
    assert len(desk.storage.entries) == (reason is None)


async def test_an_answer_that_failed_is_not_kept() -> None:
    script = answered(opened(), delta("28"))
    script.say(AnswerFailed("the model is gone"))
    desk = Desk(script)
    with pytest.raises(AnswerFailed):
        await desk.read()
    assert not desk.storage.entries


async def test_an_answer_that_was_left_is_not_kept() -> None:
    script = answered(opened())
    desk = Desk(script)
    async with aclosing(desk.answers(ask())) as events:
        await anext(events)
    assert script.cancelled
    assert not desk.storage.entries


async def test_a_switch_of_the_space_makes_it_miss(desk: Desk) -> None:
    await desk.read()
    desk.registry.active_space = "multilingual"
    assert not await desk.cached()


async def test_many_who_ask_at_once_are_answered_once(desk: Desk) -> None:
    everybody = await asyncio.gather(*(desk.read() for _ in range(20)))
    assert all(events == list(WHOLE) for events in everybody)
    assert len(desk.generator.asked) == 1
    assert desk.counts.all.count(("followed", "")) == 19
    assert desk.counts.all.count(("stored", "")) == 1


async def test_who_asks_after_a_change_does_not_follow_an_answer_begun_before() -> None:
    """A permission that was withdrawn holds for every question that comes after it."""
    before, after = Script(), Script()
    desk = Desk(before, after)
    first = asyncio.create_task(desk.read())
    await before.begun.wait()
    second = asyncio.create_task(desk.read())
    await settle()
    desk.registry.change()
    third = asyncio.create_task(desk.read())
    await after.begun.wait()
    # and who comes now follows the newer one
    fourth = asyncio.create_task(desk.read())
    await settle()
    before.say(opened(), delta("secret"), done())
    after.say(opened(), delta("nothing"), done())
    assert [event.text for event in (await first, await second)[1] if isinstance(event, AnswerDelta)] == [
        "secret"
    ]
    for events in (await third, await fourth):
        assert [event.text for event in events if isinstance(event, AnswerDelta)] == ["nothing"]
    assert await desk.cached()
    assert len(desk.generator.asked) == 2


async def test_who_asks_without_the_cache_follows_nobody() -> None:
    running, own = Script(), answered(*WHOLE)
    desk = Desk(running, own)
    reading = asyncio.create_task(desk.read())
    await running.begun.wait()
    assert await desk.read(ask(cache=False)) == list(WHOLE)
    running.say(*WHOLE)
    await reading
    assert len(desk.generator.asked) == 2


async def test_others_are_not_disturbed_when_the_first_leaves_and_the_answer_is_kept() -> None:
    script = answered(opened())
    desk = Desk(script)
    first = desk.answers(ask())
    await anext(first)
    second = asyncio.create_task(desk.read())
    await settle()
    await first.aclose()
    script.say(delta("28 days"), done())
    assert await second == list(WHOLE)
    assert await desk.cached()


async def test_without_a_storage_answers_are_shared_and_not_kept() -> None:
    desk = Desk(keeps=False)
    await asyncio.gather(desk.read(), desk.read())
    assert len(desk.generator.asked) == 1
    assert not await desk.cached()
    assert desk.counts.all[-1] == ("missed", "off")


async def test_with_the_registry_away_nobody_is_asked(desk: Desk) -> None:
    """The retriever could not answer either, and would keep the client waiting until the deadline."""
    await desk.read()
    desk.registry.away = True
    with pytest.raises(TransientError, match="the registry is away"):
        await desk.read()
    assert len(desk.generator.asked) == 1
    desk.registry.away = False
    assert await desk.cached()


async def test_a_slow_registry_is_not_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "LOOKUP_SECONDS", 0.01)
    desk.registry.hangs = True
    assert await desk.read() == list(WHOLE)
    assert desk.counts.all == [("missed", "registry")]
    assert desk.generator.asked[0].timeout < ask().timeout


async def test_with_the_storage_away_the_question_is_asked(desk: Desk) -> None:
    desk.storage.away = True
    assert await desk.read() == list(WHOLE)
    assert desk.counts.all == [("missed", "storage"), ("not stored", "storage")]


async def test_with_nobody_to_describe_the_generator_the_question_is_asked(desk: Desk) -> None:
    desk.description = None
    assert not await desk.cached()
    assert not await desk.cached()
    # it is kept by what it says of itself
    desk.description = GENERATOR
    assert await desk.cached()


async def test_an_entry_that_cannot_be_read_is_a_miss(desk: Desk) -> None:
    await desk.read()
    for key in desk.storage.entries:
        desk.storage.entries[key] = b'{"text": 1}'
    assert not await desk.cached()
    assert ("missed", "damaged") in desk.counts.all
    assert await desk.cached()


async def test_what_fails_is_logged_once_until_it_works_again(
    desk: Desk, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def warnings() -> int:
        return (capsys.readouterr().out + caplog.text).count("answer_cache_unavailable")

    desk.storage.away = True
    await desk.read()
    await desk.read()
    assert warnings() == 1
    desk.storage.away = False
    await desk.read()
    caplog.clear()
    desk.storage.away = True
    await desk.read()
    assert warnings() == 1


async def test_there_are_not_more_askers_than_allowed() -> None:
    script = Script()
    desk = Desk(script, most=1)
    reading = asyncio.create_task(desk.read())
    await script.begun.wait()
    with pytest.raises(Overloaded):
        await desk.read()
    script.say(*WHOLE)
    await reading
    assert await desk.cached()
