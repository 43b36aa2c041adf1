"""Every error of the API, in one shape: problem details after RFC 9457."""

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from rag_common.errors import RagError, TransientError
from rag_common.i18n import translate
from rag_gateway import languages, openai_errors
from rag_gateway.shapes.base import Described

MEDIA_TYPE = "application/problem+json"
_MAX_ERRORS = 20
_CLIENT_LEFT = 499
_INTERNAL = "The server has failed; its log says why."
_log = structlog.get_logger(__name__)

# Status of the errors that the registry, the object store and the other services name by code.
_STATUS = {
    "unauthorized": 401,
    "unknown_collection": 404,
    "unknown_document": 404,
    "unknown_space": 404,
    "model_not_found": 404,
    "unknown_conversation": 404,
    "unknown_answer": 404,
    "object_missing": 404,
    "collection_exists": 409,
    "idempotency_conflict": 409,
    "malformed_body": 400,
    "too_large": 413,
    "field_too_large": 413,
    "message_too_large": 413,
    "invalid_file_name": 422,
    "invalid_cursor": 422,
    "fields_of_one_file": 422,
    "duplicate_file_name": 422,
    "no_reranker": 422,
    "overloaded": 503,
    "embedder_unavailable": 503,
    "deadline_exceeded": 504,
    "slow_reader": 408,
}


class FieldError(Described):
    """One field that is wrong; the value itself is not repeated."""

    field: str
    """Where it is in the request, with dots."""
    message: str
    """What is wrong with it."""


class ProblemDetails(Described):
    """Body of every error (`application/problem+json`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:rag:problem:unknown_collection",
                "title": "Not Found",
                "status": 404,
                "detail": "there is no collection 'handbok'; create it first",
                "code": "unknown_collection",
                "instance": "/v1/search",
            }
        }
    )

    type: str
    """`urn:rag:problem:` and the code."""
    title: str
    """What the status means."""
    status: int
    """The HTTP status."""
    detail: str
    """What is wrong here, and mostly the cure."""
    code: str
    """For programs; it does not change between releases."""
    instance: str
    """The path of the request."""
    errors: list[FieldError] | None = None
    """Of a request that is not valid: what is wrong with which field."""


class Problem(HTTPException):
    """An error that a route raises on purpose."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.code = code
        self.errors = tuple(errors)


def invalid_field(field: str, message: str, code: str = "invalid_request") -> Problem:
    """422 for one field."""
    return Problem(422, code, f"{field}: {message}", errors=[FieldError(field=field, message=message)])


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of a route's own, for OpenAPI; those that every route may answer with are added there."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Make the app answer every error with a problem."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(RagError, _named_error)
    app.add_exception_handler(ClientDisconnect, _client_left)
    app.add_exception_handler(Exception, _unexpected)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    code = error.code if isinstance(error, Problem) else _code_of(error.status_code)
    errors = error.errors if isinstance(error, Problem) else ()
    return render(request, error.status_code, code, str(error.detail), errors, error.headers)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    errors = field_errors(error.errors())
    first = "; ".join(f"{wrong.field}: {wrong.message}" for wrong in errors[:3])
    return render(request, 422, "invalid_request", first or "the request is not valid", errors)


async def _named_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RagError)  # noqa: S101 - registered for this class
    return render_error(request, error)


def render_error(request: Request, error: Exception) -> Response:
    """The response for an error; what is not of the tree in :mod:`rag_common.errors` is ours alone."""
    status, body = describe_error(request, error)
    headers: dict[str, str] = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = error.retry_after if isinstance(error, TransientError) else 1.0
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return _response(request, body, headers)


def describe_error(request: Request, error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body of the problem that an error is, for an answer that has begun already."""
    if isinstance(error, RagError):
        status = _STATUS.get(error.code, 503 if isinstance(error, TransientError) else 500)
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            return status, _body(request, status, error.code, error.message)
        # a permanent error that is not on the list is a matter of our insides
        _log.error("request_failed", path=request.url.path, code=error.code, reason=error.message)
    return 500, _body(request, 500, "internal_error", _INTERNAL)


async def _client_left(_: Request, __: Exception) -> Response:
    return Response(status_code=_CLIENT_LEFT)


async def _unexpected(request: Request, _: Exception) -> Response:
    # the server logs the stack; the client learns nothing of our insides
    return render(request, 500, "internal_error", _INTERNAL)


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Pydantic's errors without the values, which may be large or private."""
    return [
        FieldError(
            field=".".join(str(part) for part in error["loc"])[:200],
            message=str(error["msg"]).removeprefix("Value error, ")[:500],
        )
        for error in errors[:_MAX_ERRORS]
    ]


def render(
    request: Request,
    status: int,
    code: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response for one problem, in the language that the client prefers."""
    body = _body(request, status, code, detail, errors)
    return _response(request, body, headers)


def _body(
    request: Request, status: int, code: str, detail: str, errors: Sequence[FieldError] = ()
) -> dict[str, Any]:
    language = languages.language_of(request)
    body: dict[str, Any] = {
        "type": f"urn:rag:problem:{code}",
        "title": translate(HTTPStatus(status).phrase, language),
        "status": status,
        "detail": translate(detail, language),
        "code": code,
        "instance": request.url.path,
    }
    if errors:
        body["errors"] = [
            {"field": error.field, "message": translate(error.message, language)} for error in errors
        ]
    return body


def _response(request: Request, body: dict[str, Any], headers: Mapping[str, str] | None) -> Response:
    status, media_type = body["status"], MEDIA_TYPE
    if openai_errors.in_form(request.url.path):
        status, media_type = openai_errors.status_of(status), "application/json"
        body = openai_errors.body_of(body)
    return Response(
        json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        status_code=status,
        headers={**languages.headers(languages.language_of(request)), **(headers or {})},
        media_type=media_type,
    )


def _code_of(status: int) -> str:
    return HTTPStatus(status).name.lower()
