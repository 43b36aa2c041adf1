"""What ``ragp ask`` and ``ragp chat`` send and print. An application here answers as the gateway does."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from typer.testing import CliRunner, Result

from ragp.client import GatewayClient
from ragp.errors import CommandError, GatewayError
from ragp.main import app
from ragp.target import Gateway
from ragp.telling import tell

OPENED: dict[str, Any] = {"model": "qwen2.5:3b", "cached": False, "passages": []}
DONE: dict[str, Any] = {
    "answered": True,
    "finish": "stop",
    "grounding": None,
    "degraded": False,
    "reason": None,
}
CITATION: dict[str, Any] = {
    "n": 2,
    "title": "Leave [2026]",
    "source_uri": "file:leave.pdf",
    "page": 3,
    "slide": None,
    "sheet": None,
    "rows": None,
    "quote": "Everyone has\n28 days.",
}
Events = list[tuple[str, dict[str, Any]]]
ANSWER: Events = [
    ("passages", OPENED),
    ("delta", {"text": "28 days "}),
    ("delta", {"text": "[2]."}),
    ("citation", CITATION),
    ("citation", {**CITATION, "n": 1, "title": "Work", "page": None, "quote": "Nobody works at night."}),
    ("citation", {**CITATION, "quote": "In winter 30."}),
    ("done", DONE),
]


def stream(events: Events) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b": still here\n\n"
        for name, data in events:
            yield f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()

    return StreamingResponse(body(), media_type="text/event-stream")


class FakeGateway:
    """Answers the requests one after the other with what it was given; remembers their bodies."""

    def __init__(self, *answers: Response) -> None:
        self._answers = list(answers)
        self.requests: list[tuple[str, Any]] = []
        route = Route("/{path:path}", self._answer, methods=["GET", "POST"])
        self.application = Starlette(routes=[route])
        self.transport = httpx.ASGITransport(self.application)

    async def _answer(self, request: Request) -> Response:
        self.requests.append((request.url.path, json.loads(await request.body())))
        return self._answers.pop(0)

    async def events(self) -> list[str]:
        async with GatewayClient(Gateway("http://gateway", "key"), transport=self.transport) as client:
            return [event.event async for event in client.stream_answer({"question": "leave?"})]

    def told(self, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
        async def run() -> None:
            async with GatewayClient(Gateway("http://gateway", "key"), transport=self.transport) as client:
                await tell(client.stream_answer({"question": "leave?"}))

        asyncio.run(run())
        printed = capsys.readouterr()
        return printed.out, printed.err


@contextmanager
def url_of(gateway: FakeGateway) -> Iterator[str]:
    """The commands make their own clients: they need a real address."""
    server = uvicorn.Server(uvicorn.Config(gateway.application, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def invoke(gateway: FakeGateway, *arguments: str, typed: str | None = None) -> Result:
    with url_of(gateway) as url:
        return CliRunner().invoke(app, [*arguments, "--url", url, "--api-key", "k"], input=typed)


def test_text_then_sources(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = FakeGateway(stream(ANSWER)).told(capsys)
    assert out.splitlines() == [
        "28 days [2].",
        "",
        "Sources",
        "[1] Work  file:leave.pdf",
        "    Nobody works at night.",
        "[2] Leave [2026], page 3  file:leave.pdf",
        "    Everyone has 28 days.",
        "    In winter 30.",
    ]
    assert "written by qwen2.5:3b" in err


def test_that_nothing_was_found_is_nobody_s_words(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = {**DONE, "answered": False}
    _, err = FakeGateway(stream([("passages", OPENED), ("delta", {"text": "no"}), ("done", nothing)])).told(
        capsys
    )
    assert err == ""


def test_what_is_taken_back_is_no_source(capsys: pytest.CaptureFixture[str]) -> None:
    quoted = {**OPENED, "model": None}
    degraded = {**DONE, "degraded": True, "reason": "the model broke off"}
    events: Events = [*ANSWER[:4], ("restart", {"attempt": 2}), ("passages", quoted), ("done", degraded)]
    out, err = FakeGateway(stream(events)).told(capsys)
    assert "Sources" not in out
    assert "once more from the beginning" in err
    assert "degraded: the model broke off" in err
    assert "without a language model" in err


def test_grounding_and_a_cut_answer(capsys: pytest.CaptureFixture[str]) -> None:
    grounding = [{"text": "28 days.", "score": 0.914}, {"text": "Да.", "score": None}]
    events: Events = [
        ("passages", {**OPENED, "cached": True}),
        ("done", {**DONE, "grounding": grounding, "finish": "length"}),
    ]
    out, err = FakeGateway(stream(events)).told(capsys)
    assert "0.91  28 days." in out
    assert "–  Да." in out
    assert "greatest length" in err
    assert "given before" in err


async def test_a_busy_gateway_is_asked_again() -> None:
    busy = JSONResponse({}, 503, headers={"Retry-After": "0"})
    gateway = FakeGateway(busy, busy, stream(ANSWER))
    assert (await gateway.events())[-1] == "done"
    assert gateway.requests[-1] == ("/v1/ask", {"question": "leave?", "stream": True})


async def test_a_problem_before_and_in_the_middle_of_an_answer() -> None:
    problem = {"detail": "there is no collection 'x'", "status": 404, "code": "unknown_collection"}
    for answer in (JSONResponse(problem, 404), stream([("passages", OPENED), ("error", problem)])):
        with pytest.raises(GatewayError, match="no collection") as caught:
            await FakeGateway(answer).events()
        assert (caught.value.status, caught.value.code) == (404, "unknown_collection")


async def test_an_answer_without_an_end_is_an_error() -> None:
    with pytest.raises(CommandError, match="broke off"):
        await FakeGateway(stream(ANSWER[:3])).events()
    with pytest.raises(CommandError, match="not the API"):
        await FakeGateway(JSONResponse({})).events()


def test_ask_as_json() -> None:
    gateway = FakeGateway(JSONResponse({"answer": "28 days [2]."}))
    result = invoke(gateway, "ask", "leave?", "-c", "handbook", "--fresh", "--json")
    assert json.loads(result.output) == {"answer": "28 days [2]."}
    ((path, body),) = gateway.requests
    assert path == "/v1/ask"
    assert body == {
        "question": "leave?",
        "collections": ["handbook"],
        "limit": 10,
        "grounding": False,
        "cache": False,
        "stream": False,
    }


def test_a_chat_is_one_conversation_and_outlives_a_failed_question() -> None:
    failed = JSONResponse({"detail": "took too long", "status": 504, "code": "deadline_exceeded"}, 504)
    gateway = FakeGateway(JSONResponse({"id": "c1"}, 201), failed, stream(ANSWER))
    result = invoke(gateway, "chat", typed="leave?\n\nand in winter?\n/quit\nnever asked\n")
    assert result.exit_code == 0, result.output
    assert "took too long" in result.output
    assert "28 days [2]." in result.output
    assert "ragp chat --conversation c1" in result.output
    asked = [
        (body["question"], body["conversation_id"]) for path, body in gateway.requests if path == "/v1/ask"
    ]
    assert asked == [("leave?", "c1"), ("and in winter?", "c1")]


def test_a_document_does_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {"text": "28\x1b]0;owned\x07 :smile:\x9b31m days or [red]more[/]"}
    title = {**CITATION, "title": "\x1b[31mLeave"}
    events: Events = [("passages", OPENED), ("delta", hostile), ("citation", title), ("done", DONE)]
    out, _ = FakeGateway(stream(events)).told(capsys)
    assert "28]0;owned :smile:31m days or [red]more[/]" in out
    assert "\x1b" not in out


def test_a_chat_in_which_nothing_is_asked_leaves_nothing_behind() -> None:
    gateway = FakeGateway()
    result = invoke(gateway, "chat", typed="/quit\n")
    assert result.exit_code == 0
    assert gateway.requests == []
