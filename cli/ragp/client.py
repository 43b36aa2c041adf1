"""The public HTTP API, as the command line uses it."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from httpx_sse import ServerSentEvent

from ragp.errors import CommandError, GatewayError
from ragp.responses import Json, decoded_body, error_of, events_of, retry_after
from ragp.target import Gateway

_TIMEOUT = httpx.Timeout(30.0, read=120.0)
_BUSY = frozenset({429, 503})
_ATTEMPTS = 8
_LONGEST_WAIT = 10.0
_RECONNECT_SECONDS = 0.5
PATIENCE = 60.0
"""Seconds; longer than a gateway takes to restart."""


@dataclass(frozen=True)
class UploadFields:
    """What goes with every uploaded file; ``None`` leaves the gateway's default."""

    collection: str
    metadata: Mapping[str, Any] | None = None
    acl: Sequence[str] | None = None


class GatewayClient:
    """A client of one gateway.

    Everything raises :class:`GatewayError` when the gateway refuses, and :class:`CommandError` when
    it cannot be reached. "Busy" (429, 503) is waited out a few times first, and for ``patience`` seconds in
    which no request was taken; a gateway that does not answer, for ``patience`` seconds: it may be
    restarting.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        patience: float = 0.0,
        connections: int = 8,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = gateway.url
        self._patience = patience
        self._last_taken = 0.0
        try:
            self._http = httpx.AsyncClient(
                base_url=gateway.url,
                headers={"Authorization": f"Bearer {gateway.api_key}"},
                timeout=_TIMEOUT,
                limits=httpx.Limits(max_connections=connections),
                transport=transport,
            )
        except httpx.InvalidURL as error:
            raise CommandError(f"{gateway.url} is not a URL: {error}", cure="check --url") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ensure_collection(self, name: str) -> bool:
        """Create the collection if it is missing; ``True`` when it was."""
        try:
            await self._request("POST", "/v1/collections", json={"name": name})
        except GatewayError as error:
            if error.status == httpx.codes.CONFLICT:
                return False
            raise
        return True

    async def upload(self, path: Path, source_uri: str, fields: UploadFields) -> Json:
        """Send one file; returns the gateway's word on it: ``id``, ``generation``, ``state``."""
        form = {"collection": fields.collection, "source_uri": source_uri}
        if fields.metadata:
            form["metadata"] = json.dumps(fields.metadata, ensure_ascii=False)
        if fields.acl:
            form["acl"] = json.dumps(list(fields.acl), ensure_ascii=False)
        # With the key a repeated request is answered like the first one.
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        answer = await self._request("POST", "/v1/documents", data=form, file=path, headers=headers)
        documents: list[Json] = answer["documents"]
        return documents[0]

    async def upload_text(self, body: Json) -> Json:
        """As :meth:`upload`, of a text; ``body`` has the fields of the API: ``collection``, ``text``..."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        answer = await self._request("POST", "/v1/documents", json=body, headers=headers)
        documents: list[Json] = answer["documents"]
        return documents[0]

    async def document(self, document_id: str) -> Json:
        return await self._request("GET", _document_path(document_id))

    async def documents(self, **filters: str | None) -> AsyncIterator[Json]:
        """Every document that passes the filters (``collection``, ``state``, ``source_uri``)."""
        params = {name: value for name, value in filters.items() if value is not None}
        while True:
            page = await self._request("GET", "/v1/documents", params=params)
            for item in page["items"]:
                yield item
            if not page.get("next_cursor"):
                return
            params["cursor"] = page["next_cursor"]

    async def chunks(self, document_id: str) -> AsyncIterator[Json]:
        """The chunks of a document's live generation, in order."""
        params: dict[str, str] = {}
        while True:
            page = await self._request("GET", _document_path(document_id) + "/chunks", params=params)
            for item in page["items"]:
                yield item
            if not page.get("next_cursor"):
                return
            params["cursor"] = str(page["next_cursor"])

    async def delete(self, document_id: str) -> None:
        await self._request("DELETE", _document_path(document_id))

    async def post_search(self, body: Json) -> Json:
        """A search whose body the caller has made."""
        return await self._request("POST", "/v1/search", json=body)

    async def post_question(self, body: Json) -> Json:
        """The whole answer to a question whose body the caller has made."""
        return await self._request("POST", "/v1/ask", json={**body, "stream": False})

    async def stream_answer(self, body: Json) -> AsyncIterator[ServerSentEvent]:
        """The events of an answer as they come; the last is ``done``.

        :raises GatewayError: also for an answer that ends in the event ``error``.
        :raises CommandError: the connection broke off in the middle.
        """
        for left in reversed(range(_ATTEMPTS)):
            async with self._answer(body) as response:
                if response.status_code not in _BUSY or left == 0:
                    async for event in events_of(response):
                        yield event
                    return
            await asyncio.sleep(min(retry_after(response), _LONGEST_WAIT))

    @asynccontextmanager
    async def _answer(self, body: Json) -> AsyncIterator[httpx.Response]:
        """The response with its events still to come, or with the whole problem."""
        try:
            async with self._http.stream("POST", "/v1/ask", json={**body, "stream": True}) as response:
                if not response.is_success:
                    await response.aread()
                yield response
        except httpx.TransportError as error:
            raise self._no_answer(error) from error

    async def new_conversation(self, title: str | None = None) -> Json:
        return await self._request("POST", "/v1/conversations", json={"title": title} if title else {})

    def _no_answer(self, error: httpx.TransportError) -> CommandError:
        return CommandError(
            f"the gateway at {self._url} does not answer: {error or type(error).__name__}",
            cure="`ragp status` shows the local stack; `ragp up --detach` starts it",
        )

    async def _request(self, method: str, path: str, *, file: Path | None = None, **content: Any) -> Json:
        started = time.monotonic()
        attempt = 0
        while True:
            response = await self._send_patiently(method, path, file, content)
            attempt += 1
            # Under back-pressure the requests take turns: as long as any is taken, ours will be.
            patient = time.monotonic() < max(started, self._last_taken) + self._patience
            if response.status_code not in _BUSY or (attempt >= _ATTEMPTS and not patient):
                break
            await asyncio.sleep(min(retry_after(response), _LONGEST_WAIT))
        if not response.is_success:
            raise error_of(response)
        self._last_taken = time.monotonic()
        return decoded_body(response)

    async def _send_patiently(
        self, method: str, path: str, file: Path | None, content: Json
    ) -> httpx.Response:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return await self._send(method, path, file, content)
            except httpx.TransportError as error:
                if time.monotonic() >= deadline:
                    raise self._no_answer(error) from error
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _send(self, method: str, path: str, file: Path | None, content: Json) -> httpx.Response:
        if file is None:
            return await self._http.request(method, path, **content)
        # Opened anew for every attempt: a refused one has read it to some point.
        with open(file, "rb") as body:  # noqa: ASYNC230 - httpx reads it in small pieces
            return await self._http.request(method, path, files=[("files", (file.name, body))], **content)


def _document_path(document_id: str) -> str:
    """One segment, whatever it holds: ``..`` must not lead to another resource."""
    if document_id in (".", ".."):
        raise CommandError(f"{document_id!r} is not the id of a document")
    return "/v1/documents/" + quote(document_id, safe="")
