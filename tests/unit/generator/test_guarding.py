"""Turns, deadlines, and rest for an endpoint that fails."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from rag_common.contracts import Adapter
from rag_common.errors import RagError
from rag_generator.domain import guarding
from rag_generator.domain.breaker import Breaker
from rag_generator.domain.guarding import GuardedLLM
from rag_generator.domain.llm import ChatMessage, ModelMissing, ModelRefused, ModelUnavailable, Piece, Prompt

PROMPT = Prompt((ChatMessage("user", "why?"),), max_tokens=10)
LONG = 60.0
SHORT = 0.02
END = Piece("", "stop")


class FakeEndpoint:
    """Says what it is told: a piece, an error, or a number of seconds to wait."""

    adapter: Adapter = "openai"
    model = "small"
    context_tokens = 4096

    def __init__(self, *script: Piece | RagError | float) -> None:
        self.script = script
        self.running = 0
        self.asked = 0
        self.began = asyncio.Event()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        self.asked += 1
        self.running += 1
        self.began.set()
        try:
            for step in self.script:
                if isinstance(step, RagError):
                    raise step
                if isinstance(step, Piece):
                    yield step
                else:
                    await asyncio.sleep(step)
        finally:
            self.running -= 1

    async def models(self) -> tuple[str, ...]:
        return ("small",)

    def missing(self, names: Sequence[str]) -> ModelMissing | None:
        return None

    async def needs_loading(self) -> bool:
        return False

    async def load(self) -> None:
        return


def guarded(
    endpoint: FakeEndpoint, *, concurrency: int = 8, first_token: float = LONG, idle: float = LONG
) -> GuardedLLM:
    breaker = Breaker(failures=2, pause=LONG)
    return GuardedLLM(endpoint, breaker, concurrency=concurrency, first_token=first_token, idle=idle)


async def said(llm: GuardedLLM) -> str:
    async with aclosing(llm.stream(PROMPT)) as pieces:
        return "".join([piece.text async for piece in pieces])


async def test_pieces_pass_as_they_come_save_empty_ones() -> None:
    llm = guarded(FakeEndpoint(Piece(""), Piece("a"), Piece(""), Piece("b"), Piece("", "length", 5, 2)))
    pieces = [piece async for piece in llm.stream(PROMPT)]
    assert pieces == [Piece("a"), Piece("b"), Piece("", "length", 5, 2)]


async def test_a_model_that_says_nothing_is_given_up() -> None:
    endpoint = FakeEndpoint(LONG)
    with pytest.raises(ModelUnavailable, match=r"said nothing for 0\.02 s"):
        await said(guarded(endpoint, first_token=SHORT))
    assert endpoint.running == 0


async def test_a_greeting_is_no_first_token() -> None:
    """Some endpoints send an empty piece before they have read the prompt."""
    llm = guarded(FakeEndpoint(Piece(""), 5 * SHORT, Piece("a"), END), idle=SHORT)
    assert await said(llm) == "a"


@pytest.mark.parametrize("begun", [(), (Piece("a"),)])
async def test_empty_pieces_are_silence_however_many(begun: tuple[Piece, ...]) -> None:
    """A model that reasons sends them; a reader waits for text."""
    endpoint = FakeEndpoint(*begun, *(Piece(""), SHORT / 4) * 1000, Piece("late"), END)
    with pytest.raises(ModelUnavailable, match=r"said nothing for 0\.02 s"):
        await said(guarded(endpoint, first_token=SHORT, idle=SHORT))
    assert endpoint.running == 0


async def test_a_model_that_falls_silent_is_given_up() -> None:
    endpoint = FakeEndpoint(Piece("a"), LONG)
    pieces = guarded(endpoint, idle=SHORT).stream(PROMPT)
    assert (await anext(pieces)).text == "a"
    with pytest.raises(ModelUnavailable, match="said nothing"):
        await anext(pieces)
    assert endpoint.running == 0


async def test_a_reader_who_takes_time_is_no_silence_of_the_model() -> None:
    llm = guarded(FakeEndpoint(Piece("a"), Piece("b"), END), idle=SHORT)
    heard = []
    async for piece in llm.stream(PROMPT):
        heard.append(piece.text)
        await asyncio.sleep(2 * SHORT)
    assert "".join(heard) == "ab"


async def test_no_more_than_the_agreed_number_is_asked_at_a_time() -> None:
    endpoint = FakeEndpoint(Piece("a"), SHORT, END)
    llm = guarded(endpoint, concurrency=2)
    most = 0

    async def ask() -> None:
        nonlocal most
        async for _ in llm.stream(PROMPT):
            most = max(most, endpoint.running)

    await asyncio.gather(*(ask() for _ in range(7)))
    assert (most, endpoint.asked) == (2, 7)


async def test_who_waits_too_long_for_a_turn_is_told_so_and_the_endpoint_is_not_blamed() -> None:
    endpoint = FakeEndpoint(Piece("a"), LONG)
    llm = guarded(endpoint, concurrency=1, first_token=SHORT)
    async with aclosing(llm.stream(PROMPT)) as first:
        assert (await anext(first)).text == "a"
        for _ in range(3):
            with pytest.raises(ModelUnavailable) as busy:
                await said(llm)
            assert busy.value.code == "model_busy"
    assert endpoint.asked == 1
    endpoint.script = (Piece("b"), END)
    assert await said(llm) == "b"


async def test_closing_ends_the_work_and_frees_the_turn() -> None:
    endpoint = FakeEndpoint(Piece("a"), LONG)
    llm = guarded(endpoint, concurrency=1)
    async with aclosing(llm.stream(PROMPT)) as pieces:
        await anext(pieces)
    assert endpoint.running == 0
    endpoint.began.clear()
    task = asyncio.create_task(said(llm))
    await asyncio.wait_for(endpoint.began.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert endpoint.running == 0
    endpoint.script = (END,)
    await said(llm)


async def test_an_endpoint_that_keeps_failing_is_left_alone() -> None:
    endpoint = FakeEndpoint(ModelUnavailable("down"))
    llm = guarded(endpoint)
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="down"):
            await said(llm)
    with pytest.raises(ModelUnavailable, match="rest"):
        await said(llm)
    assert endpoint.asked == 2


@pytest.mark.parametrize("error", [ModelRefused("too long"), ModelMissing("no such")])
async def test_what_lies_with_the_request_does_not_count_against_the_endpoint(error: RagError) -> None:
    endpoint = FakeEndpoint(error)
    llm = guarded(endpoint)
    for _ in range(5):
        with pytest.raises(type(error)):
            await said(llm)
    assert endpoint.asked == 5


async def test_it_recovers_by_one_answer() -> None:
    now = 0.0
    endpoint = FakeEndpoint(ModelUnavailable("down"))
    breaker = Breaker(failures=1, pause=10, clock=lambda: now)
    llm = GuardedLLM(endpoint, breaker, concurrency=1, first_token=LONG, idle=LONG)
    with pytest.raises(ModelUnavailable, match="down"):
        await said(llm)
    endpoint.script = (Piece("a"), END)
    with pytest.raises(ModelUnavailable, match="rest"):
        await said(llm)
    now = 10.0
    # Whoever has read the last piece need not ask for another one.
    async with aclosing(llm.stream(PROMPT)) as pieces:
        async for piece in pieces:
            if piece.finish:
                break
    assert await said(llm) == "a"
    assert await said(llm) == "a"


@pytest.fixture
def any_silence_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "FAIR_CHANCE", 0.0)


@pytest.mark.usefixtures("any_silence_counts")
async def test_a_silence_that_outlasts_the_caller_counts_against_the_endpoint() -> None:
    endpoint = FakeEndpoint(LONG)
    llm = guarded(endpoint)
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match=r"said nothing for 0\.0\d+ s"):
            await anext(llm.stream(PROMPT, begin_within=SHORT))
    assert endpoint.running == 0
    assert "rest" in str(llm.known_failure)
    with pytest.raises(ModelUnavailable, match="rest"):
        await said(llm)
    assert endpoint.asked == 2


async def test_a_caller_in_a_hurry_says_nothing_about_the_endpoint() -> None:
    endpoint = FakeEndpoint(LONG)
    llm = guarded(endpoint)
    for _ in range(5):
        with pytest.raises(ModelUnavailable, match="said nothing"):
            await anext(llm.stream(PROMPT, begin_within=SHORT))
    assert endpoint.asked == 5
    assert llm.known_failure is None


@pytest.mark.parametrize("limits", [{"turn_within": SHORT}, {"begin_within": SHORT}])
async def test_the_callers_time_goes_for_the_turn_too(limits: dict[str, float]) -> None:
    endpoint = FakeEndpoint(Piece("a"), LONG)
    llm = guarded(endpoint, concurrency=1)
    async with aclosing(llm.stream(PROMPT)) as first:
        await anext(first)
        with pytest.raises(ModelUnavailable) as busy:
            await anext(llm.stream(PROMPT, **limits))
    assert busy.value.code == "model_busy"
    assert endpoint.asked == 1


async def test_an_endpoint_is_not_asked_for_a_caller_whose_time_is_over() -> None:
    endpoint = FakeEndpoint(Piece("a"), END)
    with pytest.raises(ModelUnavailable):
        await anext(guarded(endpoint).stream(PROMPT, begin_within=0.0))
    assert endpoint.asked == 0
