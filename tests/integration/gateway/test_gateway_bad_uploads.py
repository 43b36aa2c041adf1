"""What an upload is refused for. Whatever it is, the answer is a problem and no object stays behind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_support import Gateway, Place, problem, running_gateway
from nats.js import JetStreamContext

from rag_common.contracts import IngestDocument
from rag_common.registry import Registry

FILE = ("files", ("leave.txt", b"Everyone has 28 days."))
COLLECTION = {"collection": "handbook"}


@pytest.fixture
async def small(place: Place, registry: Registry, jetstream: JetStreamContext) -> AsyncIterator[Gateway]:
    """A gateway that takes uploads of 300 kB and three files at most."""
    async with running_gateway(
        place, registry, jetstream, max_upload_bytes=300_000, max_json_bytes=100_000, max_files=3
    ) as running:
        yield running


async def nothing_left(gateway: Gateway) -> None:
    assert await gateway.chunks_left() == 0
    assert await gateway.stored(IngestDocument) == []
    assert await gateway.registry.documents.page("default") == []


@pytest.mark.parametrize(
    ("data", "files", "status", "code"),
    [
        (COLLECTION, [("files", ("empty.txt", b""))], 422, "empty_file"),
        (COLLECTION, [FILE, ("files", ("empty.txt", b""))], 422, "empty_file"),
        (COLLECTION, [("files", ("x" * 300, b"text"))], 422, "invalid_file_name"),
        (COLLECTION, [("files", ("ж" * 300, b"text"))], 422, "invalid_file_name"),
        (COLLECTION, [("files", ("folder/", b"text"))], 422, "invalid_file_name"),
        (COLLECTION, [("files", ("..", b"text"))], 422, "invalid_file_name"),
        (COLLECTION, [("collection", (None, b"other")), FILE], 422, "invalid_request"),
        ({}, [FILE], 422, "invalid_request"),
        ({"collection": "Not A Name"}, [FILE], 422, "invalid_request"),
        ({"collection": "unknown"}, [FILE], 404, "unknown_collection"),
        (COLLECTION | {"colour": "red"}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"metadata": "{"}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"metadata": "[1]"}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"metadata": '{"a": NaN}'}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"metadata": '{"a": 1e999}'}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"metadata": '{"a": "\\ud800"}'}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"metadata": '{"a": "\\u0000"}'}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"metadata": "[" * 5000}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"metadata": '{"a": "' + "x" * 20_000 + '"}'}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"metadata": '{"a": "' + "x" * 70_000 + '"}'}, [FILE], 413, "field_too_large"),
        (COLLECTION | {"acl": "[]"}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"acl": '["anna"]'}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"title": "a\x00b"}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"title": ""}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"source_uri": "x" * 2001}, [FILE], 422, "invalid_request"),
        (COLLECTION | {"source_uri": "one"}, [FILE, ("files", ("b.txt", b"b"))], 422, "fields_of_one_file"),
        (COLLECTION | {"title": "one"}, [FILE, ("files", ("b.txt", b"b"))], 422, "fields_of_one_file"),
        (COLLECTION, [FILE, FILE], 422, "duplicate_file_name"),
    ],
)
async def test_a_bad_form_is_refused(
    gateway: Gateway, data: dict[str, str], files: list[Any], status: int, code: str
) -> None:
    problem(await gateway.http.post("/v1/documents", data=data, files=files), status, code)
    await nothing_left(gateway)


async def test_control_characters_in_a_file_name_are_refused(gateway: Gateway) -> None:
    for character in (b"\x00", b"\x07", b"\x1b", b"\x7f", "\x85".encode()):
        name = b"a" + character + b"b.txt"
        body = (
            b'--x\r\nContent-Disposition: form-data; name="collection"\r\n\r\nhandbook\r\n--x\r\n'
            b'Content-Disposition: form-data; name="files"; filename="'
            + name
            + b'"\r\n\r\nhello\r\n--x--\r\n'
        )
        response = await gateway.http.post(
            "/v1/documents", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
        assert response.status_code in (400, 422), response.text
        problem(response, response.status_code, response.json()["code"])
    await nothing_left(gateway)


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("multipart/form-data", b"hello", 400, "malformed_body"),
        ("multipart/form-data; boundary=" + "x" * 300, b"hello", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"hello", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Dis", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"--x\r\nno header\r\n\r\n--x--", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"--x\r\nA: b\r\n\r\nhello\r\n--x--\r\n", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422, "no_files"),
        ("application/x-www-form-urlencoded", b"collection=handbook", 415, "unsupported_media_type"),
        ("text/plain", b"hello", 415, "unsupported_media_type"),
        ("", b"hello", 415, "unsupported_media_type"),
        ("application/json", b"{", 400, "malformed_body"),
        ("application/json", b"\xff\xfe", 400, "malformed_body"),
        ("application/json", b"", 400, "malformed_body"),
        ("application/json", b"[" * 100_000, 400, "malformed_body"),
        ("application/json", b"null", 422, "invalid_request"),
        ("application/json", b'{"collection": "handbook"}', 422, "invalid_request"),
        ("application/json", b'{"collection": "handbook", "text": ""}', 422, "invalid_request"),
        ("application/json", b'{"collection": "handbook", "text": "a\\u0000b"}', 422, "invalid_request"),
        ("application/json", b'{"collection": "handbook", "text": 7}', 422, "invalid_request"),
        ("application/json", b'{"collection": "nope", "text": "hello"}', 404, "unknown_collection"),
    ],
)
async def test_a_bad_body_is_refused(
    gateway: Gateway, content_type: str, body: bytes, status: int, code: str
) -> None:
    response = await gateway.http.post(
        "/v1/documents", content=body, headers={"Content-Type": content_type} if content_type else {}
    )
    problem(response, status, code)
    await nothing_left(gateway)


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "ключ"])
async def test_a_bad_idempotency_key_is_refused(gateway: Gateway, key: str) -> None:
    response = await gateway.http.post(
        "/v1/documents", data=COLLECTION, files=[FILE], headers={"Idempotency-Key": key.encode()}
    )
    problem(response, 422, "invalid_request")


async def test_a_file_above_the_limit_is_refused_by_its_length(small: Gateway) -> None:
    body = b"x" * 2_000_000
    response = await small.http.post("/v1/documents", data=COLLECTION, files=[("files", ("big.txt", body))])
    assert "300000" in problem(response, 413, "too_large")["detail"]
    await nothing_left(small)


async def test_a_file_above_the_limit_is_refused_while_it_streams(small: Gateway) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
        for _ in range(40):
            yield b"y" * 10_000
        yield b"\r\n--x--\r\n"

    response = await small.http.post(
        "/v1/documents", content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    problem(response, 413, "too_large")
    await nothing_left(small)


async def test_the_limit_is_of_all_files_together(small: Gateway) -> None:
    files = [("files", (f"{number}.txt", b"x" * 120_000)) for number in range(3)]
    problem(await small.http.post("/v1/documents", data=COLLECTION, files=files), 413, "too_large")
    await nothing_left(small)
    accepted = await small.http.post("/v1/documents", data=COLLECTION, files=files[:2])
    assert accepted.status_code == 202


async def test_too_many_files_are_refused(small: Gateway) -> None:
    files = [("files", (f"{number}.txt", b"x")) for number in range(4)]
    problem(await small.http.post("/v1/documents", data=COLLECTION, files=files), 422, "too_many_files")
    await nothing_left(small)


async def test_ten_megabytes_of_metadata_are_refused_while_they_arrive(gateway: Gateway) -> None:
    metadata = '{"a": "' + "x" * 10_000_000 + '"}'
    response = await gateway.http.post(
        "/v1/documents", data=COLLECTION | {"metadata": metadata}, files=[FILE]
    )
    problem(response, 413, "field_too_large")
    await nothing_left(gateway)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/collections", "/v1/documents"])
async def test_a_large_json_body_is_refused(small: Gateway, path: str) -> None:
    problem(await small.http.post(path, json={"query": "x" * 200_000}), 413, "too_large")


async def test_a_body_that_never_ends_is_given_up(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhello'
        for _ in range(100):
            yield b"a little"
            await asyncio.sleep(0.05)

    async with running_gateway(place, registry, jetstream, upload_timeout=0.3) as gateway:
        response = await gateway.http.post(
            "/v1/documents", content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
        assert "0.3 s" in problem(response, 408, "request_timeout")["detail"]
        await nothing_left(gateway)


async def test_a_body_that_stops_coming_is_given_up(
    place: Place, registry: Registry, jetstream: JetStreamContext
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhello'
        await asyncio.sleep(2)

    async with running_gateway(place, registry, jetstream, body_timeout=0.2) as gateway:
        response = await gateway.http.post(
            "/v1/documents", content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
        problem(response, 408, "request_timeout")
        await nothing_left(gateway)
