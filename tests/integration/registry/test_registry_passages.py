"""Neighbours of passages pass the same check as the passages themselves, in one statement."""

import pytest
from registry_support import TENANT, accept, embed, make_live

from rag_common.contracts import DocumentRef
from rag_common.registry import Registry

EVERYTHING = (0, 99, 0, 1000)


async def neighbours(
    registry: Registry, *windows: tuple[DocumentRef, tuple[int, int, int, int]], principal: str = "*"
) -> dict[str, list[int]]:
    """Of each document the numbers of the chunks."""
    asked = [(document.document_id, document.generation, *window) for document, window in windows]
    found = await registry.passages.neighbours(TENANT, ["*", principal], [], asked)
    return {document: sorted(chunks) for (document, _), chunks in found.items()}


async def test_windows_are_bounded_by_numbers_and_by_offsets(registry: Registry) -> None:
    """Four chunks of six characters, every ten."""
    one, other = await make_live(registry, "a"), await make_live(registry, "b")
    found = await neighbours(registry, (one, (1, 2, 0, 1000)), (other, (0, 9, 10, 26)))
    assert found == {one.document_id: [1, 2], other.document_id: [1, 2]}
    apart = await neighbours(registry, (one, (0, 0, 0, 99)), (one, (3, 3, 0, 99)))
    assert apart == {one.document_id: [0, 3]}
    rows = await registry.passages.neighbours(TENANT, ["*"], [], [(one.document_id, 1, 1, 1, -5, 16)])
    chunk = rows[one.document_id, 1][1]
    assert (chunk.text, chunk.start, chunk.end, chunk.gap) == ("text 1", 10, 16, None)
    assert await neighbours(registry) == {}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE documents SET acl = '{group:hr}' WHERE id = $1",
        "UPDATE documents SET state = 'deleting' WHERE id = $1",
        "UPDATE documents SET live_generation = 2 WHERE id = $1",
        "UPDATE collections SET deleted_at = now() WHERE $1::uuid IS NOT NULL",
    ],
)
async def test_nothing_is_left_of_what_was_withdrawn(registry: Registry, change: str) -> None:
    document = await make_live(registry, "a")
    async with registry.database.connection() as connection:
        await connection.execute(change, document.document_id)
    assert await neighbours(registry, (document, EVERYTHING), principal="user:alice") == {}


async def test_a_generation_that_is_not_live_yet_has_no_neighbours(registry: Registry) -> None:
    old = await make_live(registry, "a")
    new = (await accept(registry, "a", "two")).document
    assert await neighbours(registry, (new, EVERYTHING)) == {}
    await embed(registry, new)
    assert await neighbours(registry, (new, EVERYTHING)) == {}
    assert await neighbours(registry, (old, EVERYTHING)) == {old.document_id: [0, 1, 2, 3]}


async def test_another_tenant_and_other_collections_have_none(registry: Registry) -> None:
    document = await make_live(registry, "a")
    window = (document.document_id, document.generation, *EVERYTHING)
    assert await registry.passages.neighbours("other", ["*"], [], [window]) == {}
    assert await registry.passages.neighbours(TENANT, ["*"], ["elsewhere"], [window]) == {}
    assert len(await registry.passages.neighbours(TENANT, ["*"], ["handbook"], [window])) == 1
