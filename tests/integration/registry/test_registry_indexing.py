"""Completion by counting, and the races of the document protocol, on a real PostgreSQL."""

import asyncio
import random
import time

import pytest
from registry_support import SPACE, TENANT, accept, complete, drop, embed, found, make_live, upload

from rag_common.contracts import DocumentRef
from rag_common.registry import ChunkRow, Order, Registry, UnknownCollection


async def _states(registry: Registry, document: DocumentRef) -> list[tuple[str | None, str]]:
    transitions = await registry.documents.transitions(TENANT, document.document_id)
    return [(transition.from_state, transition.to_state) for transition in transitions]


async def test_batches_completed_at_once_make_the_document_live_once(registry: Registry) -> None:
    document = (await accept(registry, "a")).document
    batches = await embed(registry, document, chunks=40)
    order = random.Random(7).sample(range(batches), batches)
    outcomes = await asyncio.gather(*(complete(registry, document, batch) for batch in order))
    assert [outcome.outcome for outcome in outcomes].count("live") == 1
    assert (await _states(registry, document)).count(("embedding", "live")) == 1


async def test_a_batch_counts_once_however_often_it_arrives(registry: Registry) -> None:
    document = (await accept(registry, "a")).document
    await embed(registry, document, chunks=4)
    for _ in range(3):
        assert (await complete(registry, document, 0)).outcome == "pending"
    assert (await complete(registry, document, 1)).outcome == "live"
    assert (await complete(registry, document, 1)).outcome == "live", "a redelivery changes nothing"
    assert (await _states(registry, document)).count(("embedding", "live")) == 1


async def test_a_replaced_generation_is_refused(registry: Registry) -> None:
    old = (await accept(registry, "a", "one")).document
    await embed(registry, old)
    new = (await accept(registry, "a", "two")).document
    assert await registry.indexing.source(old, [0]) is None
    assert (await registry.indexing.complete(old, SPACE, 0, 1)).outcome == "refused"
    for batch in range(await embed(registry, new)):
        completion = await complete(registry, new, batch)
    assert (completion.outcome, completion.purge) == ("live", (1,))


async def test_a_deleted_document_is_refused(registry: Registry) -> None:
    document = (await accept(registry, "a")).document
    await embed(registry, document)
    await registry.documents.delete(TENANT, document.document_id)
    assert (await registry.indexing.complete(document, SPACE, 0, 1)).outcome == "refused"
    assert not await found(registry, document)


async def test_chunks_of_an_overtaken_generation_are_not_committed(registry: Registry) -> None:
    old = (await accept(registry, "a", "one")).document
    await registry.ingesting.begin(old, 1)
    await accept(registry, "a", "two")
    assert not await registry.ingesting.commit_chunks(old, [], batches=0, fingerprint="pipeline")


async def test_an_acl_changed_during_the_upsert_is_applied_again(registry: Registry) -> None:
    document = (await accept(registry, "a")).document
    await embed(registry, document, chunks=2)
    source = await registry.indexing.source(document, [0, 1])
    assert source is not None
    assert await registry.documents.patch(TENANT, document.document_id, acl=("user:anna",))
    stale = await registry.indexing.complete(document, SPACE, 0, source.acl_version)
    assert stale.outcome == "acl_changed"
    assert (await complete(registry, document, 0)).outcome == "live"
    assert not (await registry.documents.get(TENANT, document.document_id)).acl_pending


async def test_text_is_indexed_in_its_context(registry: Registry) -> None:
    document = (await accept(registry, "a")).document
    await registry.ingesting.begin(document, 1)
    rows = [
        ChunkRow(0, "# Leave\n\nWords.", 0, 15),
        ChunkRow(1, "More.", 16, 21, gap="\n", context="Handbook\nLeave"),
    ]
    assert await registry.ingesting.commit_chunks(document, rows, batches=1, fingerprint="pipeline")
    assert await registry.ingesting.chunks(document) == rows
    source = await registry.indexing.source(document, [0, 1])
    assert source is not None
    assert source.texts == {row.no: row.in_context for row in rows}
    assert source.texts[1] == "Handbook\nLeave\nMore."


