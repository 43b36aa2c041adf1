"""Every error has one shape."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from rag_common.errors import Overloaded, PermanentError, TransientError
from rag_common.registry import CollectionExists, IdempotencyConflict, UnknownCollection, UnknownDocument
from rag_gateway.problems import Problem, install, invalid_field

FIELDS = {"type", "title", "status", "detail", "code", "instance"}


class Body(BaseModel):
    name: str
    count: int


async def answer(error: Exception | None, method: str = "GET", **options: Any) -> httpx.Response:
    app = FastAPI()
    install(app)

    @app.get("/thing")
    async def thing() -> None:
        if error is not None:
            raise error

    @app.post("/thing")
    async def create(body: Body) -> None: ...

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        return await http.request(method, options.pop("path", "/thing"), **options)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownCollection("a"), 404, "unknown_collection"),
        (UnknownDocument("a"), 404, "unknown_document"),
        (CollectionExists("taken"), 409, "collection_exists"),
        (IdempotencyConflict("used"), 409, "idempotency_conflict"),
        (PermanentError("too long", code="message_too_large"), 413, "message_too_large"),
        (Overloaded("full"), 503, "overloaded"),
        (TransientError("away"), 503, "unavailable"),
        (TransientError("down", code="registry_unavailable"), 503, "registry_unavailable"),
        (Problem(415, "unsupported_media_type", "no"), 415, "unsupported_media_type"),
        (
            Problem(429, "too_many_requests", "slow down", headers={"Retry-After": "3"}),
            429,
            "too_many_requests",
        ),
        (invalid_field("files", "none"), 422, "invalid_request"),
        (PermanentError("the password is hunter2"), 500, "internal_error"),
        (RuntimeError("the password is hunter2"), 500, "internal_error"),
    ],
)
async def test_an_error_is_a_problem(error: Exception, status: int, code: str) -> None:
    response = await answer(error)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body.keys() - {"errors"} == FIELDS
    assert (body["status"], body["code"], body["instance"]) == (status, code, "/thing")
    assert "hunter2" not in response.text
    assert ("retry-after" in response.headers) == (status in (429, 503))


async def test_the_pause_is_in_whole_seconds() -> None:
    response = await answer(TransientError("away", retry_after=2.2))
    assert response.headers["retry-after"] == "3"


async def test_a_bad_request_names_its_fields_and_not_their_values() -> None:
    response = await answer(None, "POST", json={"name": 7, "count": "secret"})
    body = response.json()
    assert (response.status_code, body["code"]) == (422, "invalid_request")
    assert [error["field"] for error in body["errors"]] == ["body.name", "body.count"]
    assert "secret" not in response.text
    assert "body.name" in body["detail"]


async def test_unknown_paths_and_methods_have_the_same_shape() -> None:
    for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/thing", 405)):
        response = await answer(None, method, path=path)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json().keys() == FIELDS
