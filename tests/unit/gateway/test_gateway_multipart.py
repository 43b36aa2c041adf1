"""However a body is cut into pieces, the same parts come out of it."""

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_gateway.multipart import (
    MAX_FIELD_BYTES,
    FieldTooLarge,
    FormField,
    FormFile,
    MalformedMultipart,
    MultipartReader,
)

BOUNDARY = "x--boundary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
Part = tuple[str, str | None, bytes]
"""Name, file name if it is a file, content."""


def encode(parts: Sequence[Part]) -> bytes:
    body = b""
    for name, file_name, content in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{file_name}"' if file_name else "")
        head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n"
        body += head.encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


async def pieces(body: bytes, cuts: Sequence[int]) -> AsyncIterator[bytes]:
    ends = sorted({cut % (len(body) + 1) for cut in cuts} | {len(body)})
    start = 0
    for end in ends:
        yield body[start:end]
        start = end


async def read(body: bytes, cuts: Sequence[int] = (), content_type: str = CONTENT_TYPE) -> list[Part]:
    parts: list[Part] = []
    async for part in MultipartReader(content_type, pieces(body, cuts)).parts():
        if isinstance(part, FormField):
            parts.append((part.name, None, part.value.encode()))
        else:
            content = b"".join([chunk async for chunk in part.chunks])
            parts.append((part.name, part.file_name, content))
    return parts


names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=10)
contents = st.one_of(
    st.binary(max_size=300),
    # what looks like the boundary, and is not
    st.sampled_from([b"\r\n--x--boundar", b"--", b"\r\n", b"\r", b"\r\n--x--boundaryZ", b"\r\n\r\n--"]),
)
files = st.tuples(names, names, contents)
fields = st.tuples(names, st.none(), st.text(max_size=50).map(str.encode))


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.one_of(files, fields), max_size=5), cuts=st.lists(st.integers(0, 5000), max_size=30))
async def test_any_cut_of_a_body_gives_the_same_parts(parts: list[Part], cuts: list[int]) -> None:
    assert await read(encode(parts), cuts) == parts


@settings(max_examples=30, deadline=None)
@given(parts=st.lists(files, min_size=1, max_size=3))
async def test_a_byte_at_a_time_gives_the_same_parts(parts: list[Part]) -> None:
    body = encode(parts)
    assert await read(body, range(len(body))) == parts


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(files, min_size=1, max_size=3), data=st.data())
async def test_a_body_that_ends_early_is_never_complete(parts: list[Part], data: st.DataObject) -> None:
    body = encode(parts)
    end = data.draw(st.integers(0, len(body) - len("-\r\n") - 1))
    with pytest.raises(MalformedMultipart):
        await read(body[:end])


async def test_what_is_left_of_a_file_is_skipped() -> None:
    body = encode([("files", "a.txt", b"y" * 1000), ("collection", None, b"handbook")])
    seen = []
    async for part in MultipartReader(CONTENT_TYPE, pieces(body, range(0, 2000, 100))).parts():
        if isinstance(part, FormFile):
            assert await anext(part.chunks)
        seen.append(part.name)
    assert seen == ["files", "collection"]


async def test_a_body_is_taken_piece_by_piece() -> None:
    body = encode([("files", "a.txt", b"y" * 100_000)])
    taken = 0

    async def counting() -> AsyncIterator[bytes]:
        nonlocal taken
        for start in range(0, len(body), 1000):
            taken += 1
            yield body[start : start + 1000]

    parts = MultipartReader(CONTENT_TYPE, counting()).parts()
    part = await anext(parts)
    assert isinstance(part, FormFile)
    await anext(part.chunks)
    assert taken == 1


async def test_a_field_is_refused_before_all_of_it_has_come() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'.encode()
        while True:
            taken += 1000
            yield b"x" * 1000

    with pytest.raises(FieldTooLarge):
        async for _ in MultipartReader(CONTENT_TYPE, endless()).parts():
            pass
    assert taken <= MAX_FIELD_BYTES + 2000


async def test_endless_headers_and_parts_are_refused() -> None:
    head = f"--{BOUNDARY}\r\nContent-Disposition: ".encode()
    with pytest.raises(MalformedMultipart):
        await read(head + b"x" * 100_000)
    many = encode([("a", None, b"")] * 2000)
    with pytest.raises(MalformedMultipart):
        await read(many)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary"]
)
async def test_without_a_boundary_nothing_can_be_read(content_type: str) -> None:
    with pytest.raises(MalformedMultipart):
        await read(b"", content_type=content_type)


async def test_a_field_that_is_not_text_is_refused() -> None:
    with pytest.raises(MalformedMultipart):
        await read(encode([("title", None, b"\xff\xfe")]))
