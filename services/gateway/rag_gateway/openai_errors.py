"""Errors on the paths that speak OpenAI's protocol: its form instead of a problem."""

from typing import Any

from rag_gateway.shapes.base import Described

PATHS = ("/v1/chat/completions", "/v1/models", "/v1/embeddings")
_NO_MODEL = frozenset({"unknown_collection", "unknown_space", "model_not_found"})
_CODES = {"unauthorized": "invalid_api_key", **dict.fromkeys(_NO_MODEL, "model_not_found")}


class OpenAIErrorDetails(Described):
    message: str
    """What is wrong, and mostly the cure."""
    type: str
    """`invalid_request_error` or `server_error`."""
    param: str | None
    """The field that is wrong."""
    code: str
    """For programs; that of the problem elsewhere, save `invalid_api_key` and `model_not_found`."""


class OpenAIError(Described):
    """Body of every error on the paths that speak OpenAI's protocol."""

    error: OpenAIErrorDetails
    """What is wrong."""


def _documented(description: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{OpenAIError.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": _documented("The request is wrong"),
    "5XX": _documented("The server has failed, or is busy"),
}
"""For OpenAPI."""


def in_form(path: str) -> bool:
    """Whether the errors of this path are in OpenAI's form."""
    return path in PATHS or path.startswith("/v1/models/")


def status_of(status: int) -> int:
    """OpenAI's status: a request that is not valid is a bad one."""
    return 400 if status == 422 else status


def body_of(problem: dict[str, Any]) -> dict[str, Any]:
    """The body of a problem in OpenAI's form."""
    wrong = problem.get("errors") or []
    param = wrong[0]["field"].removeprefix("body.") if wrong else None
    if problem["code"] in _NO_MODEL:
        param = "model"
    details = OpenAIErrorDetails(
        message=problem["detail"],
        type="server_error" if problem["status"] >= 500 else "invalid_request_error",
        param=param,
        code=_CODES.get(problem["code"], problem["code"]),
    )
    return OpenAIError(error=details).model_dump()
