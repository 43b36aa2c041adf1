"""``POST /v1/documents``: files as multipart, or a text as JSON."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.responses import Response

from rag_common.errors import Overloaded
from rag_common.objects import TooLarge
from rag_gateway.dependencies import CallerDep, Gateway, GatewayDep
from rag_gateway.domain.accepting import Decisions, Fields, Offer, StoredFile, offers_of, request_key
from rag_gateway.domain.file_names import clean_file_name
from rag_gateway.multipart import FormField, FormFile, MultipartReader
from rag_gateway.problems import Problem, invalid_field, responses
from rag_gateway.requests import (
    body_chunks,
    is_json,
    media_type_of,
    parse_json,
    read_body,
    refuse_long,
    too_large,
)
from rag_gateway.shapes.documents import BARE_MEDIA_TYPE, NewText, UploadAnswer, UploadFields, UploadOutcome

router = APIRouter(prefix="/v1/documents", tags=["documents"])

FORM_ALLOWANCE = 1024 * 1024
"""Bytes that a multipart body may have beyond those of its files: fields, headers and boundaries."""
_JSON_FIELDS = frozenset({"metadata", "acl"})
_MEDIA_TYPE = re.compile(BARE_MEDIA_TYPE)
_UNKNOWN_TYPE = "application/octet-stream"

M = TypeVar("M", bound=BaseModel)
Files = list[StoredFile]
Receive = Callable[[Request, Gateway, Files], Awaitable[Fields]]
"""Stores the files of a request, noting each as it is stored, and returns what goes with them."""

_FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["collection", "files"],
    "properties": {
        "collection": {"type": "string", "example": "handbook"},
        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "source_uri": {"type": "string", "description": "Of one file; else `upload:/` and its name"},
        "title": {"type": "string", "description": "Of one file; else its name"},
        "metadata": {"type": "string", "description": "A JSON object", "example": '{"department": "hr"}'},
        "acl": {"type": "string", "description": "A JSON list of principals", "example": '["group:staff"]'},
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM_SCHEMA},
            "application/json": {"schema": {"$ref": "#/components/schemas/NewText"}},
        },
    }
}


@router.post(
    "",
    status_code=202,
    summary="Upload documents",
    response_model=None,
    openapi_extra=_BODY,
    responses={
        202: {"model": UploadAnswer, "description": "On their way"},
        200: {"model": UploadAnswer, "description": "Nothing to do: every file is `unchanged`"},
        **responses(404, 409, 422),
    },
)
async def upload(
    request: Request,
    caller: CallerDep,
    gateway: GatewayDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=r"^[\x21-\x7e]{1,255}$",
            description="The same key with the same request returns the first answer, for 24 hours.",
        ),
    ] = None,
) -> Response:
    """One file or many, all accepted or none; or one text as JSON.

    A document is identified by its collection and `source_uri`. The same bytes again are `unchanged`,
    other bytes are the document's next generation. Files are stored as they arrive: fields may come
    before or after them. A file name loses any path before it; control characters and more than 255
    characters are refused.
    """
    receive = _receiver(request)
    if gateway.uploads.locked():
        raise Overloaded("too many uploads at once; try again in a moment")
    async with gateway.uploads:
        stored: Files = []
        try:
            fields = await _in_time(receive(request, gateway, stored), gateway.settings.upload_timeout)
            offers = offers_of(stored, fields)
        except BaseException:
            # also when the client has left
            await gateway.accept.discard(stored)
            raise
        key = request_key(caller.name, idempotency_key, offers) if idempotency_key else None
        decisions = await gateway.accept(caller.tenant, offers, key)
    return _answer(offers, decisions)


async def _in_time(receiving: Awaitable[Fields], seconds: float) -> Fields:
    """:raises Problem: 408. A client that sends a little now and then must not outlast the sweeps."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await receiving
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise Problem(408, "request_timeout", f"the upload has taken more than {seconds:g} s") from error