async def test_a_revocation_holds_at_once_and_a_grant_is_pending(registry: Registry) -> None:
    document = await make_live(registry, "a", acl=("user:anna",))
    assert await found(registry, document, "user:anna")
    await registry.documents.patch(TENANT, document.document_id, acl=("user:boris",))
    assert not await found(registry, document, "user:anna")
    assert (await registry.documents.get(TENANT, document.document_id)).acl_pending
    source = await registry.indexing.update_source(TENANT, document.document_id)
    assert source is not None
    assert await registry.indexing.updated(TENANT, document.document_id, source.acl_version)
    assert not (await registry.documents.get(TENANT, document.document_id)).acl_pending


async def test_an_update_that_was_overtaken_says_so(registry: Registry) -> None:
    document = await make_live(registry, "a")
    source = await registry.indexing.update_source(TENANT, document.document_id)
    assert source is not None
    await registry.documents.patch(TENANT, document.document_id, metadata={"year": 2026})
    assert not await registry.indexing.updated(TENANT, document.document_id, source.acl_version)


async def test_batches_written_under_an_older_acl_leave_it_pending(registry: Registry) -> None:
    document = (await accept(registry, "a")).document
    await embed(registry, document, chunks=4)
    await complete(registry, document, 0)
    await registry.documents.patch(TENANT, document.document_id, acl=("user:anna",))
    assert (await complete(registry, document, 1)).outcome == "live"
    assert (await registry.documents.get(TENANT, document.document_id)).acl_pending


async def test_a_deleted_collection_hides_its_documents_at_once(registry: Registry) -> None:
    document = await make_live(registry, "a")
    await registry.collections.delete(TENANT, "handbook")
    assert not await found(registry, document)
    with pytest.raises(UnknownCollection):
        await registry.collections.get(TENANT, "handbook")
    assert await registry.reconciling.delete_orphaned_documents() == 1
    plan = await registry.indexing.purge_plan(TENANT, document.document_id, ())
    assert plan is not None
    assert plan.whole


async def test_a_drop_into_a_new_collection_of_the_name_may_be_older_than_the_sweep_of_the_old_one(
    registry: Registry,
) -> None:
    document = await make_live(registry, "a")
    inside = await registry.members.accept(document, upload("a!/b.txt"))
    assert inside is not None
    await registry.collections.delete(TENANT, "handbook")
    await registry.collections.create(TENANT, "handbook")
    queued = Order(time.time_ns(), 1)
    assert await registry.reconciling.delete_orphaned_documents() == 2
    for source in ("a", "a!/b.txt"):
        assert (await drop(registry, source, "one", queued)).outcome == "accepted"


async def test_a_purge_takes_only_what_is_over(registry: Registry) -> None:
    document = await make_live(registry, "a", "one")
    assert await registry.indexing.purge_plan(TENANT, document.document_id, (1,)) is None
    await make_live(registry, "a", "two")
    plan = await registry.indexing.purge_plan(TENANT, document.document_id, (1, 2))
    assert plan is not None
    assert (plan.whole, plan.generations, len(plan.upload_ids)) == (False, (1,), 1)
    await registry.indexing.purged(TENANT, plan, points=4, objects=1)
    assert await registry.indexing.purge_plan(TENANT, document.document_id, (1, 2)) is None
    assert await registry.ingesting.chunks(document) == []


async def test_a_purged_document_keeps_its_tombstone_and_receipt(registry: Registry) -> None:
    document = await make_live(registry, "a")
    await registry.documents.delete(TENANT, document.document_id)
    plan = await registry.indexing.purge_plan(TENANT, document.document_id, ())
    assert plan is not None
    await registry.indexing.purged(TENANT, plan, points=4, objects=1)
    assert (await registry.documents.get(TENANT, document.document_id)).state == "deleted"
    assert (await _states(registry, document))[-2:] == [("live", "deleting"), ("deleting", "deleted")]


