"""The language models behind the generator, asked directly: this is for operators."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import psutil
from pydantic import BaseModel, ValidationError

from rag_generator.settings import OLLAMA_MODEL, GeneratorSettings
from ragp.errors import CommandError
from ragp.settings import CliSettings
from ragp.stack.state import DataDirectory, RunRecord

_TIMEOUT = httpx.Timeout(10.0)
_PULL_TIMEOUT = httpx.Timeout(10.0, read=600.0)
"""Ollama says nothing while it checks the sum of a large file."""


@dataclass(frozen=True)
class ListedModel:
    """``size`` in bytes and ``loaded`` are what Ollama tells of its models; others do not."""

    name: str
    used: bool
    size: int | None = None
    loaded: bool | None = None


class PullStep(BaseModel):
    """What Ollama says while it pulls. A step with a ``digest`` is about one file, in bytes."""

    status: str = ""
    digest: str | None = None
    total: int | None = None
    completed: int = 0
    error: str | None = None


class _OllamaModel(BaseModel):
    name: str
    size: int | None = None


class _OllamaModels(BaseModel):
    models: tuple[_OllamaModel, ...] = ()


class _OpenAIModel(BaseModel):
    id: str


class _OpenAIModels(BaseModel):
    data: tuple[_OpenAIModel, ...] = ()


def generator_settings(settings: CliSettings) -> GeneratorSettings:
    """Those of the running stack's generator; where none runs, those of this environment.

    :raises CommandError: one of them is not valid.
    """
    try:
        given = _settings_of_running(settings)
        return GeneratorSettings() if given is None else GeneratorSettings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise CommandError(f"the generator's settings are not valid: {_complaint(error)}") from error


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"RAG_{first['loc'][0]}: ".upper() + first["msg"] if first["loc"] else first["msg"]


def _settings_of_running(settings: CliSettings) -> dict[str, object] | None:
    """All of them, so that nothing of this command's own environment is mixed in."""
    record = RunRecord.of_running(DataDirectory(settings.data_dir))
    for process in record.processes if record else ():
        living = process.process() if process.name == "generator" else None
        if living is None:
            continue
        try:
            environment = living.environ()
        except psutil.Error as error:
            raise CommandError(
                "the settings of the running generator cannot be read", cure="run as who started the stack"
            ) from error
        return {
            name: environment.get(f"RAG_{name}".upper(), field.get_default())
            for name, field in GeneratorSettings.model_fields.items()
        }
    return None


def configured_model(settings: GeneratorSettings) -> str:
    return settings.llm_model or OLLAMA_MODEL


async def list_models(settings: GeneratorSettings) -> list[ListedModel]:
    """What the configured endpoint has, by name. Where it has no list of them: the configured model, which
    the generator trusts it to have.

    :raises CommandError: it does not answer, or refuses.
    """
    model = configured_model(settings)
    if settings.llm == "openai":
        found = [ListedModel(name, name == model) for name in await _names_at_openai(settings, model)]
    else:
        async with _client(f"{settings.ollama_url}/") as http:
            tags = _OllamaModels.model_validate_json(_body(await http.get("api/tags")))
            running = _OllamaModels.model_validate_json(_body(await http.get("api/ps")))
        loaded = {each.name for each in running.models}
        found = [
            ListedModel(each.name, each.name in (model, f"{model}:latest"), each.size, each.name in loaded)
            for each in tags.models
        ]
    return sorted(found, key=lambda each: each.name)


async def _names_at_openai(settings: GeneratorSettings, model: str) -> list[str]:
    key = settings.openai_api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    async with _client(f"{settings.openai_url}/", headers) as http:
        response = await http.get("models")
        if response.status_code == httpx.codes.NOT_FOUND:
            return [model]
        return [each.id for each in _OpenAIModels.model_validate_json(_body(response)).data]


async def pull(settings: GeneratorSettings, model: str) -> AsyncIterator[PullStep]:
    """Have Ollama fetch the model; one that it has is brought up to date.

    :raises CommandError: Ollama does not answer, or cannot fetch it.
    """
    async with (
        _client(f"{settings.ollama_url}/") as http,
        http.stream("POST", "api/pull", json={"model": model}, timeout=_PULL_TIMEOUT) as response,
    ):
        if response.is_error:
            raise _not_pulled(model, _error_in(await response.aread()) or f"HTTP {response.status_code}")
        last = PullStep()
        async for line in response.aiter_lines():
            last = PullStep.model_validate_json(line)
            if last.error:
                raise _not_pulled(model, last.error)
            yield last
        if last.status != "success":
            raise _not_pulled(model, "it stopped before the end")


def _not_pulled(model: str, reason: str) -> CommandError:
    return CommandError(
        f"Ollama cannot pull {model}: {reason}", cure="check the name: https://ollama.com/library"
    )


def _error_in(body: bytes) -> str | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return str(found["error"]) if isinstance(found, dict) and "error" in found else None


@asynccontextmanager
async def _client(url: str, headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT) as http:
            yield http
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise CommandError(
            f"nothing answers at {url}: {error or type(error).__name__}",
            cure="start it, or correct RAG_OLLAMA_URL or RAG_OPENAI_URL",
        ) from error
    except httpx.TimeoutException as error:
        raise CommandError(
            f"what answers at {url} does not go on", cure="see its log, and try again"
        ) from error
    except httpx.TransportError as error:
        raise CommandError(
            f"the connection to {url} broke off: {error or type(error).__name__}",
            cure="see its log, and try again",
        ) from error
    except (httpx.RequestError, ValidationError) as error:
        # httpx's: of a body that cannot be decompressed
        raise CommandError(
            f"what answers at {url} is no endpoint of language models",
            cure="correct RAG_OLLAMA_URL or RAG_OPENAI_URL",
        ) from error


def _body(response: httpx.Response) -> bytes:
    if response.is_error:
        raise CommandError(
            f"{response.url} answers with status {response.status_code}",
            cure="correct RAG_OLLAMA_URL, or RAG_OPENAI_URL and RAG_OPENAI_API_KEY",
        )
    return response.content
