"""A fake Ollama over real HTTP: it speaks the documented API and knows no language.

It is what it is told to be: busy, slow, without the model, cut off in the middle. ``GET /api/version`` says
that it is a fake. The API is that of Ollama's ``docs/api.md``; the words of its errors are Ollama's.
"""

import asyncio
import json
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rag_common.testing.ollama_bodies import (
    DIGEST,
    LAYER_BYTES,
    described,
    last,
    line,
    not_found,
    now,
    part,
)

VERSION = "0.0.0-fake"
MODEL = "qwen2.5:3b"
KEPT_REQUESTS = 1000
START_SECONDS = 10.0


class Cut(Exception):
    """Ends a response in the middle: the connection is closed."""


@dataclass(frozen=True)
class Generation:
    """How one chat is answered. Delays are in seconds."""

    tokens: tuple[str, ...] = ("A ", "fake ", "answer ", "[1].")
    first_delay: float = 0.0
    delay: float = 0.0
    """Before each further token."""
    status: int = 200
    """Any other: the chat is refused with it, and with ``error``."""
    error: str = "something went wrong"
    ending: Literal["done", "cut", "malformed", "error", "silence"] = "done"
    """What follows the tokens: the last object, a closed connection, a line that is no JSON, an object with
    ``error``, or nothing for as long as the client waits."""


BUSY = Generation(status=503, error="server busy, please try again.  maximum pending requests exceeded")


