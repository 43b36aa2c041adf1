"""The description of the API is whole: what it refers to is there, and every operation is documented."""

from collections.abc import Iterator
from typing import Any

import pytest

from rag_gateway.app import create_app
from rag_gateway.settings import GatewaySettings

Json = dict[str, Any]


@pytest.fixture(scope="module")
def described() -> Json:
    return create_app(GatewaySettings()).openapi()


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def operations(described: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_reference_leads_somewhere(described: Json) -> None:
    for reference in set(references(described)):
        node: Any = described
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_operation_is_described_and_closed(described: Json) -> None:
    for name, operation in operations(described):
        assert operation["tags"], name
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["security"] == [{"HTTPBearer": []}], name
        of_openai = operation["tags"] == ["openai"]
        form = "application/json" if of_openai else "application/problem+json"
        for status in ("4XX", "5XX") if of_openai else ("401", "422", "503"):
            assert list(operation["responses"][status]["content"]) == [form], (name, status)


def test_the_api_is_the_one_that_was_agreed(described: Json) -> None:
    assert {name for name, _ in operations(described)} == {
        "POST /v1/collections",
        "GET /v1/collections",
        "GET /v1/collections/{collection}",
        "PATCH /v1/collections/{collection}",
        "DELETE /v1/collections/{collection}",
        "POST /v1/documents",
        "GET /v1/documents",
        "GET /v1/documents/{document_id}",
        "PATCH /v1/documents/{document_id}",
        "DELETE /v1/documents/{document_id}",
        "GET /v1/documents/{document_id}/chunks",
        "GET /v1/documents/{document_id}/content",
        "GET /v1/documents/{document_id}/events",
        "POST /v1/search",
        "POST /v1/ask",
        "POST /v1/conversations",
        "GET /v1/conversations",
        "GET /v1/conversations/{conversation_id}",
        "GET /v1/conversations/{conversation_id}/messages",
        "DELETE /v1/conversations/{conversation_id}",
        "POST /v1/feedback",
        "POST /v1/chat/completions",
        "GET /v1/models",
        "GET /v1/models/{model}",
        "POST /v1/embeddings",
    }


def test_what_a_body_may_end_in_is_named(described: Json) -> None:
    for name, operation in operations(described):
        named = {"400", "408", "413", "415"} <= operation["responses"].keys()
        assert named == ("requestBody" in operation and operation["tags"] != ["openai"]), name


def test_every_field_is_described(described: Json) -> None:
    assert [
        f"{name}.{field}"
        for name, schema in described["components"]["schemas"].items()
        for field, about in schema.get("properties", {}).items()
        if not about.get("description")
    ] == []


def test_requests_have_examples(described: Json) -> None:
    schemas = described["components"]["schemas"]
    for name in ("NewCollection", "NewText", "DocumentChanges", "SearchRequest", "UploadAnswer"):
        assert schemas[name]["example"], name
    search = described["paths"]["/v1/search"]["post"]["responses"]["200"]["content"]["application/json"]
    assert search["example"]["passages"]
