"""``/v1/documents``: reading, changing and deleting. Uploading has its own module."""

import re
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Response
from starlette.responses import StreamingResponse

from rag_common.contracts import CollectionName, DocumentEvent, DocumentState, Line
from rag_common.contracts.documents import MEDIA_TYPE_PATTERN
from rag_common.errors import TransientError
from rag_common.i18n import translate
from rag_common.registry import Document
from rag_gateway.dependencies import CallerDep, DocumentId, Gateway, GatewayDep
from rag_gateway.domain.cursors import decode_number, decode_position, encode_number, encode_position
from rag_gateway.domain.file_names import attachment
from rag_gateway.domain.queueing import queue_all
from rag_gateway.identity import Caller
from rag_gateway.languages import LanguageDep
from rag_gateway.problems import responses
from rag_gateway.requests import JsonRoute
from rag_gateway.shapes.base import MAX_PAGE, Page
from rag_gateway.shapes.documents import (
    ChunkView,
    DocumentChanges,
    DocumentDetail,
    DocumentError,
    DocumentView,
    TransitionView,
)

router = APIRouter(prefix="/v1/documents", tags=["documents"], route_class=JsonRoute)
_MAX_TRANSITIONS = 1000
_MEDIA_TYPE = re.compile(MEDIA_TYPE_PATTERN)
_log = structlog.get_logger(__name__)
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]


@router.get("", summary="List documents", responses=responses(422))
async def list_documents(
    caller: CallerDep,
    gateway: GatewayDep,
    language: LanguageDep,
    collection: CollectionName | None = None,
    state: DocumentState | None = None,
    source_uri: Line | None = None,
    parent_id: uuid.UUID | None = None,
    limit: _Limit = 50,
    cursor: str | None = None,
) -> Page[DocumentView]:
    """Newest first. Deleted documents are listed only when their state is asked for.

    `parent_id`: only the members of this archive, or the attachments of this mail.
    """
    found = await gateway.registry.documents.page(
        caller.tenant,
        principals=caller.manages,
        collection=collection,
        state=state,
        source_uri=source_uri,
        parent_id=str(parent_id) if parent_id else None,
        before=decode_position(cursor) if cursor else None,
        limit=limit + 1,
    )
    shown = found[:limit]
    more = len(found) > limit
    return Page(
        items=[view(document, language) for document in shown],
        next_cursor=encode_position(shown[-1].created_at, shown[-1].id) if more else None,
    )


@router.get("/{document_id}", summary="Get one document", responses=responses(404, 422))
async def get(
    document_id: DocumentId, caller: CallerDep, gateway: GatewayDep, language: LanguageDep
) -> DocumentDetail:
    """Its state, what went wrong, and everything that has happened to it. Deleted ones are found too."""
    return await _detail(gateway, caller, str(document_id), language)


@router.get("/{document_id}/chunks", summary="Chunks of a document", responses=responses(404, 422))
async def chunks(
    document_id: DocumentId,
    caller: CallerDep,
    gateway: GatewayDep,
    limit: _Limit = 100,
    cursor: str | None = None,
) -> Page[ChunkView]:
    """Of the live generation, else of the latest; only for callers whom the ACL admits."""
    after = decode_number(cursor) if cursor else -1
    found = await gateway.registry.documents.chunks(
        caller.tenant, str(document_id), caller.principals, after=after, limit=limit + 1
    )
    items = [
        ChunkView(
            chunk_no=chunk.no,
            text=chunk.text,
            **chunk.place.model_dump(),
            start=chunk.start,
            end=chunk.end,
            heading=chunk.heading,
        )
        for chunk in found[:limit]
    ]
    return Page(items=items, next_cursor=encode_number(items[-1].chunk_no) if len(found) > limit else None)


@router.get(
    "/{document_id}/content",
    summary="Original bytes of a document",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, **responses(404, 422)},
)
async def content(document_id: DocumentId, caller: CallerDep, gateway: GatewayDep) -> Response:
    """Of the latest generation, as they were uploaded; only for callers whom the ACL admits."""
    name = str(document_id)
    # the name first: a generation accepted in between may show its media type, never others' bytes
    upload_id = await gateway.registry.documents.upload_id(caller.tenant, name, caller.principals)
    document = await gateway.registry.documents.get(caller.tenant, name, caller.principals)
    stored = await gateway.objects.info(upload_id)
    return StreamingResponse(
        _bytes(gateway, upload_id),
        headers={
            # set here, since Starlette would claim that any text is UTF-8
            "Content-Type": _content_type(document.media_type),
            "Content-Length": str(stored.size),
            "Content-Disposition": attachment(document.file_name or f"{document.id}.txt"),
            # a page that somebody has uploaded must not run in the API's origin
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
        },
    )


