"""Known spaces, what is complete in them, and which one is active, on a real PostgreSQL."""

import pytest
from registry_support import SPACE, TENANT, accept, embed, make_live

from rag_common.contracts import DocumentRef
from rag_common.registry import Registry, SpaceIncomplete, UnknownSpace
from rag_common.spaces import CATALOGUE, E5_SMALL, MINILM

OTHER = E5_SMALL.name


async def fill(registry: Registry, document: DocumentRef, *batches: int) -> None:
    for batch in batches:
        source = await registry.indexing.source(document, [batch * 2])
        assert source is not None
        completion = await registry.indexing.complete(document, OTHER, batch, source.acl_version)
        assert completion.outcome in ("pending", "live")


async def covered(registry: Registry) -> dict[str, tuple[int, int]]:
    return {found.space.name: (found.complete, found.live) for found in await registry.spaces.coverage()}


async def test_the_migrations_know_the_spaces_of_the_catalogue(registry: Registry) -> None:
    coverage = await registry.spaces.coverage()
    assert {found.space.name: found.space for found in coverage} == CATALOGUE
    assert [found.space for found in coverage if found.active] == [MINILM]
    assert {(found.complete, found.live) for found in coverage} == {(0, 0)}


async def test_only_whole_live_generations_are_complete(registry: Registry) -> None:
    first, second = await make_live(registry, "a"), await make_live(registry, "b")
    await embed(registry, (await accept(registry, "unfinished")).document)
    await fill(registry, first, 0, 1)
    await fill(registry, second, 1)
    counted = await covered(registry)
    assert (counted[SPACE], counted[OTHER], counted["bge-m3"]) == ((2, 2), (1, 2), (0, 2))
    assert await registry.spaces.lacking(OTHER) == [second]
    assert await registry.spaces.lacking(SPACE) == []
    assert [chunk.no for chunk in await registry.spaces.missing_chunks(OTHER, second)] == [0, 1]
    assert (await registry.documents.get(TENANT, second.document_id)).state == "live"


async def test_what_lacks_vectors_is_read_in_pages(registry: Registry) -> None:
    documents = [(await make_live(registry, str(n))).document_id for n in range(5)]
    found: list[str] = []
    while page := await registry.spaces.lacking(OTHER, found[-1] if found else None, limit=2):
        found += [document.document_id for document in page]
    assert found == sorted(documents)


async def test_a_new_generation_and_a_delete_change_the_coverage(registry: Registry) -> None:
    old, gone = await make_live(registry, "a", "one"), await make_live(registry, "b")
    for document in (old, gone):
        await fill(registry, document, 0, 1)
    new = await make_live(registry, "a", "two")
    await registry.documents.delete(TENANT, gone.document_id)
    counted = await covered(registry)
    assert (counted[SPACE], counted[OTHER]) == ((1, 1), (0, 1))
    assert await registry.spaces.lacking(OTHER) == [new]
    assert (await registry.indexing.complete(old, OTHER, 0, 1)).outcome == "refused"


async def test_an_incomplete_space_is_not_activated(registry: Registry) -> None:
    document = await make_live(registry, "a")
    with pytest.raises(SpaceIncomplete, match="1 live documents"):
        await registry.spaces.activate(OTHER)
    assert (await registry.spaces.active()).name == SPACE
    await registry.spaces.activate(OTHER, even_incomplete=True)
    assert (await registry.spaces.active()).name == OTHER
    await registry.spaces.activate(SPACE)
    await fill(registry, document, 0, 1)
    await registry.spaces.activate(OTHER)
    assert [found.space.name for found in await registry.spaces.coverage() if found.active] == [OTHER]


async def test_an_unknown_space_is_not_activated(registry: Registry) -> None:
    with pytest.raises(UnknownSpace, match="'nothing'"):
        await registry.spaces.activate("nothing", even_incomplete=True)


async def test_texts_are_sampled_of_live_documents(registry: Registry) -> None:
    for name in "abc":
        await make_live(registry, name)
    await embed(registry, (await accept(registry, "unfinished")).document)
    assert await registry.spaces.sample_texts(10, characters=4) == ["text"] * 3
    assert len(await registry.spaces.sample_texts(2)) == 2
