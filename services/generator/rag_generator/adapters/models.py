"""Makes the model that the settings name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from ollama import AsyncClient

from rag_generator.adapters.ollama import Ollama
from rag_generator.adapters.openai import OpenAI
from rag_generator.domain.breaker import Breaker
from rag_generator.domain.choosing import Endpoint, Models
from rag_generator.domain.guarding import GuardedLLM
from rag_generator.settings import OLLAMA_MODEL, GeneratorSettings

CONNECT_TIMEOUT = 5.0
KEEP_ALIVE = 2.0
"""Seconds for which an idle connection is used again: llama.cpp and vLLM close theirs after five, and a
question sent into a closing one would count as a failure of the model."""


@asynccontextmanager
async def open_models(settings: GeneratorSettings) -> AsyncIterator[Models]:
    """The endpoint has been looked at once, and is watched until the end."""
    async with AsyncExitStack() as stack:
        endpoint = await _endpoint(settings, stack)
        models = Models(_guarded(settings, endpoint) if endpoint else None, optional=settings.llm == "auto")
        await models.refresh()
        watching = asyncio.create_task(models.watch(), name="watch the model")
        try:
            yield models
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _endpoint(settings: GeneratorSettings, stack: AsyncExitStack) -> Endpoint | None:
    if settings.llm == "extractive":
        return None
    # Answers have deadlines of their own; those to connect are the transport's.
    timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT)
    # Beside the answers, there is a look at the endpoint now and then.
    limits = httpx.Limits(max_connections=settings.llm_concurrency + 2, keepalive_expiry=KEEP_ALIVE)
    if settings.llm == "openai":
        key = settings.openai_api_key
        client = httpx.AsyncClient(
            base_url=f"{settings.openai_url}/",
            headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            timeout=timeout,
            limits=limits,
        )
        await stack.enter_async_context(client)
        return OpenAI(client, settings.llm_model or "", context_tokens=settings.llm_context_tokens)
    ollama = AsyncClient(settings.ollama_url, timeout=timeout, limits=limits)
    stack.push_async_callback(ollama.close)
    return Ollama(
        ollama,
        settings.llm_model or OLLAMA_MODEL,
        context_tokens=settings.llm_context_tokens,
        keep_alive=settings.ollama_keep_alive,
    )


def _guarded(settings: GeneratorSettings, endpoint: Endpoint) -> GuardedLLM:
    return GuardedLLM(
        endpoint,
        Breaker(),
        concurrency=settings.llm_concurrency,
        first_token=settings.llm_first_token_timeout,
        idle=settings.llm_idle_timeout,
    )