async def test_points_of_purged_and_unknown_generations_are_orphans(registry: Registry) -> None:
    live = await make_live(registry, "a", "one")
    newer = await make_live(registry, "a", "two")
    plan = await registry.indexing.purge_plan(TENANT, live.document_id, (1,))
    assert plan is not None
    await registry.indexing.purged(TENANT, plan, points=4, objects=1)
    unknown = "00000000-0000-0000-0000-000000000001"
    orphans = await registry.indexing.unknown_generations(
        [(live.document_id, 1), (newer.document_id, 2), (unknown, 1)]
    )
    assert sorted(orphans) == sorted([(live.document_id, 1), (unknown, 1)])


async def test_one_reconciler_at_a_time(registry: Registry) -> None:
    async with registry.reconciling.turn() as first, registry.reconciling.turn() as second:
        assert (first, second) == (True, False)
    async with registry.reconciling.turn() as again:
        assert again


async def test_the_reconciler_s_lock_is_in_a_session_of_its_own(database_url: str) -> None:
    registry = await Registry.connect(database_url, pool_size=1)
    try:
        async with registry.reconciling.turn() as held:
            assert held
            async with registry.database.connection() as only:
                own = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                assert await only.fetchval(own) == 0
    finally:
        await registry.close()


async def test_another_tenants_dead_letter_cannot_fail_a_document(registry: Registry) -> None:
    document = (await accept(registry, "a")).document
    forged = document.model_copy(update={"tenant": "other"})
    assert not await registry.ingesting.fail(forged, stage="ingest", code="x", message="x", attempts=6)
    assert await registry.ingesting.fail(document, stage="ingest", code="x", message="x", attempts=6)


async def test_a_late_batch_of_the_live_generation_is_written_again(registry: Registry) -> None:
    live = await make_live(registry, "a", "one")
    await accept(registry, "a", "two")
    assert await registry.indexing.source(live, [0]) is not None
    assert (await complete(registry, live, 0)).outcome == "live"
    assert await found(registry, live)


async def test_a_generation_that_failed_meanwhile_does_not_go_live(registry: Registry) -> None:
    for number in range(5):
        document = (await accept(registry, f"{number}")).document
        await embed(registry, document, chunks=2)
        completion, failed = await asyncio.gather(
            complete(registry, document, 0),
            registry.ingesting.fail(document, stage="embed", code="x", message="x", attempts=6),
        )
        assert (completion.outcome == "live") != failed
        assert await found(registry, document) != failed


async def test_chunks_committed_again_are_counted_from_nothing(registry: Registry) -> None:
    first = (await accept(registry, "a", "one")).document
    await embed(registry, first)
    assert (await complete(registry, first, 0)).outcome == "pending"
    second = (await accept(registry, "a", "two")).document
    await registry.ingesting.supersede(first)
    await registry.accepting.reject(TENANT, [second])
    await embed(registry, first)
    assert (await complete(registry, first, 1)).outcome == "pending"
    assert (await complete(registry, first, 0)).outcome == "live"


async def test_a_found_title_replaces_only_the_one_it_was_found_beside(registry: Registry) -> None:
    for patched, shown in ((None, "Found"), ("Chosen", "Chosen")):
        document = (await accept(registry, f"{shown}.md")).document
        await registry.ingesting.begin(document, 1)
        await registry.documents.patch(TENANT, document.document_id, title=patched)
        await registry.ingesting.commit_chunks(
            document, [], batches=0, fingerprint="pipeline", title=(f"{shown}.md", "Found")
        )
        assert (await registry.documents.get(TENANT, document.document_id)).title == shown