@router.patch("/{document_id}", summary="Change a document", responses=responses(404, 422))
async def change(
    document_id: DocumentId,
    body: DocumentChanges,
    caller: CallerDep,
    gateway: GatewayDep,
    language: LanguageDep,
) -> DocumentDetail:
    """Title, metadata or ACL. A revocation holds from the answer on; a grant when `acl_pending` is false.

    ACL and metadata of an archive or a mail replace those of its members, too.
    """
    name = str(document_id)
    await gateway.registry.documents.get(caller.tenant, name, caller.manages)
    reindex = await gateway.registry.documents.patch(
        caller.tenant, name, title=body.title, metadata=body.metadata, acl=body.acl
    )
    if reindex:
        try:
            concerned = [name, *await gateway.registry.members.inside(caller.tenant, name)]
            await queue_all(partial(gateway.changes.update, caller.tenant), concerned)
        except TransientError as error:
            # the change is committed: the reconciler publishes what could not be queued now
            _log.warning("update_not_queued", document_id=name, reason=error.message)
    return await _detail(gateway, caller, name, language)


@router.delete("/{document_id}", status_code=202, summary="Delete a document", responses=responses(404, 422))
async def delete(
    document_id: DocumentId, caller: CallerDep, gateway: GatewayDep, language: LanguageDep
) -> DocumentView:
    """No search that starts after the answer finds it; its bytes and points go soon after.

    The members of an archive, and the attachments of a mail, go with it.
    """
    name = str(document_id)
    await gateway.registry.documents.get(caller.tenant, name, caller.manages)
    document = await gateway.registry.documents.delete(caller.tenant, name)
    if document.state == "deleting":
        try:
            concerned = [name, *await gateway.registry.members.inside(caller.tenant, name)]
            await queue_all(partial(gateway.changes.purge_deleted, caller.tenant), concerned)
        except TransientError as error:
            # the tombstone is committed: the reconciler publishes what could not be queued now
            _log.warning("purge_not_queued", document_id=name, reason=error.message)
        await gateway.changes.hint(_deleting(document))
    return view(document, language)


def _content_type(media_type: str | None) -> str:
    """The stored media type where a header can carry it: rows may be older than the rule for it."""
    return media_type if media_type and _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream"


def view(document: Document, language: str) -> DocumentView:
    """The document as the API shows it, what the platform says of it in this language."""
    return DocumentView.model_validate(_fields(document, language))


def _fields(document: Document, language: str) -> dict[str, Any]:
    failed = document.error_code is not None or document.error_message is not None
    message = translate(document.error_message, language) if document.error_message is not None else None
    error = DocumentError(stage=document.stage, code=document.error_code, message=message)
    fields = {name: getattr(document, name) for name in DocumentView.model_fields if name != "error"}
    warnings = tuple(translate(warning, language) for warning in document.warnings)
    return fields | {"error": error if failed else None, "warnings": warnings}


async def _detail(gateway: Gateway, caller: Caller, document_id: str, language: str) -> DocumentDetail:
    document = await gateway.registry.documents.get(caller.tenant, document_id, caller.manages)
    happened = await gateway.registry.documents.transitions(
        caller.tenant, document_id, limit=_MAX_TRANSITIONS
    )
    transitions = [TransitionView.of(transition, language) for transition in happened]
    return DocumentDetail.model_validate(_fields(document, language) | {"transitions": transitions})


def _deleting(document: Document) -> DocumentEvent:
    return DocumentEvent(
        tenant=document.tenant,
        collection=document.collection,
        source_uri=document.source_uri,
        document_id=document.id,
        generation=document.generation,
        outcome="deleting",
        at=datetime.now(UTC),
    )


async def _bytes(gateway: Gateway, upload_id: str) -> AsyncIterator[bytes]:
    async with aclosing(gateway.objects.stream(upload_id)) as chunks:
        async for chunk in chunks:
            yield chunk
