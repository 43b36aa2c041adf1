"""Reading, changing and deleting documents over HTTP."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_support import TENANT, Gateway, problem

from rag_common.contracts import DocumentEvent, DocumentRef, PurgeDocument, UpdateIndexedDocument
from rag_common.registry import NewContent, Upload

NOBODY = str(uuid.uuid4())


async def test_a_document_tells_what_has_happened_to_it(gateway: Gateway) -> None:
    uploaded = await gateway.upload(acl='["*"]')
    await gateway.make_live(uploaded)
    document = await gateway.get(f"/v1/documents/{uploaded['id']}")
    assert (document["state"], document["generation"], document["live_generation"]) == ("live", 1, 1)
    assert (document["acl_pending"], document["error"], document["chunk_count"]) == (False, None, 4)
    states = [(moved["from_state"], moved["to_state"]) for moved in document["transitions"]]
    assert states == [
        (None, "accepted"),
        ("accepted", "parsing"),
        ("parsing", "embedding"),
        ("embedding", "live"),
    ]


async def test_a_failed_document_says_why(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    ref = DocumentRef(tenant=TENANT, document_id=uploaded["id"], generation=1)
    await gateway.registry.ingesting.fail(
        ref, stage="ingest", code="no_text", message="No text was found in the file.", attempts=3
    )
    document = await gateway.get(f"/v1/documents/{uploaded['id']}")
    assert (document["state"], document["stage"], document["attempts"]) == ("failed", "ingest", 3)
    assert document["error"] == {
        "stage": "ingest",
        "code": "no_text",
        "message": "No text was found in the file.",
    }
    in_russian = await gateway.http.get(f"/v1/documents/{uploaded['id']}", headers={"Accept-Language": "ru"})
    assert in_russian.headers["content-language"] == "ru"
    assert in_russian.json()["error"]["message"] == "В файле не найден текст."
    assert in_russian.json()["transitions"][-1]["message"] == "В файле не найден текст."


async def test_documents_are_listed_newest_first_and_filtered(gateway: Gateway) -> None:
    await gateway.http.post("/v1/collections", json={"name": "papers"})
    first = await gateway.upload(b"1", name="1.txt")
    second = await gateway.upload(b"2", name="2.txt")
    third = await gateway.upload(b"3", name="3.txt", collection="papers")
    await gateway.make_live(second)

    async def ids(**filters: Any) -> list[str]:
        return [item["id"] for item in (await gateway.get("/v1/documents", **filters))["items"]]

    assert await ids() == [third["id"], second["id"], first["id"]]
    assert await ids(collection="handbook") == [second["id"], first["id"]]
    assert await ids(state="live") == [second["id"]]
    assert await ids(source_uri="upload:/1.txt") == [first["id"]]
    assert await ids(collection="unknown") == []


async def test_pages_follow_each_other_without_gap(gateway: Gateway) -> None:
    uploaded = [(await gateway.upload(b"x", name=f"{number}.txt"))["id"] for number in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = await gateway.get("/v1/documents", limit=2, **cursor)
        seen += [item["id"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert seen == uploaded[::-1]
    assert page["next_cursor"] is None


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=many",
        "state=asleep",
        "collection=A%20B",
        "source_uri=a%00b",
        "source_uri=",
        "source_uri=" + "x" * 2001,
    ],
)
async def test_a_bad_filter_is_refused(gateway: Gateway, query: str) -> None:
    problem(await gateway.http.get(f"/v1/documents?{query}"), 422, "invalid_request")


@pytest.mark.parametrize("cursor", ["x", "%00", "W10", "bnVsbA", "WyIyMDI2LTAxLTAxIiwgIngiXQ", "é"])
async def test_a_bad_cursor_is_refused(gateway: Gateway, cursor: str) -> None:
    uploaded = await gateway.upload()
    for path in ("/v1/documents", f"/v1/documents/{uploaded['id']}/chunks"):
        problem(await gateway.http.get(f"{path}?cursor={cursor}"), 422, "invalid_cursor")
    if cursor in ("x", "W10", "bnVsbA"):
        problem(await gateway.http.get(f"/v1/collections?cursor={cursor}"), 422, "invalid_cursor")


async def test_chunks_come_in_pages(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    await gateway.make_live(uploaded, "one two three")
    path = f"/v1/documents/{uploaded['id']}/chunks"
    first = await gateway.get(path, limit=2)
    assert first["items"][0] == {
        "chunk_no": 0,
        "text": "one",
        "page": None,
        "slide": None,
        "sheet": None,
        "rows": None,
        "start": 0,
        "end": 3,
        "heading": ["Leave"],
    }
    rest = await gateway.get(path, limit=2, cursor=first["next_cursor"])
    assert [chunk["text"] for chunk in rest["items"]] == ["three"]
    assert rest["next_cursor"] is None


async def test_a_media_type_that_no_header_carries_hides_no_content(gateway: Gateway) -> None:
    declared = await gateway.http.post(
        "/v1/documents",
        data={"collection": "handbook"},
        files=[("files", ("a.txt", b"declared", "tëxt/plain"))],
    )
    upload_id = uuid.uuid4().hex
    await gateway.objects.put(upload_id, once(b"stored"))
    content = NewContent("handbook", "upload:/b", "0" * 64, 6, "interactive", media_type="tëxt/plain")
    stored = (await gateway.registry.accepting.uploads(TENANT, [Upload(content, upload_id)])).items[0]
    ids = {declared.json()["documents"][0]["id"]: b"declared", stored.document.document_id: b"stored"}
    for document_id, expected in ids.items():
        answer = await gateway.http.get(f"/v1/documents/{document_id}/content")
        assert (answer.status_code, answer.content) == (200, expected)
        assert answer.headers["content-type"] == "application/octet-stream"


async def test_content_is_what_was_uploaded_and_never_a_page(gateway: Gateway) -> None:
    content = b"<script>alert(1)</script>" + bytes(range(256)) * 2000
    response = await gateway.http.post(
        "/v1/documents",
        data={"collection": "handbook"},
        files=[("files", ("страница.html", content, "text/html"))],
    )
    document = response.json()["documents"][0]
    answer = await gateway.http.get(f"/v1/documents/{document['id']}/content")
    assert answer.content == content
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="________.html"; '
        "filename*=UTF-8''%D1%81%D1%82%D1%80%D0%B0%D0%BD%D0%B8%D1%86%D0%B0.html"
    )


async def test_an_administrator_sees_every_document_but_not_what_its_acl_hides(gateway: Gateway) -> None:
    uploaded = await gateway.upload(acl='["user:anna"]')
    await gateway.make_live(uploaded)
    path = f"/v1/documents/{uploaded['id']}"
    assert (await gateway.get(path))["acl"] == ["user:anna"]
    assert len((await gateway.get("/v1/documents"))["items"]) == 1
    problem(await gateway.http.get(f"{path}/content"), 404, "unknown_document")
    problem(await gateway.http.get(f"{path}/chunks"), 404, "unknown_document")

    assert (await gateway.http.patch(path, json={"acl": ["key:bootstrap"]})).status_code == 200
    assert (await gateway.http.get(f"{path}/content")).status_code == 200
    assert len((await gateway.get(f"{path}/chunks"))["items"]) == 4


async def test_a_change_reaches_the_registry_and_the_index(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    await gateway.make_live(uploaded)
    path = f"/v1/documents/{uploaded['id']}"
    title = await gateway.http.patch(path, json={"title": "Holidays"})
    assert (title.json()["title"], title.json()["acl_pending"]) == ("Holidays", False)
    assert await gateway.stored(UpdateIndexedDocument) == []

    changed = await gateway.http.patch(path, json={"metadata": {"year": 2027}, "acl": ["group:staff"]})
    assert changed.status_code == 200
    body = changed.json()
    assert (body["title"], body["metadata"], body["acl"]) == ("Holidays", {"year": 2027}, ["group:staff"])
    assert body["acl_pending"] is True
    assert [job.document_id for job in await gateway.stored(UpdateIndexedDocument)] == [uploaded["id"]]

    again = await gateway.http.patch(path, json={"acl": ["group:staff"]})
    assert again.status_code == 200
    assert len(await gateway.stored(UpdateIndexedDocument)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"title": ""},
        {"title": "a\x00b"},
        {"title": "a\nb"},
        {"acl": []},
        {"acl": ["anna"]},
        {"acl": "*"},
        {"metadata": []},
        {"metadata": {"a": "x" * 20_000}},
        {"metadata": {"a": "\x00"}},
        {"colour": "red"},
        [],
    ],
)
async def test_a_bad_change_is_refused(gateway: Gateway, change: Any) -> None:
    uploaded = await gateway.upload()
    response = await gateway.http.patch(f"/v1/documents/{uploaded['id']}", json=change)
    problem(response, 422, "invalid_request")


async def test_a_json_text_with_half_a_character_is_refused(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    response = await gateway.http.patch(
        f"/v1/documents/{uploaded['id']}",
        content=json.dumps({"metadata": {"a": "\ud800"}}),
        headers={"Content-Type": "application/json"},
    )
    problem(response, 400, "malformed_body")


async def test_a_delete_holds_at_once_and_is_purged_behind(gateway: Gateway) -> None:
    uploaded = await gateway.upload()
    await gateway.make_live(uploaded)
    path = f"/v1/documents/{uploaded['id']}"
    deleted = await gateway.http.delete(path)
    assert (deleted.status_code, deleted.json()["state"]) == (202, "deleting")
    (job,) = await gateway.stored(PurgeDocument)
    assert (job.tenant, job.document_id, job.generations) == (TENANT, uploaded["id"], ())
    assert [event.outcome for event in await gateway.stored(DocumentEvent)][-1] == "deleting"

    assert (await gateway.get(path))["state"] == "deleting"
    assert (await gateway.get("/v1/documents"))["items"] == []
    assert len((await gateway.get("/v1/documents", state="deleting"))["items"]) == 1
    problem(await gateway.http.get(f"{path}/content"), 404, "unknown_document")
    problem(await gateway.http.patch(path, json={"title": "x"}), 404, "unknown_document")
    assert (await gateway.http.delete(path)).status_code == 202

    anew = await gateway.upload()
    assert anew["id"] != uploaded["id"]


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("GET", "/chunks"), ("GET", "/content"), ("GET", "/events"), ("DELETE", ""), ("PATCH", "")],
)
async def test_an_unknown_document_is_not_found(gateway: Gateway, method: str, suffix: str) -> None:
    body = {"json": {"title": "x"}} if method == "PATCH" else {}
    response = await gateway.http.request(method, f"/v1/documents/{NOBODY}{suffix}", **body)
    problem(response, 404, "unknown_document")
    response = await gateway.http.request(method, f"/v1/documents/not-a-uuid{suffix}", **body)
    problem(response, 422, "invalid_request")


async def test_a_document_of_another_tenant_is_not_found(gateway: Gateway) -> None:
    await gateway.registry.collections.create("other", "handbook")
    content = NewContent("handbook", "upload:/a", "0" * 64, 1, lane="interactive")
    accepted = await gateway.registry.accepting.uploads("other", [Upload(content, uuid.uuid4().hex)])
    path = f"/v1/documents/{accepted.items[0].document.document_id}"
    for method, suffix in (("GET", ""), ("GET", "/content"), ("GET", "/events"), ("DELETE", "")):
        problem(await gateway.http.request(method, path + suffix), 404, "unknown_document")


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data
