"""OpenAI's protocol: ``/v1/chat/completions``, ``/v1/models`` and ``/v1/embeddings``; see docs/openai.md."""

import re
from collections.abc import AsyncGenerator

import structlog
from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from rag_common.contracts import AnswerDelta, AnswerOpened, AnswerOptions
from rag_common.contracts.base import COLLECTION_PATTERN
from rag_common.errors import PermanentError, RagError
from rag_gateway.answering import Answering
from rag_gateway.dependencies import CallerDep, GatewayDep
from rag_gateway.domain.answers import Ask
from rag_gateway.domain.recording import as_history
from rag_gateway.domain.resending import SentText
from rag_gateway.languages import headers, language_of
from rag_gateway.openai_errors import RESPONSES, body_of
from rag_gateway.problems import describe_error, invalid_field
from rag_gateway.requests import JsonRoute
from rag_gateway.shapes.base import MAX_PAGE
from rag_gateway.shapes.openai import ChatRequest, EmbeddingsRequest
from rag_gateway.shapes.openai_answers import (
    Chat,
    ChatCompletion,
    EmbeddingList,
    ModelList,
    ModelView,
    embedding_list,
)
from rag_gateway.streaming import EventStream, unless_left

router = APIRouter(prefix="/v1", tags=["openai"], route_class=JsonRoute)
EVERYTHING = "rag"
"""The model that searches every collection; with a colon and names after it, these."""
_MOST_COLLECTIONS = 100
_NAME = re.compile(COLLECTION_PATTERN)
_log = structlog.get_logger(__name__)


class UnknownModel(PermanentError):
    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"there is no model {model[:200]!r}; 'rag' searches every collection, and 'rag:NAME' one of them"
        )


@router.post(
    "/chat/completions",
    summary="Answer the last message of a chat",
    response_model=None,
    responses={200: {"model": ChatCompletion, "content": {"text/event-stream": {}}}, **RESPONSES},
)
async def chat(body: ChatRequest, request: Request, caller: CallerDep, gateway: GatewayDep) -> Response:
    """An answer made only of documents that the caller may read.

    `model`: `rag` for every collection, or `rag:a,b` for some of them.

    Citations and passages are in the field `rag`, in a stream in the last chunk with a choice.
    """
    collections = _collections(body.model)
    await gateway.require_collections(caller.tenant, collections)
    recording = await gateway.recorder.begin(caller, body.question, None)
    question = Ask(
        tenant=caller.tenant,
        principals=caller.principals,
        question=body.question,
        timeout=gateway.settings.ask_timeout,
        collections=collections,
        options=AnswerOptions(history=as_history(body.pairs), max_tokens=body.answer_tokens),
    )
    answering = Answering(gateway, question, recording)
    language = language_of(request)
    bodies = Chat(recording.answer_id, body.model, usage_at_end=body.usage_at_end, language=language)
    if body.stream:
        return EventStream(
            _stream(request, answering, bodies),
            heartbeat=gateway.settings.event_heartbeat,
            patience=gateway.settings.body_timeout,
            headers=headers(language),
        )
    await unless_left(request.receive, answering.complete())
    completion = bodies.completion(answering.collected)
    return Response(to_json(completion), media_type="application/json", headers=headers(language))


async def _stream(request: Request, answering: Answering, bodies: Chat) -> AsyncGenerator[bytes, None]:
    events = answering.events()
    sent = SentText()
    begun = False
    try:
        async for item in events:
            if isinstance(item, AnswerOpened):
                if begun:
                    sent.restart()
                else:
                    yield _data(bodies.first())
                begun = True
            elif isinstance(item, AnswerDelta):
                if text := sent.add(item.text):
                    yield _data(bodies.piece(text))
            elif answering.collected.opened is not None:
                sent.end()
                for chunk in bodies.last(answering.collected, answering.collected.opened, item):
                    yield _data(chunk)
                yield b"data: [DONE]\n\n"
    except Exception as error:
        if not begun:
            raise
        if not isinstance(error, RagError):
            _log.exception("answer_failed", answer_id=answering.recording.answer_id)
        _, problem = describe_error(request, error)
        yield _data(body_of(problem))
    finally:
        await events.aclose()


@router.get("/models", summary="List the models of chats", responses=RESPONSES)
async def models(caller: CallerDep, gateway: GatewayDep) -> ModelList:
    """`rag`, and one for each collection."""
    found = [ModelView(id=EVERYTHING, created=0, owned_by=caller.tenant)]
    after = ""
    while page := await gateway.registry.collections.page(caller.tenant, after, MAX_PAGE):
        found += [
            ModelView(
                id=f"{EVERYTHING}:{collection.name}",
                created=int(collection.created_at.timestamp()),
                owned_by=caller.tenant,
            )
            for collection in page
        ]
        after = page[-1].name
    return ModelList(data=found)


@router.get("/models/{model:path}", summary="Get one model of chats", responses=RESPONSES)
async def model(model: str, caller: CallerDep, gateway: GatewayDep) -> ModelView:
    """Also one of several collections, `rag:a,b`, which is not in the list."""
    collections = _collections(model)
    await gateway.require_collections(caller.tenant, collections)
    created = [
        (await gateway.registry.collections.get(caller.tenant, name)).created_at for name in collections
    ]
    newest = int(max(created).timestamp()) if created else 0
    return ModelView(id=model, created=newest, owned_by=caller.tenant)


@router.post(
    "/embeddings",
    summary="Encode texts",
    response_model=None,
    responses={200: {"model": EmbeddingList}, **RESPONSES},
)
async def embeddings(
    body: EmbeddingsRequest, request: Request, caller: CallerDep, gateway: GatewayDep
) -> Response:
    """A vector for each text, in their order. `model`: the name of an embedding space."""
    space = await gateway.registry.spaces.get(body.model)
    if body.dimensions not in (None, space.dimension):
        raise invalid_field("dimensions", f"the vectors of this model have {space.dimension} dimensions")
    encoding = gateway.embeddings(space.name, body.input, body.input_type)
    vectors = await unless_left(request.receive, encoding)
    answer = embedding_list(body.model, vectors, body.encoding_format)
    return Response(to_json(answer), media_type="application/json")


def _collections(model: str) -> tuple[str, ...]:
    """:raises UnknownModel: not of the form that our models have."""
    if model == EVERYTHING:
        return ()
    names = tuple(dict.fromkeys(model.removeprefix(f"{EVERYTHING}:").split(",")))
    known_form = all(_NAME.fullmatch(name) for name in names) and len(names) <= _MOST_COLLECTIONS
    if not model.startswith(f"{EVERYTHING}:") or not known_form:
        raise UnknownModel(model)
    return names


def _data(body: object) -> bytes:
    return b"data: %s\n\n" % to_json(body)
