"""Something else answers where Ollama is expected: the generator starts, quotes, and says why."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from endpoint_support import Endpoint, serving

from rag_generator.adapters.models import open_models
from rag_generator.domain import choosing
from rag_generator.settings import GeneratorSettings


@pytest.fixture
async def stray() -> AsyncIterator[Endpoint]:
    async with serving() as served:
        yield served


def settings(stray: Endpoint) -> GeneratorSettings:
    return GeneratorSettings(ollama_url=stray.url.removesuffix("/v1"))


def badly_compressed(stray: Endpoint) -> None:
    stray.replies["/api/tags"] = [
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n",
        b"no gzip",
    ]


def redirected_for_ever(stray: Endpoint) -> None:
    stray.replies["/api/tags"] = [
        b"HTTP/1.1 302 Found\r\nlocation: /api/tags\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    ]


def refused_with_an_object(stray: Endpoint) -> None:
    stray.refuses("401 Unauthorized", {"message": "who are you?"}, "/api/tags")


def a_list(stray: Endpoint) -> None:
    stray.says("/api/tags", b"[1, 2]", kind="application/json")


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (badly_compressed, "not understood"),
        (redirected_for_ever, "not understood"),
        (refused_with_an_object, "who are you?"),
        (a_list, "not understood"),
    ],
)
async def test_it_is_no_model(stray: Endpoint, does: Callable[[Endpoint], None], told: str) -> None:
    does(stray)
    async with open_models(settings(stray)) as models:
        described = await models.describe("v1")
        assert described.adapter == "extractive"
        assert told in (described.reason or "")


async def test_the_watch_survives_it(stray: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "CHECK_SECONDS", 0.001)
    badly_compressed(stray)
    async with open_models(settings(stray)) as models:
        refused_with_an_object(stray)
        async with asyncio.timeout(10):
            while "who are you?" not in ((await models.describe("v1")).reason or ""):  # noqa: ASYNC110 - a task
                await asyncio.sleep(0.01)
