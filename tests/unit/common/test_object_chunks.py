from collections.abc import AsyncIterator

from hypothesis import given, settings
from hypothesis import strategies as st

from rag_common.object_chunks import chunks_of


async def source(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@settings(max_examples=50, deadline=None)
@given(pieces=st.lists(st.binary(max_size=40), max_size=12), size=st.integers(1, 16))
async def test_the_same_bytes_in_equal_chunks(pieces: list[bytes], size: int) -> None:
    chunks = [chunk async for chunk in chunks_of(source(pieces), size)]
    assert b"".join(chunks) == b"".join(pieces)
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= size for chunk in chunks[-1:])
