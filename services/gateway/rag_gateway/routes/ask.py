"""``/v1/ask``: an answer as one document, or as server-sent events."""

from collections.abc import AsyncGenerator

import structlog
from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from rag_common.contracts import AnswerDelta, AnswerOpened
from rag_common.errors import RagError
from rag_gateway.answering import Answering
from rag_gateway.dependencies import CallerDep, GatewayDep
from rag_gateway.languages import headers, language_of
from rag_gateway.problems import describe_error, responses
from rag_gateway.requests import JsonRoute
from rag_gateway.shapes.ask import AskAnswer, AskRequest, answer_body, ending, opening
from rag_gateway.streaming import EventStream, accepts_events, event, unless_left

router = APIRouter(prefix="/v1", tags=["answers"], route_class=JsonRoute)

_log = structlog.get_logger(__name__)
_EXAMPLE = """event: passages
data: {"answer_id":"0d6d2c1e-3f64-4f0a-9a39-7c0b5f6f2a10","passages":[{"n":1,...}],"model":"qwen2.5:3b",...}

event: delta
data: {"text":"Everyone has 28 days"}

event: delta
data: {"text":" of leave a year [1]."}

event: citation
data: {"n":1,"title":"Leave","page":2,"quote":"Everyone has 28 days of leave a year.",...}

event: done
data: {"answer_id":"0d6d2c1e-3f64-4f0a-9a39-7c0b5f6f2a10","answered":true,"finish":"stop",...}

"""


@router.post(
    "/ask",
    summary="Ask a question",
    response_model=None,
    responses={
        200: {"model": AskAnswer, "content": {"text/event-stream": {"example": _EXAMPLE}}},
        **responses(401, 404, 422, 503, 504),
    },
)
async def ask(body: AskRequest, request: Request, caller: CallerDep, gateway: GatewayDep) -> Response:
    """An answer made only of passages of documents whose ACL admits the caller, with citations.

    With `stream` the events are `passages`, then `delta` and `citation`, then `done`. After `restart` all
    text and citations before it are void, and `passages` comes again. `error` is a problem that ends the
    stream; one before the first event is an ordinary problem. A client that hangs up ends the work on its
    answer.
    """
    await gateway.require_collections(caller.tenant, body.collections)
    conversation = str(body.conversation_id) if body.conversation_id else None
    recording = await gateway.recorder.begin(caller, body.question, conversation)
    question = body.to_ask(caller, recording.history, gateway.settings.ask_timeout)
    answering = Answering(gateway, question, recording)
    language = language_of(request)
    if body.stream or accepts_events(request):
        return EventStream(
            _stream(request, answering, language),
            heartbeat=gateway.settings.event_heartbeat,
            patience=gateway.settings.body_timeout,
            headers=headers(language),
        )
    await unless_left(request.receive, answering.complete())
    answer = answer_body(
        body.question, recording.answer_id, recording.conversation_id, answering.collected, language
    )
    return Response(to_json(answer), media_type="application/json", headers=headers(language))


async def _stream(request: Request, answering: Answering, language: str) -> AsyncGenerator[bytes, None]:
    recording, collected = answering.recording, answering.collected
    events = answering.events()
    begun = False
    try:
        async for item in events:
            if isinstance(item, AnswerDelta):
                # one without text only asks for this gateway; the client hears a heartbeat instead
                if piece := _delta(item):
                    yield piece
            elif isinstance(item, AnswerOpened):
                passages = event(
                    "passages", opening(recording.answer_id, recording.conversation_id, item, language)
                )
                yield event("restart", {"attempt": item.attempt}) + passages if begun else passages
                begun = True
            elif collected.opened is not None:
                yield event("done", ending(recording.answer_id, collected.opened, item, language))
    except Exception as error:
        if not begun:
            raise
        if not isinstance(error, RagError):
            _log.exception("answer_failed", answer_id=recording.answer_id)
        _, problem = describe_error(request, error)
        yield event("error", problem)
    finally:
        await events.aclose()


def _delta(delta: AnswerDelta) -> bytes:
    text = event("delta", {"text": delta.text}) if delta.text else b""
    return text + b"".join(event("citation", citation) for citation in delta.citations)
