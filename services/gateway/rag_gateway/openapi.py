"""The description of the API at ``/openapi.json``."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from rag_gateway.openai_errors import OpenAIError
from rag_gateway.problems import ProblemDetails, responses
from rag_gateway.shapes.documents import NewText

DESCRIPTION = """
Documents go in, passages and answers with citations come out, under per-document access control.

Every request but the probes and these pages carries an API key: `Authorization: Bearer …`; `ragp key show`
prints the first one. Every error is a problem (RFC 9457) with a stable `code`. `503` and `429` say when to
come back in `Retry-After`.

What the platform says (the texts of problems, the errors and warnings of documents, why a search or an answer
is degraded) is in English or Russian, as `Accept-Language` prefers; codes are the same in both.
"""
_TAGS = [
    {"name": "collections", "description": "What is searched together."},
    {"name": "documents", "description": "Uploading, following, reading, changing and deleting documents."},
    {"name": "answers", "description": "Questions answered from passages, with citations."},
    {"name": "conversations", "description": "Questions that follow each other, and their answers."},
    {"name": "feedback", "description": "What callers say of answers."},
    {"name": "openai", "description": "The same to clients of OpenAI's protocol."},
    {"name": "search", "description": "Passages that answer a question."},
]
_OF_ALL = responses(401, 503)
"""Without a valid key, and while the registry is away."""
_OF_BODIES = responses(400, 408, 413, 415)
"""Not what its type says, too slow, too large, of another type."""
_TEMPLATE = "#/components/schemas/{model}"


def install(app: FastAPI) -> None:
    """Let the app describe itself, with the schemas that its routes only refer to."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=DESCRIPTION,
                routes=app.routes,
                tags=_TAGS,
            )
            known = schema["components"]["schemas"]
            for model in (ProblemDetails, OpenAIError, NewText):
                described = model.model_json_schema(ref_template=_TEMPLATE)
                known |= described.pop("$defs", {})
                known[model.__name__] = described
            for methods in schema["paths"].values():
                for operation in methods.values():
                    _name_common_problems(operation)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]  # FastAPI's documented way to change it


def _name_common_problems(operation: dict[str, Any]) -> None:
    if "4XX" in operation["responses"]:
        # OpenAI's protocol: all are of one form
        return
    common = _OF_ALL | _OF_BODIES if "requestBody" in operation else _OF_ALL
    known = {str(status): described for status, described in common.items()} | operation["responses"]
    operation["responses"] = dict(sorted(known.items()))
