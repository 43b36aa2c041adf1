"""What makes BM25 scores of different questions and indexes comparable."""

import math

import pytest

from rag_retriever.domain.bm25_unit import REMEMBERED_SECONDS, Bm25Unit


async def of(chunks: int, terms: int) -> float | None:
    async def count(_: str) -> int:
        return chunks

    return await Bm25Unit(count)("minilm", terms)


@pytest.mark.parametrize("chunks", [1, 3, 1000])
async def test_it_is_the_idf_of_a_term_in_one_chunk(chunks: int) -> None:
    idf = math.log(1 + (chunks - 1 + 0.5) / (1 + 0.5))

    assert await of(chunks, 1) == pytest.approx(idf)
    assert await of(chunks, 9) == pytest.approx(3 * idf)


async def test_without_terms_or_chunks_there_is_none() -> None:
    assert await of(0, 3) is None
    assert await of(3, 0) is None


async def test_a_space_is_counted_now_and_then() -> None:
    now = 0.0
    counted: list[str] = []

    async def count(space: str) -> int:
        counted.append(space)
        return 10 * len(counted)

    unit = Bm25Unit(count, lambda: now)
    first = await unit("minilm", 4)
    await unit("e5", 4)
    assert await unit("minilm", 4) == first
    now += REMEMBERED_SECONDS
    assert await unit("minilm", 4) != first
    assert counted == ["minilm", "e5", "minilm"]
