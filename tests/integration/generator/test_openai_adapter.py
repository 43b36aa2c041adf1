"""Any OpenAI-compatible endpoint: what it may send, how it may fail, and what is never told of it."""

import asyncio
import json
import logging
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from endpoint_support import Endpoint, serving

from rag_generator.adapters import openai
from rag_generator.adapters.models import open_models
from rag_generator.domain.choosing import Models
from rag_generator.domain.llm import (
    LLM,
    ChatMessage,
    ModelMissing,
    ModelRefused,
    ModelUnavailable,
    Piece,
    Prompt,
)
from rag_generator.settings import GeneratorSettings

PROMPT = Prompt((ChatMessage("user", "What is in the secret passage?"),), max_tokens=50)
KEY = "sk-very-private"
DONE = b"data: [DONE]\n\n"


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with serving() as served:
        yield served


@pytest.fixture
async def llm(endpoint: Endpoint) -> AsyncIterator[LLM]:
    async with open_models(settings(endpoint)) as models:
        yield await chosen(models)


def settings(endpoint: Endpoint, **others: object) -> GeneratorSettings:
    given = {"llm": "openai", "openai_url": endpoint.url, "openai_api_key": KEY, "llm_model": "small"}
    return GeneratorSettings(**{**given, **others})  # type: ignore[arg-type]


async def chosen(models: Models) -> LLM:
    llm = models.current()
    assert llm is not None
    return llm


def event(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}\n\n'


async def pieces_of(llm: LLM) -> list[Piece]:
    async with aclosing(llm.stream(PROMPT)) as pieces:
        return [piece async for piece in pieces]


async def test_an_answer_streams_and_ends_with_its_counts(endpoint: Endpoint, llm: LLM) -> None:
    endpoint.says(
        "/v1/chat/completions",
        event({"role": "assistant", "content": None}),
        event({"content": "Да"}),
        b": a comment\n\n",
        event({"content": ", [1]."}),
        event({}, "stop"),
        USAGE,
        DONE,
    )
    *pieces, last = await pieces_of(llm)
    assert [piece.text for piece in pieces] == ["Да", ", [1]."]
    assert last == Piece("", "stop", prompt_tokens=12, completion_tokens=3)
    assert (llm.adapter, llm.model) == ("openai", "small")
    body = endpoint.bodies[-1]
    assert (body["model"], body["stream"], body["max_tokens"]) == ("small", True, 50)
    assert body["stream_options"] == {"include_usage": True}
    assert body["messages"] == [{"role": "user", "content": PROMPT.messages[0].content}]
    assert f"Bearer {KEY}" in endpoint.heads[-1]


async def test_events_may_be_cut_anywhere_and_hold_any_character(endpoint: Endpoint, llm: LLM) -> None:
    """JSON may hold what Python takes for the end of a line."""
    text = "а\u2028б\u0085в\x0bг"
    stream = event({"content": text}) + event({}, "length").replace(b"\n", b"\r\n") + DONE
    endpoint.says("/v1/chat/completions", *(stream[at : at + 3] for at in range(0, len(stream), 3)))
    pieces = await pieces_of(llm)
    assert "".join(piece.text for piece in pieces) == text
    assert pieces[-1] == Piece("", "length")


async def test_an_endpoint_that_tells_no_usage_and_no_end(endpoint: Endpoint, llm: LLM) -> None:
    endpoint.says("/v1/chat/completions", event({"content": "a"}), event({"content": "b"}, "stop"))
    assert await pieces_of(llm) == [Piece("a"), Piece("b"), Piece("", "stop")]


async def test_the_last_event_may_have_no_end(endpoint: Endpoint, llm: LLM) -> None:
    endpoint.says("/v1/chat/completions", event({"content": "a"}), event({}, "length").rstrip())
    assert await pieces_of(llm) == [Piece("a"), Piece("", "length")]


