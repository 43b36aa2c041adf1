"""Uploading: what is accepted, stored and queued."""

import asyncio
import hashlib
import json
from typing import Any

import httpx
import pytest
from gateway_support import TENANT, Gateway, eventually, problem

from rag_common.contracts import AcceptedContent, IngestDocument, UpdateIndexedDocument


async def test_a_file_is_stored_accepted_and_queued(gateway: Gateway) -> None:
    content = b"Everyone has 28 days of leave."
    response = await gateway.http.post(
        "/v1/documents",
        data={
            "collection": "handbook",
            "title": "Leave",
            "metadata": json.dumps({"year": 2026, "отдел": "кадры"}),
            "acl": json.dumps(["group:staff", "*"]),
        },
        files=[("files", ("leave.md", content, "text/markdown; charset=utf-8"))],
    )
    assert response.status_code == 202
    (accepted,) = response.json()["documents"]
    assert accepted | {"id": ""} == {
        "id": "",
        "generation": 1,
        "state": "accepted",
        "outcome": "accepted",
        "collection": "handbook",
        "source_uri": "upload:/leave.md",
        "file_name": "leave.md",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }

    document = await gateway.get(f"/v1/documents/{accepted['id']}")
    assert (document["title"], document["acl"]) == ("Leave", ["group:staff", "*"])
    assert document["metadata"] == {"year": 2026, "отдел": "кадры"}
    assert document["media_type"] == "text/markdown"
    (job,) = await gateway.stored(IngestDocument)
    assert job.content == AcceptedContent(document_id=accepted["id"], generation=1)
    assert job.file_name == "leave.md"


async def test_fields_may_come_after_the_files(gateway: Gateway) -> None:
    files = [
        ("files", ("a.txt", b"first")),
        ("files", ("b.txt", b"second")),
        ("collection", (None, b"handbook")),
    ]
    response = await gateway.http.post("/v1/documents", files=files)
    assert response.status_code == 202, response.text
    assert [item["source_uri"] for item in response.json()["documents"]] == ["upload:/a.txt", "upload:/b.txt"]


async def test_text_comes_as_json(gateway: Gateway) -> None:
    body = {"collection": "handbook", "text": "Tea is at four. ☕", "source_uri": "wiki:/tea", "title": "Tea"}
    response = await gateway.http.post("/v1/documents", json=body)
    assert response.status_code == 202
    (accepted,) = response.json()["documents"]
    assert (accepted["source_uri"], accepted["file_name"]) == ("wiki:/tea", None)
    content = await gateway.http.get(f"/v1/documents/{accepted['id']}/content")
    assert content.text == "Tea is at four. ☕"


async def test_a_text_without_a_source_is_known_by_its_content(gateway: Gateway) -> None:
    body = {"collection": "handbook", "text": "Tea is at four."}
    first = (await gateway.http.post("/v1/documents", json=body)).json()["documents"][0]
    again = await gateway.http.post("/v1/documents", json=body)
    assert (again.status_code, again.json()["documents"][0]["id"]) == (200, first["id"])
    other = await gateway.http.post("/v1/documents", json=body | {"text": "Tea is at five."})
    assert other.json()["documents"][0]["id"] != first["id"]


async def test_the_same_bytes_again_are_unchanged_and_leave_no_object(gateway: Gateway) -> None:
    first = await gateway.upload()
    objects = await gateway.object_names()
    again = await gateway.upload()
    assert (again["id"], again["generation"], again["outcome"]) == (first["id"], 1, "unchanged")
    assert await gateway.object_names() == objects
    assert len(await gateway.stored(IngestDocument)) == 1


async def test_other_bytes_are_the_next_generation(gateway: Gateway) -> None:
    first = await gateway.upload(b"one")
    second = await gateway.upload(b"two")
    assert (second["id"], second["generation"]) == (first["id"], 2)


async def test_the_same_bytes_with_another_acl_update_the_index(gateway: Gateway) -> None:
    first = await gateway.upload()
    await gateway.make_live(first)
    changed = await gateway.upload(acl='["user:anna"]')
    assert changed["outcome"] == "updated"
    assert [job.document_id for job in await gateway.stored(UpdateIndexedDocument)] == [first["id"]]
    assert (await gateway.get(f"/v1/documents/{first['id']}"))["acl_pending"] is True


