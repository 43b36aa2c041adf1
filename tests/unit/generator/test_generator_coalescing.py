import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_common.contracts import Citation
from rag_generator.domain.citing import Cited
from rag_generator.domain.coalescing import READ_AHEAD, Coalesced

CITATION = Citation(
    n=1,
    document_id="d",
    generation=1,
    collection="handbook",
    title="Leave",
    source_uri="file:///leave",
    start=0,
    end=1,
    quote="L",
)


async def pieces(texts: Sequence[str | None]) -> AsyncGenerator[Cited, None]:
    """``None``: the model pauses, as far as the event loop is concerned."""
    for text in texts:
        if text is None:
            await asyncio.sleep(0)
        else:
            yield Cited(text, (CITATION,) if "[1]" in text else ())


async def taken(coalesced: Coalesced) -> list[Cited]:
    batches = []
    while (batch := await coalesced.take(10)) is not None:
        batches.append(batch)
    return batches


@given(texts=st.lists(st.none() | st.sampled_from(["a", "б", "[1]", "\n", "long " * 50]), max_size=600))
def test_nothing_is_lost_or_reordered(texts: list[str | None]) -> None:
    async def run() -> list[Cited]:
        async with Coalesced(pieces(texts)) as coalesced:
            return await taken(coalesced)

    batches = asyncio.run(run())
    written = [text for text in texts if text is not None]
    assert "".join(batch.text for batch in batches) == "".join(written)
    assert sum(len(batch.citations) for batch in batches) == written.count("[1]")


async def test_what_waits_is_taken_together() -> None:
    async with Coalesced(pieces(["a", "b", "c"])) as coalesced:
        await coalesced.gather()
        assert await coalesced.take(10) == Cited("abc")
        assert await coalesced.take(10) is None
        assert await coalesced.take(10) is None


async def test_the_first_piece_does_not_wait_for_others() -> None:
    more = asyncio.Event()

    async def slow() -> AsyncGenerator[Cited, None]:
        yield Cited("first")
        await more.wait()
        yield Cited("second")

    async with Coalesced(slow()) as coalesced:
        assert await coalesced.take(10) == Cited("first")
        assert await coalesced.take(0) == Cited("")
        more.set()
        assert await coalesced.take(10) == Cited("second")


async def test_the_model_waits_for_a_slow_reader() -> None:
    written = 0

    async def eager() -> AsyncGenerator[Cited, None]:
        nonlocal written
        while True:
            written += 1
            yield Cited("x")

    async with Coalesced(eager()) as coalesced:
        await coalesced.gather()
        assert written == READ_AHEAD + 1


async def test_leaving_closes_the_model() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[Cited, None]:
        try:
            yield Cited("x")
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with Coalesced(endless()) as coalesced:
        await coalesced.take(10)
    assert closed.is_set()


async def test_a_failure_comes_to_the_reader() -> None:
    async def broken() -> AsyncGenerator[Cited, None]:
        yield Cited("x")
        raise ValueError("broken")

    async with Coalesced(broken()) as coalesced:
        with pytest.raises(ValueError, match="broken"):
            await taken(coalesced)
