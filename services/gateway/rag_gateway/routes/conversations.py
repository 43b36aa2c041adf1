"""``/v1/conversations``: questions that belong together. Each is seen by its own caller alone."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from rag_gateway.dependencies import CallerDep, GatewayDep
from rag_gateway.domain.cursors import decode_number, decode_position, encode_number, encode_position
from rag_gateway.problems import responses
from rag_gateway.requests import JsonRoute
from rag_gateway.shapes.base import MAX_PAGE, Page
from rag_gateway.shapes.conversations import ConversationView, MessageView, NewConversation

router = APIRouter(prefix="/v1/conversations", tags=["conversations"], route_class=JsonRoute)
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
ConversationId = Annotated[uuid.UUID, Path(description="Id of the conversation, a UUID.")]


@router.post("", status_code=201, summary="Begin a conversation", responses=responses(422))
async def create(
    body: NewConversation, caller: CallerDep, gateway: GatewayDep, response: Response
) -> ConversationView:
    """Ask with its id as `conversation_id`: a question is then understood from those before it.

    It is removed when nobody has asked in it for a day, or, once it has an answer, for as long as the
    installation keeps answers (90 days unless it says otherwise).
    """
    conversation = await gateway.registry.conversations.create(
        caller.tenant, caller.name, str(uuid.uuid4()), body.title
    )
    response.headers["Location"] = f"/v1/conversations/{conversation.id}"
    return ConversationView.model_validate(conversation)


@router.get("", summary="List conversations", responses=responses(422))
async def list_conversations(
    caller: CallerDep, gateway: GatewayDep, limit: _Limit = 50, cursor: str | None = None
) -> Page[ConversationView]:
    """The caller's own; the one continued last comes first."""
    before = decode_position(cursor) if cursor else None
    found = await gateway.registry.conversations.page(caller.tenant, caller.name, before, limit + 1)
    shown = found[:limit]
    more = len(found) > limit
    return Page(
        items=[ConversationView.model_validate(conversation) for conversation in shown],
        next_cursor=encode_position(shown[-1].updated_at, shown[-1].id) if more else None,
    )


@router.get("/{conversation_id}", summary="Get one conversation", responses=responses(404, 422))
async def get(conversation_id: ConversationId, caller: CallerDep, gateway: GatewayDep) -> ConversationView:
    """Its title and the number of its answers."""
    conversations = gateway.registry.conversations
    return ConversationView.model_validate(
        await conversations.get(caller.tenant, caller.name, str(conversation_id))
    )


@router.get(
    "/{conversation_id}/messages", summary="Messages of a conversation", responses=responses(404, 422)
)
async def messages(
    conversation_id: ConversationId,
    caller: CallerDep,
    gateway: GatewayDep,
    limit: _Limit = 50,
    cursor: str | None = None,
) -> Page[MessageView]:
    """Questions and answers, the oldest first.

    An answer that is made of a document which the caller may not read any more is withheld, and is not
    before the model when the conversation goes on.
    """
    found = await gateway.registry.answers.messages(
        caller.tenant,
        caller.name,
        caller.principals,
        str(conversation_id),
        after=decode_number(cursor) if cursor else 0,
        limit=limit + 1,
    )
    items = [MessageView.of(given) for given in found[:limit]]
    return Page(items=items, next_cursor=encode_number(items[-1].position) if len(found) > limit else None)


@router.delete(
    "/{conversation_id}", status_code=204, summary="Delete a conversation", responses=responses(404, 422)
)
async def delete(conversation_id: ConversationId, caller: CallerDep, gateway: GatewayDep) -> Response:
    """With its questions, its answers and the feedback on them; nothing is kept."""
    await gateway.registry.conversations.delete(caller.tenant, caller.name, str(conversation_id))
    return Response(status_code=204)
