"""Bodies: bounded in size and time while they arrive, and JSON parsed strictly."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.responses import Response

from rag_gateway.problems import Problem


class JsonRequest(Request):
    """A request whose body is at most ``max_json_bytes`` of JSON.

    Python's own parser would let lone surrogates, NaN and numbers without end through, which
    PostgreSQL then refuses.
    """

    async def body(self) -> bytes:
        """:raises Problem: 413 for a body that is too large, 415 for another media type."""
        if not hasattr(self, "_body"):
            _require_json(self)
            self._body = await read_body(self, self.app.state.max_json_bytes)
        return self._body

    async def json(self) -> Any:
        """:raises Problem: 400 for what is not JSON."""
        return parse_json(await self.body())


class JsonRoute(APIRoute):
    """A route whose handler gets a :class:`JsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json


async def read_body(request: Request, most: int) -> bytes:
    """:raises Problem: 413, before reading when the Content-Length tells, else as soon as it shows."""
    refuse_long(request, most)
    body = bytearray()
    async for chunk in body_chunks(request):
        body += chunk
        if len(body) > most:
            raise too_large(most)
    return bytes(body)


def refuse_long(request: Request, most: int, allowance: int = 0) -> None:
    """:raises Problem: 413 when the Content-Length is above ``most`` and the allowance on top of it."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most + allowance:
        raise too_large(most)


def too_large(most: int) -> Problem:
    """413 that names the limit in bytes."""
    return Problem(413, "too_large", f"the request is larger than the limit of {most} bytes")


def parse_json(text: bytes | str) -> Any:
    """:raises Problem: 400, with the place of the error."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(400, "malformed_body", f"not JSON: {error}") from error


async def body_chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives, without the empty piece at its end.

    :raises Problem: 408 when nothing has come for ``body_timeout`` seconds.
    """
    seconds: float = request.app.state.body_timeout
    stream = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(seconds):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Problem(408, "request_timeout", f"nothing has come for {seconds:g} s") from error
        if chunk:
            yield chunk


def media_type_of(request: Request) -> str:
    """The Content-Type without its parameters, in lower case; empty where there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(media_type: str) -> bool:
    """Whether a body of this type is JSON."""
    return media_type == "application/json" or media_type.endswith("+json")


def _require_json(request: Request) -> None:
    media_type = media_type_of(request)
    if not is_json(media_type):
        named = f", not {media_type}" if media_type else ""
        raise Problem(415, "unsupported_media_type", f"send the body as application/json{named}")
