"""What becomes of a drop, from hints and from the API's word."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ragp.client import GatewayClient
from ragp.errors import CommandError
from ragp.files import SourceFile
from ragp.outcomes import Outcome
from ragp.target import Gateway
from ragp.watching import Hint, await_drops

FILE = SourceFile(Path("/docs/note.txt"))
SEQUENCE = 7


async def nothing() -> int:
    return 0


async def everything() -> int:
    return SEQUENCE


def document(generation: int, state: str) -> dict[str, Any]:
    return {"id": "d", "generation": generation, "state": state, "error": None}


class Drop:
    """One drop of ``FILE``; the API tells ``views`` one after the other, the last one for ever."""

    def __init__(self, *views: dict[str, Any] | None) -> None:
        self._views = list(views)
        self.hints: asyncio.Queue[Hint] = asyncio.Queue()
        route = Route("/v1/documents", self._documents)
        self._transport = httpx.ASGITransport(Starlette(routes=[route]))

    async def _documents(self, _: Request) -> JSONResponse:
        view = self._views.pop(0) if len(self._views) > 1 else self._views[0]
        return JSONResponse({"items": [view] if view else [], "next_cursor": None})

    async def outcome(self, handled: Callable[[], Awaitable[int]]) -> Outcome:
        async with GatewayClient(Gateway("http://gateway", "key"), transport=self._transport) as api:
            (outcome,) = await await_drops(
                api, self.hints, "notes", {SEQUENCE: FILE}, bool, handled=handled, silence=0.01
            )
        return outcome


async def test_a_dead_letter_of_a_live_document_is_a_failure() -> None:
    drop = Drop(document(1, "live"))
    drop.hints.put_nowait(Hint(SEQUENCE, "failed", "the object is missing"))
    outcome = await drop.outcome(nothing)
    assert (outcome.state, outcome.reason) == ("failed", "the object is missing")


async def test_a_dead_letter_of_an_older_generation_is_superseded() -> None:
    drop = Drop(document(3, "live"))
    drop.hints.put_nowait(Hint(SEQUENCE, "failed", "no text", 2))
    assert (await drop.outcome(nothing)).state == "superseded"


async def test_a_hint_about_an_older_generation_is_ignored() -> None:
    drop = Drop(document(2, "live"))
    drop.hints.put_nowait(Hint(FILE.source_uri, "failed", "no text", 1))
    drop.hints.put_nowait(Hint(FILE.source_uri, "live", "", 2))
    assert (await drop.outcome(nothing)).state == "live"
    assert drop.hints.empty()


async def test_a_lost_hint_is_made_up_for_by_asking() -> None:
    assert (await Drop(document(1, "embedding"), document(1, "live")).outcome(everything)).state == "live"
    assert (await Drop(None).outcome(everything)).state == "failed"


async def test_what_is_still_queued_is_waited_for() -> None:
    drop = Drop(document(1, "live"))
    silences = 0

    async def handled_up_to() -> int:
        nonlocal silences
        silences += 1
        if silences == 3:
            drop.hints.put_nowait(Hint(FILE.source_uri, "unchanged", "", 1))
        return SEQUENCE - 1

    assert (await drop.outcome(handled_up_to)).state == "unchanged"


async def test_a_lost_connection_ends_the_wait() -> None:
    async def lost() -> int:
        raise CommandError("the connection to NATS is lost")

    async with GatewayClient(Gateway("http://gateway", "key")) as api:
        with pytest.raises(CommandError, match="lost"):
            await await_drops(api, asyncio.Queue(), "notes", {1: FILE}, bool, handled=lost, silence=0.01)