async def test_what_may_be_left_out_may_be_null(endpoint: Endpoint, llm: LLM) -> None:
    endpoint.says(
        "/v1/chat/completions",
        event({"content": "a"}),
        b'data: {"choices":[{"index":0,"delta":null,"finish_reason":"stop"}],"usage":null,"error":null}\n\n',
        b'data: {"choices":null,"usage":{"prompt_tokens":12,"completion_tokens":3}}\n\n',
        DONE,
    )
    assert await pieces_of(llm) == [Piece("a"), Piece("", "stop", prompt_tokens=12, completion_tokens=3)]


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (b"", "broke off"),
        (b'data: {"choices": [\n\n', "not understood"),
        (b"data: 7\n\n", "not understood"),
        (b'data: {"error": {"message": "out of memory"}}\n\n', "failed in the middle"),
        (b"data: " + b"x" * 3_000_000, "not understood"),
    ],
)
async def test_an_answer_that_ends_badly(endpoint: Endpoint, llm: LLM, last: bytes, told: str) -> None:
    endpoint.says("/v1/chat/completions", event({"content": "begin"}), last)
    pieces = llm.stream(PROMPT)
    assert (await anext(pieces)).text == "begin"
    with pytest.raises(ModelUnavailable, match=told):
        await anext(pieces)


def compressed_badly(body: bytes = b"this is no gzip") -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
    return [head, body]


async def test_a_body_that_cannot_be_decompressed(endpoint: Endpoint, llm: LLM) -> None:
    begun = zlib.compressobj(wbits=31)
    good = begun.compress(event({"content": "begin"})) + begun.flush(zlib.Z_SYNC_FLUSH)
    endpoint.replies["/v1/chat/completions"] = compressed_badly(good + b"this is no gzip")
    with pytest.raises(ModelUnavailable, match="not understood"):
        await pieces_of(llm)


async def test_a_list_that_cannot_be_decompressed_does_not_keep_the_service_from_starting(
    endpoint: Endpoint,
) -> None:
    endpoint.replies["/v1/models"] = compressed_badly()
    async with open_models(settings(endpoint)) as models:
        assert "not understood" in ((await models.describe("v1")).reason or "")


async def test_a_connection_that_is_cut(endpoint: Endpoint, llm: LLM) -> None:
    endpoint.replies["/v1/chat/completions"] = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"%x\r\n%s\r\n" % (len(event({"content": "a"})), event({"content": "a"})),
    ]
    pieces = llm.stream(PROMPT)
    assert (await anext(pieces)).text == "a"
    with pytest.raises(ModelUnavailable, match="broke off"):
        await anext(pieces)


@pytest.mark.parametrize(
    ("status", "error", "kind", "told"),
    [
        ("404 Not Found", {"message": "?", "type": "NotFoundError"}, ModelMissing, "does not have small"),
        ("401 Unauthorized", {"message": f"bad key {KEY}"}, ModelRefused, "RAG_OPENAI_API_KEY"),
        ("400 Bad Request", {"code": "context_length_exceeded"}, ModelRefused, "context_length_exceeded"),
        ("422 Unprocessable", None, ModelRefused, "422"),
        ("429 Too Many Requests", {"code": "rate_limit"}, ModelUnavailable, "busy"),
        ("503 Service Unavailable", {"message": "Loading model"}, ModelUnavailable, "busy"),
        ("500 Internal Server Error", {"type": "server_error"}, ModelUnavailable, "server_error"),
    ],
)
async def test_refusals(
    endpoint: Endpoint, llm: LLM, status: str, error: object, kind: type[Exception], told: str
) -> None:
    endpoint.refuses(status, error)
    with pytest.raises(kind, match=told):
        await pieces_of(llm)


def unsupported(parameter: str) -> dict[str, str]:
    """OpenAI's words."""
    return {
        "message": f"Unsupported parameter: '{parameter}' is not supported with this model.",
        "type": "invalid_request_error",
        "param": parameter,
        "code": "unsupported_parameter",
    }


async def test_a_model_that_takes_neither_temperature_nor_the_old_limit(endpoint: Endpoint, llm: LLM) -> None:
    for parameter in ("max_tokens", "temperature"):
        endpoint.takes_no(parameter, unsupported(parameter))
    endpoint.says("/v1/chat/completions", event({"content": "a"}, "stop"), DONE)
    assert (await pieces_of(llm))[0] == Piece("a")
    assert endpoint.bodies[-1]["max_completion_tokens"] == PROMPT.max_tokens
    assert {"max_tokens", "temperature"}.isdisjoint(endpoint.bodies[-1])
    asked = len(endpoint.bodies)
    await pieces_of(llm)
    assert len(endpoint.bodies) == asked + 1, "it is remembered"


