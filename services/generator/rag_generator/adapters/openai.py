"""Any endpoint with OpenAI's chat completions as a language model: vLLM, llama.cpp, a hosted one.

It speaks HTTP by itself. The official client would bring four more packages into the service and retries
of its own, for one request whose reply is read line by line.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence, Set
from contextlib import aclosing, asynccontextmanager, contextmanager
from enum import StrEnum
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from rag_common.contracts import Adapter
from rag_generator.domain.llm import (
    TEMPERATURE,
    ModelMissing,
    ModelRefused,
    ModelUnavailable,
    Piece,
    Prompt,
)

CHECK_TIMEOUT = 5.0
"""Seconds for the list of models, which may be far away."""
MAX_LINE = 1024 * 1024
"""Bytes of one event; a delta has a few hundred."""
MAX_BODY = 64 * 1024
"""Bytes of a refusal that are read."""
MAX_LIST = 8 * 1024 * 1024
"""Bytes of a list of models; those of hosts with hundreds of them have half a million."""


class _Delta(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(BaseModel):
    """One event of the stream; the last one has no choices, and the usage if the endpoint tells it."""

    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None
    error: Any = None


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: tuple[_Model, ...] = ()


class _Problem(BaseModel):
    """What is told of a refusal. Its ``message`` is not: some endpoints repeat the request there, and one
    a part of the key."""

    code: str | int | None = None
    type: str | None = None
    param: Any = None

    @property
    def kind(self) -> str | None:
        """OpenAI has the word for it in ``code``; llama.cpp and vLLM repeat the status there."""
        return self.code if isinstance(self.code, str) else self.type


class _Refusal(BaseModel):
    error: _Problem | None = None


class _Parameter(StrEnum):
    """What some models refuse, OpenAI's reasoning ones among them."""

    MAX_TOKENS = "max_tokens"
    TEMPERATURE = "temperature"