def _receiver(request: Request) -> Receive:
    media_type = media_type_of(request)
    if media_type == "multipart/form-data":
        return _receive_form
    if is_json(media_type):
        return _receive_text
    raise Problem(415, "unsupported_media_type", "send multipart/form-data with files, or application/json")


async def _receive_form(request: Request, gateway: Gateway, stored: Files) -> Fields:
    most = gateway.settings.max_upload_bytes
    refuse_long(request, most, FORM_ALLOWANCE)
    reader = MultipartReader(request.headers["content-type"], body_chunks(request))
    values: dict[str, Any] = {}
    async with aclosing(reader.parts()) as parts:
        async for part in parts:
            if isinstance(part, FormField):
                _note_field(values, part)
            elif len(stored) == gateway.settings.max_files:
                raise invalid_field("files", f"an upload has at most {len(stored)} files", "too_many_files")
            else:
                await _store_file(gateway, part, stored)
    if not stored:
        raise invalid_field("files", "the upload has no file", "no_files")
    fields = _validated(UploadFields, values)
    return Fields(**{name: getattr(fields, name) for name in UploadFields.model_fields})


async def _receive_text(request: Request, gateway: Gateway, stored: Files) -> Fields:
    body = _validated(NewText, parse_json(await read_body(request, gateway.settings.max_json_bytes)))

    async def once() -> AsyncIterator[bytes]:
        yield body.text.encode()

    await _store(gateway, once(), stored, None, body.media_type)
    return Fields(**{name: getattr(body, name) for name in UploadFields.model_fields})


def _note_field(values: dict[str, Any], part: FormField) -> None:
    if part.name in values:
        raise invalid_field(part.name[:100], "given twice")
    if part.name not in UploadFields.model_fields:
        raise invalid_field(part.name[:100], "there is no such field")
    if part.name not in _JSON_FIELDS:
        values[part.name] = part.value
        return
    try:
        values[part.name] = from_json(part.value, allow_inf_nan=False)
    except ValueError as error:
        raise invalid_field(part.name, f"not JSON: {error}") from error


async def _store_file(gateway: Gateway, part: FormFile, stored: Files) -> None:
    name = clean_file_name(part.file_name)
    file = await _store(gateway, part.chunks, stored, name, _declared(part.media_type))
    if file.size == 0:
        raise invalid_field("files", f"{name} is empty", "empty_file")


async def _store(
    gateway: Gateway,
    chunks: AsyncIterator[bytes],
    stored: Files,
    file_name: str | None,
    media_type: str | None,
) -> StoredFile:
    most = gateway.settings.max_upload_bytes
    upload_id = uuid.uuid4().hex
    try:
        written = await gateway.objects.put(upload_id, chunks, limit=most - sum(file.size for file in stored))
    except TooLarge as error:
        raise too_large(most) from error
    file = StoredFile(upload_id, written.size, written.sha256, file_name, media_type)
    stored.append(file)
    gateway.metrics.uploaded.inc(file.size)
    return file


def _declared(content_type: str | None) -> str | None:
    """What the client says the file is, where that says something."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return media_type if _MEDIA_TYPE.fullmatch(media_type) and media_type != _UNKNOWN_TYPE else None


def _validated(model: type[M], values: object) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = [
            {**problem, "loc": ("body", *problem["loc"])} for problem in error.errors(include_url=False)
        ]
        raise RequestValidationError(errors) from error


def _answer(offers: list[Offer], decisions: Decisions) -> Response:
    documents = [
        UploadOutcome(
            id=decision.document.document_id,
            generation=decision.document.generation,
            state=decision.state,
            outcome=decision.outcome,
            collection=decision.collection,
            source_uri=decision.source_uri,
            file_name=offer.file.file_name,
            size=offer.file.size,
            sha256=offer.file.sha256,
        )
        for offer, decision in zip(offers, decisions.items, strict=True)
    ]
    working = any(decision.outcome == "accepted" or decision.reindex for decision in decisions.items)
    return Response(
        UploadAnswer(documents=documents).model_dump_json(),
        status_code=202 if working else 200,
        media_type="application/json",
        headers={"Idempotency-Replayed": "true"} if decisions.replayed else None,
    )
