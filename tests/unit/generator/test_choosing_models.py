"""Which model is chosen, and what is told of it."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from rag_common.contracts import Adapter
from rag_common.errors import RagError
from rag_generator.domain import choosing
from rag_generator.domain.choosing import Models
from rag_generator.domain.llm import ModelMissing, ModelUnavailable, Piece, Prompt


class FakeEndpoint:
    """Has the models that it is given, or raises."""

    adapter: Adapter = "ollama"
    model = "small"
    context_tokens = 4096

    def __init__(self, *names: str, error: RagError | None = None) -> None:
        self.names = names
        self.error = error
        self.loads = asyncio.Semaphore(0)
        self.load_error: Exception | None = None
        self.loaded = True
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.looked = 0
        self.looks = asyncio.Semaphore(0)

    known_failure = None

    async def stream(
        self, prompt: Prompt, *, turn_within: float = math.inf, begin_within: float = math.inf
    ) -> AsyncGenerator[Piece, None]:
        yield Piece("", "stop")

    async def models(self) -> tuple[str, ...]:
        self.looked += 1
        self.looks.release()
        if self.error:
            raise self.error
        return self.names

    def missing(self, names: Sequence[str]) -> ModelMissing | None:
        return None if self.model in names else ModelMissing("there is no small")

    async def needs_loading(self) -> bool:
        return not self.loaded

    async def load(self) -> None:
        self.loads.release()
        await self.may_load.wait()
        if self.load_error:
            raise self.load_error
        self.loaded = True


AWAY = ModelUnavailable("it does not answer")


async def test_quotations_need_no_model() -> None:
    models = Models(None)
    await models.refresh()
    assert models.current() is None
    described = await models.describe("v1")
    assert (described.adapter, described.model, described.reason) == ("extractive", None, None)
    await models.watch()


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        (FakeEndpoint("other"), "there is no small"),
        (FakeEndpoint(error=AWAY), "it does not answer"),
    ],
)
async def test_an_optional_model_that_is_not_there_is_not_chosen(endpoint: FakeEndpoint, reason: str) -> None:
    models = Models(endpoint, optional=True)
    await models.refresh()
    assert models.current() is None
    described = await models.describe("v1")
    assert (described.adapter, described.reason) == ("extractive", reason)


async def test_a_model_that_was_asked_for_is_chosen_even_if_it_is_not_there() -> None:
    """So the answers are marked: somebody counts on it."""
    endpoint = FakeEndpoint(error=AWAY)
    models = Models(endpoint)
    await models.refresh()
    assert models.current() is endpoint
    described = await models.describe("v1")
    assert (described.adapter, described.model, described.prompt_version) == ("ollama", "small", "v1")
    assert described.reason == "it does not answer"


async def test_a_model_that_appears_is_chosen_without_a_restart() -> None:
    endpoint = FakeEndpoint("other")
    models = Models(endpoint, optional=True)
    await models.refresh()
    endpoint.names = ("other", "small")
    await models.refresh()
    assert models.current() is endpoint
    described = await models.describe("v1")
    assert (described.models, described.reason) == (("other", "small"), None)


async def test_a_model_that_was_seen_stays_chosen_while_its_endpoint_is_away() -> None:
    endpoint = FakeEndpoint("small")
    models = Models(endpoint, optional=True)
    await models.refresh()
    endpoint.error = AWAY
    await models.refresh()
    assert models.current() is endpoint
    assert (await models.describe("v1")).reason == "it does not answer"


async def test_a_model_that_was_removed_is_let_go() -> None:
    endpoint = FakeEndpoint("small")
    models = Models(endpoint, optional=True)
    await models.refresh()
    endpoint.names = ()
    await models.refresh()
    assert models.current() is None


async def test_who_answers_is_known_without_asking() -> None:
    endpoint = FakeEndpoint("small")
    models = Models(endpoint, optional=True)
    await models.refresh()
    for _ in range(3):
        models.current()
        await models.describe("v1")
    assert endpoint.looked == 1


async def test_a_change_is_logged_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    endpoint = FakeEndpoint("small")
    models = Models(endpoint, optional=True)
    for names in (("small",), ("small",), ("small", "large"), (), ()):
        endpoint.names = names
        await models.refresh()
    lines = [line for line in capsys.readouterr().out.splitlines() if "model_chosen" in line]
    assert len(lines) == 2
    assert "ollama" in lines[0]
    assert "there is no small" in lines[1]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "CHECK_SECONDS", 0.001)
    monkeypatch.setattr(choosing, "RECHECK_SECONDS", 0.001)


@asynccontextmanager
async def watched(endpoint: FakeEndpoint) -> AsyncIterator[Models]:
    models = Models(endpoint, optional=True)
    await models.refresh()
    watching = asyncio.create_task(models.watch())
    try:
        yield models
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def looks(endpoint: FakeEndpoint) -> None:
    """Wait for one that begins from now on, and its end."""
    while not endpoint.looks.locked():
        await endpoint.looks.acquire()
    for _ in range(2):
        await asyncio.wait_for(endpoint.looks.acquire(), 10)


async def told(models: Models, reason: str | None) -> None:
    async with asyncio.timeout(10):
        while (await models.describe("v1")).reason != reason:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)


@pytest.mark.usefixtures("quick")
async def test_a_model_is_loaded_whenever_it_is_not() -> None:
    endpoint = FakeEndpoint("small")
    async with watched(endpoint) as models:
        await looks(endpoint)
        assert endpoint.loads.locked(), "it is loaded"
        for _ in range(2):
            endpoint.loaded = False
            await asyncio.wait_for(endpoint.loads.acquire(), 10)
            await told(models, None)
            await looks(endpoint)
            assert endpoint.loads.locked(), "once is enough"


@pytest.mark.usefixtures("quick")
async def test_a_model_that_is_being_loaded_is_told_as_such_and_chosen_all_the_same() -> None:
    endpoint = FakeEndpoint("small")
    endpoint.loaded = False
    endpoint.may_load.clear()
    async with watched(endpoint) as models:
        await asyncio.wait_for(endpoint.loads.acquire(), 10)
        described = await models.describe("v1")
        assert (described.adapter, described.reason) == ("ollama", "the model small is being loaded")
        assert models.current() is endpoint
        endpoint.may_load.set()
        await told(models, None)


@pytest.mark.usefixtures("quick")
async def test_a_model_that_cannot_be_loaded_is_tried_again() -> None:
    endpoint = FakeEndpoint("small")
    endpoint.loaded = False
    endpoint.load_error = ModelUnavailable("too little memory")
    async with watched(endpoint) as models:
        await told(models, "too little memory")
        endpoint.load_error = None
        await told(models, None)
    assert endpoint.loaded


@pytest.mark.usefixtures("quick")
async def test_no_bug_ends_the_watch(capsys: pytest.CaptureFixture[str]) -> None:
    endpoint = FakeEndpoint("small")
    endpoint.loaded = False
    endpoint.load_error = RuntimeError("a bug")
    async with watched(endpoint) as models:
        await asyncio.wait_for(endpoint.loads.acquire(), 10)
        endpoint.load_error = None
        await told(models, None)
    assert "model_not_watched" in capsys.readouterr().out
