"""Passages as the API returns them, and a gateway that returns them."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ragp.client import GatewayClient
from ragp.target import Gateway


def passage(source_uri: str, start: int = 0, end: int = 10, **fields: Any) -> dict[str, Any]:
    """Of a document whose id and title are made of its ``source_uri``."""
    return {
        "document_id": f"id of {source_uri}",
        "source_uri": source_uri,
        "title": f"title of {source_uri}",
        "start": start,
        "end": end,
        "text": "x" * (end - start),
        "score": 0.5,
        "also_in": [],
        **fields,
    }


def answer(*passages: Mapping[str, Any], degraded: bool = False) -> Response:
    reason = "the embedder does not answer" if degraded else None
    return JSONResponse({"passages": passages, "degraded": degraded, "reason": reason})


class SearchGateway:
    """Answers searches by a function of the request's body; lists the given documents."""

    def __init__(
        self,
        answer_to: Callable[[dict[str, Any]], Response],
        *,
        documents: tuple[str, ...] = (),
        seconds: float = 0.0,
    ) -> None:
        self._answer_to = answer_to
        self._documents = documents
        self._seconds = seconds
        self.bodies: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        self._app = Starlette(
            routes=[
                Route("/v1/search", self._search, methods=["POST"]),
                Route("/v1/documents", self._list, methods=["GET"]),
            ]
        )

    def client(self) -> GatewayClient:
        return GatewayClient(Gateway("http://gateway", "key"), transport=httpx.ASGITransport(self._app))

    async def _search(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.bodies.append(body)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self._seconds)
        self.at_once -= 1
        return self._answer_to(body)

    async def _list(self, _: Request) -> Response:
        items = [
            {"id": f"id of {uri}", "source_uri": uri, "title": f"title of {uri}", "live_generation": 1}
            for uri in self._documents
        ]
        return JSONResponse({"items": items, "next_cursor": None})
