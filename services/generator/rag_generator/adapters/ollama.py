"""Ollama as a language model, by its own protocol."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager

import httpx
from ollama import AsyncClient, ChatResponse, ResponseError

from rag_common.contracts import Adapter
from rag_generator.domain.llm import (
    TEMPERATURE,
    ModelMissing,
    ModelRefused,
    ModelUnavailable,
    Piece,
    Prompt,
)

CHECK_TIMEOUT = 3.0
"""Seconds for a look at what Ollama has; it answers these even while it generates."""
LOAD_TIMEOUT = 300.0
"""Seconds after which Ollama itself gives up loading a model, by default."""
MAX_ERROR = 200
"""Characters of Ollama's own words in a message of ours."""


class Ollama:
    """One model of an Ollama server; ``keep_alive`` is how long it stays loaded after an answer."""

    adapter: Adapter = "ollama"

    def __init__(self, client: AsyncClient, model: str, *, context_tokens: int, keep_alive: str) -> None:
        self._client = client
        self.model = model
        self.context_tokens = context_tokens
        self._keep_alive = keep_alive
        self._kept_until = math.inf
        """When Ollama lets it go by our own wish; for ever until it has been used."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """See :class:`~rag_generator.domain.llm.LLM`."""
        with self._translated():
            chunks = await self._client.chat(
                self.model,
                [{"role": message.role, "content": message.content} for message in prompt.messages],
                stream=True,
                # A model that reasons would keep its reader waiting for text that is thrown away.
                think=False,
                keep_alive=self._keep_alive,
                options={
                    "num_ctx": self.context_tokens,
                    "num_predict": prompt.max_tokens,
                    "temperature": TEMPERATURE,
                },
            )
            # Closing it closes the connection, which is how Ollama learns that nobody reads any more.
            async with aclosing(chunks):  # type: ignore[type-var]  # an async generator, declared as less
                async for chunk in chunks:
                    self._used()
                    yield self._piece(chunk)
                    if chunk.done:
                        return
        raise ModelUnavailable("Ollama broke off in the middle of an answer")

    async def models(self) -> tuple[str, ...]:
        """See :class:`~rag_generator.domain.choosing.Endpoint`."""
        with self._translated():
            try:
                async with asyncio.timeout(CHECK_TIMEOUT):
                    listed = await self._client.list()
            except ResponseError as error:
                if error.status_code == httpx.codes.NOT_FOUND:
                    raise ModelUnavailable("what answers at RAG_OLLAMA_URL is no Ollama") from error
                raise
        return tuple(model.model for model in listed.models if model.model)

    def missing(self, names: Sequence[str]) -> ModelMissing | None:
        """See :class:`~rag_generator.domain.choosing.Endpoint`."""
        return None if has_model(self.model, names) else self._missing()

    async def needs_loading(self) -> bool:
        """See :class:`~rag_generator.domain.choosing.Endpoint`."""
        with self._translated():
            async with asyncio.timeout(CHECK_TIMEOUT):
                loaded = await self._client.ps()
            if has_model(self.model, [model.model or "" for model in loaded.models]):
                return False
        return time.monotonic() < self._kept_until

    async def load(self) -> None:
        """See :class:`~rag_generator.domain.choosing.Endpoint`."""
        with self._translated():
            async with asyncio.timeout(LOAD_TIMEOUT):
                # With the context of the questions to come: another one would have it loaded again.
                await self._client.generate(
                    self.model, keep_alive=self._keep_alive, options={"num_ctx": self.context_tokens}
                )
        self._used()

    def _used(self) -> None:
        self._kept_until = time.monotonic() + _seconds(self._keep_alive)

    def _piece(self, chunk: ChatResponse) -> Piece:
        text = chunk.message.content or ""
        if not chunk.done:
            return Piece(text)
        if chunk.done_reason == "load":
            raise ModelUnavailable(f"Ollama has loaded {self.model} instead of answering")
        return Piece(
            text,
            "length" if chunk.done_reason == "length" else "stop",
            prompt_tokens=chunk.prompt_eval_count,
            completion_tokens=chunk.eval_count,
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Ollama's failures, as the domain names them."""
        try:
            yield
        except ResponseError as error:
            raise self._refusal(error) from error
        except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ModelUnavailable("Ollama does not answer") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ModelUnavailable("Ollama does not answer in time") from error
        except httpx.TransportError as error:
            raise ModelUnavailable("the connection to Ollama broke off") from error
        except (httpx.RequestError, ValueError, TypeError, AttributeError) as error:
            # The client takes it for granted that a line is a JSON object with the documented fields.
            # It follows redirects, of which there may be too many.
            raise ModelUnavailable("Ollama sent what is not understood") from error

    def _refusal(self, error: ResponseError) -> ModelMissing | ModelRefused | ModelUnavailable:
        said = str(error.error)[:MAX_ERROR]  # Ollama says a string; what else answers there may not
        if error.status_code == httpx.codes.NOT_FOUND:
            return self._missing()
        if error.status_code in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
            return ModelUnavailable("Ollama is busy", code="model_busy")
        if 400 <= error.status_code < 500:
            return ModelRefused(f"Ollama refuses the request: {said}")
        return ModelUnavailable(f"Ollama failed: {said}")

    def _missing(self) -> ModelMissing:
        return ModelMissing(f"Ollama does not have the model {self.model}: ragp models pull {self.model}")


def _seconds(keep_alive: str) -> float:
    """Of Ollama's notation; what is negative means for ever."""
    amount = keep_alive.rstrip("hms")
    seconds = int(amount) * {"ms": 0.001, "m": 60, "h": 3600}.get(keep_alive.removeprefix(amount), 1)
    return seconds if seconds >= 0 else math.inf


def has_model(model: str, names: Sequence[str]) -> bool:
    """Whether Ollama has the model. A name without a tag means the tag ``latest``."""
    return model in names or f"{model}:latest" in names