class OpenAI:
    """One model of an endpoint; ``client`` has its base URL (with ``/v1/``) and its key."""

    adapter: Adapter = "openai"

    def __init__(self, client: httpx.AsyncClient, model: str, *, context_tokens: int) -> None:
        self._client = client
        self.model = model
        self.context_tokens = context_tokens
        self._refused: frozenset[_Parameter] = frozenset()
        """Parameters that the endpoint did not take, and without which it answered."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """See :class:`~rag_generator.domain.llm.LLM`."""
        with _translated():
            async with self._answer(prompt) as response, aclosing(_pieces(response)) as pieces:
                async for piece in pieces:
                    yield piece

    @asynccontextmanager
    async def _answer(self, prompt: Prompt) -> AsyncIterator[httpx.Response]:
        """Asked again where the endpoint refuses a parameter that there is another way without."""
        refused = self._refused
        while True:
            body = self._request(prompt, refused)
            async with self._client.stream("POST", "chat/completions", json=body) as response:
                if not response.is_error:
                    self._refused = refused
                    yield response
                    return
                said = await _beginning(response, MAX_BODY)
            parameter = _refused_parameter(response.status_code, said)
            if parameter is None or parameter in refused:
                raise self._refusal(response.status_code, said)
            refused |= {parameter}

    def _request(self, prompt: Prompt, refused: Set[_Parameter]) -> dict[str, object]:
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": each.role, "content": each.content} for each in prompt.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        # OpenAI's new name of it, which other endpoints need not know.
        limit = "max_completion_tokens" if _Parameter.MAX_TOKENS in refused else "max_tokens"
        body[limit] = prompt.max_tokens
        if _Parameter.TEMPERATURE not in refused:
            body["temperature"] = TEMPERATURE
        return body

    async def models(self) -> tuple[str, ...]:
        """See :class:`~rag_generator.domain.choosing.Endpoint`."""
        with _translated():
            async with asyncio.timeout(CHECK_TIMEOUT), self._client.stream("GET", "models") as response:
                if response.status_code == httpx.codes.NOT_FOUND:
                    return ()  # OpenAI has such a list; being compatible does not take one
                if response.is_error:
                    raise self._refusal(response.status_code, await _beginning(response, MAX_BODY))
                body = await _beginning(response, MAX_LIST)
            return tuple(model.id for model in _Models.model_validate_json(body).data)

    def missing(self, names: Sequence[str]) -> ModelMissing | None:
        """See :class:`~rag_generator.domain.choosing.Endpoint`."""
        return self._missing() if names and self.model not in names else None

    async def needs_loading(self) -> bool:
        """Such an endpoint has its model loaded, or does not tell."""
        return False

    async def load(self) -> None:
        """Nothing to do."""

    def _missing(self) -> ModelMissing:
        return ModelMissing(f"the language model's endpoint does not have {self.model}: see RAG_LLM_MODEL")

    def _refusal(self, status: int, body: bytes) -> ModelMissing | ModelRefused | ModelUnavailable:
        problem = _problem(body)
        said = (problem.kind if problem else None) or status
        if status == httpx.codes.NOT_FOUND and problem:
            return self._missing()
        if status == httpx.codes.NOT_FOUND:
            return ModelRefused("nothing answers chat completions at RAG_OPENAI_URL: it should end in /v1")
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return ModelRefused("the language model's endpoint refuses the key: see RAG_OPENAI_API_KEY")
        if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
            return ModelUnavailable("the language model's endpoint is busy", code="model_busy")
        if status < 500:
            return ModelRefused(f"the language model's endpoint refuses the request: {said}")
        return ModelUnavailable(f"the language model's endpoint failed: {said}")


def _problem(body: bytes) -> _Problem | None:
    try:
        return _Refusal.model_validate_json(body).error
    except ValidationError:
        return None


def _refused_parameter(status: int, body: bytes) -> _Parameter | None:
    problem = _problem(body) if status == httpx.codes.BAD_REQUEST else None
    return next((each for each in _Parameter if problem and problem.param == each), None)


async def _beginning(response: httpx.Response, size: int) -> bytes:
    """The body, or the first ``size`` bytes of a longer one."""
    body = bytearray()
    async for block in response.aiter_bytes():
        body += block
        if len(body) >= size:
            break
    return bytes(body[:size])


async def _pieces(response: httpx.Response) -> AsyncGenerator[Piece, None]:
    """The last piece waits for the end of the stream: the usage comes after the finish."""
    finish, usage = None, _Usage()
    async with aclosing(_events(response)) as events:
        async for data in events:
            if data == b"[DONE]":
                break
            chunk = _Chunk.model_validate_json(data)
            if chunk.error is not None:
                raise ModelUnavailable("the language model failed in the middle of an answer")
            usage = chunk.usage or usage
            for choice in chunk.choices or ():
                finish = choice.finish_reason or finish
                yield Piece((choice.delta and choice.delta.content) or "")
    if finish is None:
        raise ModelUnavailable("the language model's endpoint broke off in the middle of an answer")
    yield Piece(
        "",
        "length" if finish == "length" else "stop",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
    )


async def _events(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The data of server-sent events, one line each.

    Lines end at a line feed only: what else :meth:`str.splitlines` takes for an end may stand in JSON.
    """
    rest = b""
    async for block in response.aiter_bytes():
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > MAX_LINE:
            raise ModelUnavailable("the language model's endpoint sent what is not understood")
        for line in lines:
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").strip()
    if rest.startswith(b"data:"):
        yield rest.removeprefix(b"data:").strip()  # the last line may have no end


@contextmanager
def _translated() -> Iterator[None]:
    """The transport's failures, as the domain names them."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise ModelUnavailable("the language model's endpoint does not answer") from error
    except (TimeoutError, httpx.TimeoutException) as error:
        raise ModelUnavailable("the language model's endpoint does not answer in time") from error
    except httpx.TransportError as error:
        raise ModelUnavailable("the connection to the language model broke off") from error
    except (httpx.RequestError, ValueError) as error:
        # httpx's of a body that cannot be decompressed, pydantic's of one that is not what it should be
        raise ModelUnavailable("the language model's endpoint sent what is not understood") from error