async def test_the_same_key_returns_the_same_answer(gateway: Gateway) -> None:
    key = {"Idempotency-Key": "order-66"}
    request: dict[str, Any] = {"data": {"collection": "handbook"}, "files": [("files", ("a.txt", b"one"))]}
    first = await gateway.http.post("/v1/documents", headers=key, **request)
    assert "idempotency-replayed" not in first.headers
    await gateway.make_live(first.json()["documents"][0])

    objects = await gateway.object_names()
    again = await gateway.http.post("/v1/documents", headers=key, **request)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert await gateway.object_names() == objects
    assert len(await gateway.stored(IngestDocument)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"files": [("files", ("a.txt", b"two"))]},
        {"files": [("files", ("b.txt", b"one"))]},
        {"data": {"collection": "handbook", "title": "Another"}},
    ],
)
async def test_the_same_key_with_another_request_is_a_conflict(
    gateway: Gateway, change: dict[str, Any]
) -> None:
    key = {"Idempotency-Key": "order-66"}
    request: dict[str, Any] = {"data": {"collection": "handbook"}, "files": [("files", ("a.txt", b"one"))]}
    await gateway.http.post("/v1/documents", headers=key, **request)
    objects = await gateway.object_names()
    response = await gateway.http.post("/v1/documents", headers=key, **{**request, **change})
    problem(response, 409, "idempotency_conflict")
    assert await gateway.object_names() == objects


async def test_a_file_name_with_a_path_loses_it(gateway: Gateway) -> None:
    for number, name in enumerate(("../../etc/passwd", "C:\\Users\\anna\\passwd", "/passwd")):
        uploaded = await gateway.upload(str(number).encode(), name=name)
        assert uploaded["file_name"] == "passwd"
        assert uploaded["source_uri"] == "upload:/passwd"


@pytest.mark.parametrize("name", ["отпуск.txt", "🏖️ leave.txt", "a b (1).txt", "naïve\u0301.txt"])
async def test_a_file_name_keeps_its_letters(gateway: Gateway, name: str) -> None:
    uploaded = await gateway.upload(name=name)
    content = await gateway.http.get(f"/v1/documents/{uploaded['id']}/content")
    quoted = httpx.QueryParams({"n": uploaded["file_name"]})
    assert content.headers["content-disposition"].startswith("attachment; filename=")
    assert str(quoted)[2:].replace("+", "%20") in content.headers["content-disposition"].replace(
        "(", "%28"
    ).replace(")", "%29")


async def test_an_extended_file_name_wins(gateway: Gateway) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="collection"\r\n\r\nhandbook\r\n'
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="leave.txt"; '
        b"filename*=UTF-8''%D0%BE%D1%82%D0%BF%D1%83%D1%81%D0%BA.txt\r\n\r\nhello\r\n--x--\r\n"
    )
    response = await gateway.http.post(
        "/v1/documents", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert response.json()["documents"][0]["file_name"] == "отпуск.txt"


async def test_an_upload_that_breaks_off_leaves_nothing(gateway: Gateway) -> None:
    host, port = gateway.http.base_url.host, gateway.http.base_url.port
    _, writer = await asyncio.open_connection(host, port)
    head = (
        f"POST /v1/documents HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10000000\r\n"
        f"Authorization: {gateway.http.headers['authorization']}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
    )
    writer.write(head.encode() + b"y" * 1_000_000)
    await writer.drain()

    async def arriving() -> bool | None:
        return await gateway.chunks_left() > 0 or None

    async def gone() -> bool | None:
        return await gateway.chunks_left() == 0 or None

    await eventually(arriving)
    writer.close()
    await eventually(gone)
    assert await gateway.object_names() == set()


async def test_many_uploads_at_once_are_all_accepted(gateway: Gateway) -> None:
    uploads = [gateway.upload(f"text {number}".encode(), name=f"{number}.txt") for number in range(20)]
    accepted = await asyncio.gather(*uploads)
    assert len({item["id"] for item in accepted}) == 20
    assert len(await gateway.stored(IngestDocument)) == 20
    page = await gateway.registry.documents.page(TENANT, limit=100)
    assert {document.id for document in page} == {item["id"] for item in accepted}