async def test_a_parameter_that_is_refused_for_its_value_is_sent_again(endpoint: Endpoint, llm: LLM) -> None:
    """vLLM names ``max_tokens`` when a prompt is too long, and so it does its other name."""
    endpoint.refuses("400 Bad Request", {"param": "max_tokens", "type": "BadRequestError", "code": 400})
    with pytest.raises(ModelRefused, match="BadRequestError"):
        await pieces_of(llm)
    assert [("max_tokens" in body) for body in endpoint.bodies] == [True, False]
    endpoint.says("/v1/chat/completions", event({"content": "a"}, "stop"), DONE)
    await pieces_of(llm)
    assert "max_tokens" in endpoint.bodies[-1]


async def test_a_wrong_address_is_told_with_its_cure(endpoint: Endpoint, llm: LLM) -> None:
    endpoint.says("/v1/chat/completions", b"<html>", status="404 Not Found", kind="text/html")
    with pytest.raises(ModelRefused, match="should end in /v1"):
        await pieces_of(llm)


async def test_closing_an_answer_closes_the_connection(endpoint: Endpoint, llm: LLM) -> None:
    endpoint.says("/v1/chat/completions", event({"content": "a"}), b"...")
    async with aclosing(llm.stream(PROMPT)) as pieces:
        await anext(pieces)
    await asyncio.wait_for(endpoint.gone.wait(), 10)


async def test_neither_the_key_nor_the_prompt_is_told_or_logged(
    endpoint: Endpoint, llm: LLM, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some endpoints repeat both in their errors."""
    caplog.set_level(logging.DEBUG)
    said = PROMPT.messages[0].content
    endpoint.refuses("400 Bad Request", {"message": f"{KEY}: {said}", "type": "invalid_request_error"})
    with pytest.raises(ModelRefused) as refused:
        await pieces_of(llm)
    everything = str(refused.value) + caplog.text + "".join(capsys.readouterr())
    assert KEY not in everything
    assert said not in everything
    assert KEY not in repr(settings(endpoint))


async def test_a_model_that_is_not_in_the_list_is_missing(endpoint: Endpoint) -> None:
    async with open_models(settings(endpoint, llm_model="large")) as models:
        described = await models.describe("v1")
        assert (described.model, described.models) == ("large", ("small",))
        assert "does not have large" in (described.reason or "")


async def test_an_endpoint_without_a_list_is_trusted(endpoint: Endpoint) -> None:
    endpoint.refuses("404 Not Found", None, "/v1/models")
    async with open_models(settings(endpoint)) as models:
        assert (await models.describe("v1")).reason is None


async def test_a_list_that_trickles_does_not_keep_the_service_from_starting(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, the whole never does."""
    monkeypatch.setattr(openai, "CHECK_TIMEOUT", 0.1)
    endpoint.says("/v1/models", b"[", *(b" ", b"~") * 2000)
    async with asyncio.timeout(10), open_models(settings(endpoint)) as models:
        assert "in time" in ((await models.describe("v1")).reason or "")


async def test_a_list_without_end_is_not_kept(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "MAX_LIST", 1000)
    endpoint.says("/v1/models", b'{"data": [], "more": "', b"x" * 2000, b"...")
    async with asyncio.timeout(4), open_models(settings(endpoint)) as models:
        assert "not understood" in ((await models.describe("v1")).reason or "")
    await asyncio.wait_for(endpoint.gone.wait(), 10)


async def test_an_endpoint_that_is_away_does_not_keep_the_service_from_starting() -> None:
    async with serving() as endpoint:
        away = settings(endpoint)
    async with open_models(away) as models:
        assert "does not answer" in ((await models.describe("v1")).reason or "")
        with pytest.raises(ModelUnavailable, match="does not answer"):
            await pieces_of(await chosen(models))
