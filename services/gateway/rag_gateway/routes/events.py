"""``/v1/documents/{id}/events``: what happens to a document, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from rag_common.errors import Overloaded, TransientError
from rag_common.registry import Document, Transition, UnknownDocument
from rag_gateway.dependencies import CallerDep, DocumentId, Gateway, GatewayDep
from rag_gateway.identity import Caller
from rag_gateway.languages import headers, language_of
from rag_gateway.problems import invalid_field, responses
from rag_gateway.shapes.documents import TransitionView
from rag_gateway.streaming import EventStream, comment, event

router = APIRouter(prefix="/v1/documents", tags=["documents"])

FINAL = frozenset({"live", "failed", "rejected", "superseded", "deleted"})
_PAGE = 200
_EXAMPLE = """id: 17
event: transition
data: {"id":17,"generation":1,"from_state":"embedding","to_state":"live",...}

event: end
data: {"state":"live"}

"""


@router.get(
    "/{document_id}/events",
    summary="Follow a document",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"example": _EXAMPLE}}, "description": "Server-sent events"},
        204: {"description": "The document is finished and the client has seen everything"},
        **responses(401, 404, 422, 503),
    },
)
async def events(
    request: Request,
    document_id: DocumentId,
    caller: CallerDep,
    gateway: GatewayDep,
    last_event_id: Annotated[
        str | None, Header(description="Id of the last event seen; what came after it is sent.")
    ] = None,
) -> Response:
    """Every transition from the first, or from `Last-Event-ID`, on; ends after a final state
    (`live`, `failed`, `rejected`, `superseded`, `deleted`) with the event `end`."""
    seen = _number(last_event_id)
    language = language_of(request)
    document = await gateway.registry.documents.get(caller.tenant, str(document_id), caller.manages)
    if seen and document.state in FINAL:
        missed = await gateway.registry.documents.transitions(caller.tenant, document.id, after=seen, limit=1)
        if not missed:
            # tells a browser's EventSource not to come back
            return Response(status_code=204)
    return _LimitedStream(
        gateway.event_streams,
        _stream(gateway, caller, document.id, seen, language),
        heartbeat=gateway.settings.event_heartbeat,
        patience=gateway.settings.body_timeout,
        headers=headers(language),
    )


class _LimitedStream(EventStream):
    """Takes one of the places for as long as it is sent; the answer is 503 when there is none."""

    def __init__(
        self, places: asyncio.Semaphore, events: AsyncGenerator[bytes, None], **options: Any
    ) -> None:
        super().__init__(events, **options)
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """:raises Overloaded: before anything is sent."""
        if self._places.locked():
            raise Overloaded("too many event streams at once; try again in a moment")
        async with self._places:
            await super().__call__(scope, receive, send)


async def _stream(
    gateway: Gateway, caller: Caller, document_id: str, seen: int, language: str
) -> AsyncGenerator[bytes, None]:
    with gateway.metrics.event_streams.track_inprogress():
        async with gateway.feed.listen(document_id) as happened:
            # there may be no news for a long time: the stream is open nevertheless
            yield comment("following")
            while not gateway.stopping.is_set():
                happened.clear()
                try:
                    document, page = await _news(gateway, caller, document_id, seen)
                except TransientError:
                    document, page = None, []
                except UnknownDocument:
                    # the caller may not see it any more
                    return
                if page:
                    seen = page[-1].id
                    yield b"".join(_event(transition, language) for transition in page)
                elif document is not None and document.state in FINAL:
                    yield _end(document)
                    return
                else:
                    await _either(happened, gateway.stopping, gateway.settings.event_poll_interval)


async def _news(
    gateway: Gateway, caller: Caller, document_id: str, seen: int
) -> tuple[Document, list[Transition]]:
    """The state first: what made it final is then among the transitions, or was seen before."""
    documents = gateway.registry.documents
    document = await documents.get(caller.tenant, document_id, caller.manages)
    return document, await documents.transitions(caller.tenant, document_id, after=seen, limit=_PAGE)


async def _either(happened: asyncio.Event, stopping: asyncio.Event, seconds: float) -> None:
    """Until one of the two is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in (happened, stopping)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _event(transition: Transition, language: str) -> bytes:
    return event("transition", TransitionView.of(transition, language), number=transition.id)


def _end(document: Document) -> bytes:
    return event("end", {"state": document.state})


def _number(last_event_id: str | None) -> int:
    if last_event_id is None:
        return 0
    with suppress(ValueError):
        number = int(last_event_id)
        if 0 <= number < 2**63:
            return number
    raise invalid_field("header.last-event-id", "not an id of an event of this API")
