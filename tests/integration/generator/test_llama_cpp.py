"""A real llama.cpp with a small real model, through the adapter for OpenAI-compatible endpoints."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from rag_common.testing.llama_server import MODEL, LlamaServer
from rag_generator.adapters.models import open_models
from rag_generator.domain.choosing import Models
from rag_generator.domain.llm import LLM, ChatMessage, ModelRefused, Prompt
from rag_generator.settings import GeneratorSettings


@pytest.fixture(scope="module")
def llama() -> Iterator[LlamaServer]:
    with LlamaServer() as server:
        yield server


@pytest.fixture
async def llm(llama: LlamaServer) -> AsyncIterator[LLM]:
    async with open_models(settings(llama)) as models:
        yield await chosen(models)


def settings(llama: LlamaServer, **others: object) -> GeneratorSettings:
    given = {"llm": "openai", "openai_url": llama.url, "llm_model": MODEL, "llm_first_token_timeout": 60.0}
    return GeneratorSettings(**{**given, **others})  # type: ignore[arg-type]


async def chosen(models: Models) -> LLM:
    llm = models.current()
    assert llm is not None
    return llm


def prompt(text: str, max_tokens: int) -> Prompt:
    return Prompt((ChatMessage("user", text),), max_tokens)


async def test_tokens_stream_and_are_counted(llm: LLM) -> None:
    *pieces, last = [piece async for piece in llm.stream(prompt("Count from one to twenty.", 12))]
    assert len(pieces) > 5
    assert "".join(piece.text for piece in pieces).strip()
    assert last.finish == "length"
    assert last.completion_tokens == 12
    assert (last.prompt_tokens or 0) > 5


async def test_closing_an_answer_frees_the_slot(llama: LlamaServer, llm: LLM) -> None:
    """Of a server with one slot: the next question is answered without waiting for the thousands of tokens
    that nobody reads."""
    async with aclosing(llm.stream(prompt("Write a very long story about a ship.", 3500))) as pieces:
        await anext(pieces)
        assert await asyncio.to_thread(llama.busy_slots) == 1
    async with asyncio.timeout(30):
        while await asyncio.to_thread(llama.busy_slots):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    *_, last = [piece async for piece in llm.stream(prompt("Say yes.", 3))]
    assert last.finish is not None


async def test_a_prompt_beyond_the_context_is_refused_and_not_cut(llm: LLM) -> None:
    with pytest.raises(ModelRefused, match="exceed_context_size_error"):
        await anext(llm.stream(prompt("word " * 5000, 10)))


async def test_an_unknown_model_is_told_with_what_there_is(llama: LlamaServer) -> None:
    async with open_models(settings(llama, llm_model="gpt-unknown")) as models:
        described = await models.describe("v1")
        assert described.models == (MODEL,)
        assert "does not have gpt-unknown" in (described.reason or "")