class OllamaServer:
    """``with OllamaServer() as ollama: AsyncClient(ollama.url)``; it runs in a thread.

    Its port is chosen by the first start and kept. ``models`` is what it has, a pull adds to them from
    ``library``; a model that is not in ``loaded`` takes ``load_seconds`` more before its first token.
    A chat goes like ``usual`` where :meth:`then` has said nothing.
    """

    def __init__(self, *models: str, load_seconds: float = 0.0) -> None:
        self.models = list(models or (MODEL,))
        self.library = {MODEL, "qwen2.5:7b"}
        self.loaded: set[str] = set()
        self.load_seconds = load_seconds
        self.usual = Generation()
        self.pull_is_cut = False
        """Whether the connection of a pull is closed in the middle."""
        self.running = 0
        """Chats that are being answered."""
        self.closed = 0
        """Chats whose client left before the end."""
        self.asked: deque[tuple[str, Mapping[str, Any]]] = deque(maxlen=KEPT_REQUESTS)
        """Path and body of the last requests."""
        self._next: deque[Generation] = deque()
        self._port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def then(self, *generations: Generation) -> None:
        """The next chats go like these, one each."""
        self._next.extend(generations)

    def start(self) -> None:
        """Start it (again), with the same port; no model is loaded."""
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = int(listener.getsockname()[1])
        self.loaded.clear()
        config = uvicorn.Config(self._app(), log_config=None, lifespan="off", access_log=False)
        self._server = server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="fake Ollama", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the fake Ollama does not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop it at once; does nothing when it is not running."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(START_SECONDS)
        self._server = self._thread = None

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/version", self._version),
                Route("/api/tags", self._tags),
                Route("/api/ps", self._ps),
                Route("/api/show", self._show, methods=["POST"]),
                Route("/api/chat", self._chat, methods=["POST"]),
                Route("/api/generate", self._generate, methods=["POST"]),
                Route("/api/pull", self._pull, methods=["POST"]),
            ]
        )

    async def _version(self, _: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def _tags(self, _: Request) -> Response:
        return JSONResponse({"models": [{**described(name), "modified_at": now()} for name in self.models]})

    async def _ps(self, _: Request) -> Response:
        expires = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        return JSONResponse(
            {
                "models": [
                    {**described(name), "expires_at": expires, "size_vram": 0, "context_length": 4096}
                    for name in sorted(self.loaded)
                ]
            }
        )

    async def _show(self, request: Request) -> Response:
        body = await self._body(request)
        name = self._known(body)
        if name is None:
            return not_found(body)
        return JSONResponse(
            {
                "modelfile": "",
                "parameters": "",
                "template": "",
                "details": described(name)["details"],
                "model_info": {"general.architecture": "fake", "fake.context_length": 32768},
                "capabilities": ["completion"],
            }
        )

    async def _generate(self, request: Request) -> Response:
        """Only loading: nothing of ours completes a text that is no chat."""
        body = await self._body(request)
        name = self._known(body)
        if name is None:
            return not_found(body)
        if body.get("prompt"):
            return JSONResponse({"error": "this fake only loads models here"}, status_code=400)
        await self._load(name)
        return JSONResponse(
            {"model": name, "created_at": now(), "response": "", "done": True, "done_reason": "load"}
        )

    async def _chat(self, request: Request) -> Response:
        body = await self._body(request)
        name = self._known(body)
        if name is None:
            return not_found(body)
        if not body.get("messages"):
            await self._load(name)
            return JSONResponse(part(name, "", done=True, done_reason="load"))
        generation = self._next.popleft() if self._next else self.usual
        if generation.status != 200:
            return JSONResponse({"error": generation.error}, status_code=generation.status)
        parts = self._answered(name, body, generation)
        if body.get("stream", True):
            return StreamingResponse(parts, media_type="application/x-ndjson")
        sent = [json.loads(each) async for each in parts]
        text = "".join(each["message"]["content"] for each in sent)
        return JSONResponse({**sent[-1], "message": {"role": "assistant", "content": text}})

    async def _answered(
        self, name: str, body: Mapping[str, Any], generation: Generation
    ) -> AsyncIterator[bytes]:
        with self._counted():
            await self._load(name)
            limit = body.get("options", {}).get("num_predict", -1)
            tokens = generation.tokens[: limit if limit >= 0 else None]
            for number, token in enumerate(tokens):
                await asyncio.sleep(generation.delay if number else generation.first_delay)
                yield line(part(name, token))
            if generation.ending == "silence":
                await asyncio.Event().wait()
            if generation.ending == "cut":
                raise Cut
            if generation.ending == "malformed":
                yield b'{"model": \n'
            elif generation.ending == "error":
                yield line({"error": generation.error})
            else:
                yield line(last(name, body, len(tokens), cut=len(tokens) < len(generation.tokens)))

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.running += 1
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self.closed += 1
            raise
        finally:
            self.running -= 1

    async def _load(self, name: str) -> None:
        if name not in self.loaded:
            await asyncio.sleep(self.load_seconds)
            self.loaded.add(name)

    async def _pull(self, request: Request) -> Response:
        body = await self._body(request)
        name = str(body.get("model") or body.get("name") or "")
        if body.get("stream", True):
            return StreamingResponse(self._pulled(name), media_type="application/x-ndjson")
        parts = [json.loads(each) async for each in self._pulled(name)]
        return JSONResponse(parts[-1], status_code=500 if "error" in parts[-1] else 200)

    async def _pulled(self, name: str) -> AsyncIterator[bytes]:
        yield line({"status": "pulling manifest"})
        if name not in self.library:
            yield line({"error": "pull model manifest: file does not exist"})
            return
        layer = {"status": f"pulling {DIGEST[:12]}", "digest": f"sha256:{DIGEST}", "total": LAYER_BYTES}
        yield line(layer)
        for completed in (LAYER_BYTES // 2, LAYER_BYTES):
            yield line({**layer, "completed": completed})
            if self.pull_is_cut:
                raise Cut
        for status in ("verifying sha256 digest", "writing manifest"):
            yield line({"status": status})
        if name not in self.models:
            self.models.append(name)
        yield line({"status": "success"})

    async def _body(self, request: Request) -> Mapping[str, Any]:
        body: dict[str, Any] = await request.json()
        self.asked.append((request.url.path, body))
        return body

    def _known(self, body: Mapping[str, Any]) -> str | None:
        name = str(body.get("model") or "")
        return next((known for known in (name, f"{name}:latest") if known in self.models), None)
