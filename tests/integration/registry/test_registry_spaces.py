"""Known spaces, what is complete in them, and which one is active, on a real PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest
from registry_support import SPACE, TENANT, accept, complete, embed, make_live

from rag_common.contracts import DocumentRef
from rag_common.registry import DocumentsUnderWay, Registry, SpaceIncomplete, SpaceKnown, UnknownSpace
from rag_common.spaces import CATALOGUE, E5_SMALL, MINILM, Space

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


async def test_no_switch_leaves_documents_behind_that_are_on_their_way(registry: Registry) -> None:
    """They would become live in the old space, in the place of generations that the new one has."""
    old = await make_live(registry, "a", "one")
    await fill(registry, old, 0, 1)
    new = (await accept(registry, "a", "two")).document
    for unfinished in ("accepted", "embedding"):
        with pytest.raises(DocumentsUnderWay, match=f"1 documents .* '{SPACE}'"):
            await registry.spaces.activate(OTHER)
        await registry.spaces.activate(SPACE)
        assert {found.unfinished for found in await registry.spaces.coverage()} == {1}
        if unfinished == "accepted":
            await embed(registry, new)
    for batch in (0, 1):
        await complete(registry, new, batch)
    with pytest.raises(SpaceIncomplete):
        await registry.spaces.activate(OTHER)
    await fill(registry, new, 0, 1)
    await registry.spaces.activate(OTHER)
    assert {found.unfinished for found in await registry.spaces.coverage()} == {0}


async def test_a_switch_waits_for_what_is_just_being_accepted(registry: Registry) -> None:
    document = await make_live(registry, "a")
    await fill(registry, document, 0, 1)
    async with asyncio.timeout(15), registry.database.transaction() as connection:
        await connection.execute("UPDATE generations SET state = 'accepted'")
        switch = asyncio.create_task(registry.spaces.activate(OTHER))
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - the database has no event for it
            await asyncio.sleep(0.01)
    with pytest.raises(DocumentsUnderWay):
        await switch


async def test_a_space_of_ones_own_is_added_once(registry: Registry) -> None:
    own = Space("own", "models/own", 768, "q: ", "p: ", ("de", "fr"), 512)
    await registry.spaces.add(own)
    await registry.spaces.add(own)
    assert await registry.spaces.get("own") == own
    with pytest.raises(SpaceKnown, match="'own'"):
        await registry.spaces.add(replace(own, dimension=384))


async def test_an_unknown_space_is_not_activated(registry: Registry) -> None:
    with pytest.raises(UnknownSpace, match="'nothing'"):
        await registry.spaces.activate("nothing", even_incomplete=True)


async def test_texts_are_sampled_of_live_documents(registry: Registry) -> None:
    for name in "abc":
        await make_live(registry, name)
    await embed(registry, (await accept(registry, "unfinished")).document)
    assert await registry.spaces.sample_texts(10, characters=4) == ["text"] * 3
    assert len(await registry.spaces.sample_texts(2)) == 2
