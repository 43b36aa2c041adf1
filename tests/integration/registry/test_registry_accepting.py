"""The registry's decisions about offered bytes, on a real PostgreSQL."""

import asyncio
import time
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_support import TENANT, accept, complete, drop, embed, found, make_live, upload

from rag_common.contracts import CollectionSettings, SplittingSettings, pipeline_of
from rag_common.registry import (
    IdempotencyConflict,
    IdempotencyKey,
    Order,
    Registry,
    UnknownCollection,
    UnknownDocument,
)


async def test_new_bytes_are_generation_one(registry: Registry) -> None:
    accepted = await accept(registry, "a", title="A")
    assert (accepted.outcome, accepted.state, accepted.document.generation) == ("accepted", "accepted", 1)
    document = await registry.documents.get(TENANT, accepted.document.document_id)
    assert (document.state, document.title, document.acl) == ("accepted", "A", ("*",))


async def test_same_bytes_are_unchanged(registry: Registry) -> None:
    first = await make_live(registry, "a")
    again = await accept(registry, "a")
    assert (again.outcome, again.document) == ("unchanged", first)


async def test_same_bytes_are_accepted_again_after_a_failure(registry: Registry) -> None:
    first = (await accept(registry, "a")).document
    await registry.ingesting.fail(first, stage="ingest", code="no_text", message="no text", attempts=1)
    again = await accept(registry, "a")
    assert (again.outcome, again.document.generation) == ("accepted", 2)


async def test_same_bytes_are_accepted_again_under_another_pipeline(registry: Registry) -> None:
    await make_live(registry, "a")
    await registry.spaces.set_pipeline("newer pipeline")
    assert (await accept(registry, "a")).outcome == "accepted"


async def test_same_bytes_are_accepted_again_under_other_settings_of_the_collection(
    registry: Registry,
) -> None:
    await registry.spaces.set_pipeline("pipeline")
    await make_live(registry, "a")
    fewer = CollectionSettings(splitting=SplittingSettings(chunk_words=60))
    await registry.collections.change(TENANT, "handbook", settings=fewer)
    accepted = (await accept(registry, "a")).document
    generation = await registry.ingesting.generation(accepted)
    assert generation is not None
    assert generation.settings == fewer
    fingerprint = pipeline_of("pipeline", fewer)
    assert await registry.ingesting.commit_chunks(accepted, [], batches=0, fingerprint=fingerprint or "")
    assert (await accept(registry, "a")).outcome == "unchanged"

    as_before = CollectionSettings(splitting=SplittingSettings(chunk_words=None))
    await registry.collections.change(TENANT, "handbook", settings=as_before)
    assert (await accept(registry, "a")).document.generation == 3


async def test_same_bytes_with_another_acl_are_an_update(registry: Registry) -> None:
    document = await make_live(registry, "a")
    updated = await accept(registry, "a", acl=("user:anna",))
    assert (updated.outcome, updated.reindex, updated.document) == ("updated", True, document)
    assert not await found(registry, document, "*")
    assert (await accept(registry, "a")).outcome == "unchanged", "fields left out keep their value"


async def test_the_old_generation_is_found_until_the_new_one_is_complete(registry: Registry) -> None:
    old = await make_live(registry, "a", "one")
    new = (await accept(registry, "a", "two")).document
    batches = await embed(registry, new)
    assert (await complete(registry, new, 0)).outcome == "pending"
    assert await found(registry, old)
    assert not await found(registry, new)
    completion = await complete(registry, new, batches - 1)
    assert (completion.outcome, completion.purge) == ("live", (1,))
    assert not await found(registry, old)
    assert await found(registry, new)


async def test_an_unknown_collection_accepts_nothing(registry: Registry) -> None:
    with pytest.raises(UnknownCollection):
        await registry.accepting.uploads(TENANT, [upload("a"), upload("b", collection="other")])
    assert await registry.documents.page(TENANT) == []


async def test_a_refused_publish_restores_what_was(registry: Registry) -> None:
    old = await make_live(registry, "a", "one", title="Old", acl=("user:anna",))
    new = (await accept(registry, "a", "two", title="New", acl=("user:boris",))).document
    await registry.accepting.reject(TENANT, [new])
    document = await registry.documents.get(TENANT, old.document_id)
    assert (document.generation, document.state, document.title, document.acl) == (
        1,
        "live",
        "Old",
        ("user:anna",),
    )
    assert await found(registry, old, "user:anna")
    assert (await accept(registry, "a", "two")).document.generation == 3


async def test_a_rejected_generation_gives_an_overtaken_one_back_to_the_queue(registry: Registry) -> None:
    first = (await accept(registry, "a", "one")).document
    second = (await accept(registry, "a", "two")).document
    assert await registry.ingesting.supersede(first)
    await registry.accepting.reject(TENANT, [second])
    restored = await registry.ingesting.generation(first)
    assert restored is not None
    assert (restored.state, restored.current) == ("accepted", True)


async def test_an_idempotency_key_replays_and_refuses_another_body(registry: Registry) -> None:
    key = IdempotencyKey("key:bootstrap", "k-1", "hash")
    first = await registry.accepting.uploads(TENANT, [upload("a"), upload("b")], key)
    again = await registry.accepting.uploads(TENANT, [upload("a"), upload("b")], key)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.items == first.items
    with pytest.raises(IdempotencyConflict):
        await registry.accepting.uploads(
            TENANT, [upload("c")], IdempotencyKey("key:bootstrap", "k-1", "another hash")
        )


async def test_concurrent_requests_with_one_key_accept_once(registry: Registry) -> None:
    key = IdempotencyKey("key:bootstrap", "k-1", "hash")
    answers = await asyncio.gather(
        *(registry.accepting.uploads(TENANT, [upload("a")], key) for _ in range(6))
    )
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 5
    assert len({answer.items for answer in answers}) == 1


async def test_concurrent_uploads_of_one_source_get_distinct_generations(registry: Registry) -> None:
    accepted = await asyncio.gather(*(accept(registry, "a", f"bytes {n}") for n in range(8)))
    assert len({item.document.document_id for item in accepted}) == 1
    assert sorted(item.document.generation for item in accepted) == list(range(1, 9))


async def test_requests_with_the_same_files_in_another_order_do_not_deadlock(registry: Registry) -> None:
    names = [f"file-{n}" for n in range(6)]

    async def request(sources: list[str], sha256: str) -> None:
        await registry.accepting.uploads(TENANT, [upload(source, sha256) for source in sources])

    await asyncio.gather(*(request(names[:: 1 if n % 2 else -1], f"{n}") for n in range(8)))
    assert {document.generation for document in await registry.documents.page(TENANT)} == {8}


async def test_the_same_drop_again_resumes(registry: Registry) -> None:
    order = Order(time.time_ns(), 7)
    first = await drop(registry, "a", "one", order)
    again = await drop(registry, "a", "one", order)
    assert (first.outcome, again.outcome) == ("accepted", "resumed")
    assert again.document == first.document
    assert again.upload_id == first.upload_id


async def test_a_drop_redelivered_after_a_delete_stays_deleted(registry: Registry) -> None:
    order = Order(time.time_ns(), 7)
    dropped = await drop(registry, "a", "one", order)
    await registry.documents.delete(TENANT, dropped.document.document_id)
    assert (await drop(registry, "a", "one", order)).outcome == "superseded"
    assert await registry.documents.page(TENANT) == []


async def test_a_drop_after_a_delete_is_a_new_document(registry: Registry) -> None:
    dropped = await drop(registry, "a", "one", Order(time.time_ns(), 7))
    await registry.documents.delete(TENANT, dropped.document.document_id)
    later = await drop(registry, "a", "one", Order(time.time_ns() + 1000, 8))
    assert later.outcome == "accepted"
    assert later.document.document_id != dropped.document.document_id


async def test_a_drop_older_than_its_collections_deletion_stays_deleted(registry: Registry) -> None:
    order = Order(time.time_ns(), 7)
    await drop(registry, "a", "one", order)
    await registry.collections.delete(TENANT, "handbook")
    await registry.collections.create(TENANT, "handbook")
    assert (await drop(registry, "a", "one", order)).outcome == "superseded"


async def test_an_upload_overtakes_an_earlier_drop(registry: Registry) -> None:
    early = Order(time.time_ns() - 10**9, 7)
    await accept(registry, "a", "by hand")
    assert (await drop(registry, "a", "dropped", early)).outcome == "superseded"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deliveries=st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(["red", "green", "blue"])), min_size=1, max_size=8
    )
)
async def test_drops_converge_to_the_newest_in_whatever_order_they_arrive(
    registry: Registry, deliveries: list[tuple[int, str]]
) -> None:
    source = uuid.uuid4()  # the examples share a database
    # one message per order: a redelivery brings the same bytes
    bytes_at = dict(deliveries)
    for moment, _ in deliveries:
        await drop(registry, str(source), bytes_at[moment], Order(moment * 1000, 1))
    (document,) = await registry.documents.page(TENANT, source_uri=str(source))
    assert document.sha256 == bytes_at[max(bytes_at)]


async def test_another_tenant_sees_nothing(registry: Registry) -> None:
    document = await make_live(registry, "a")
    with pytest.raises(UnknownDocument):
        await registry.documents.get("other", document.document_id)
    key = (document.document_id, document.generation, 0)
    assert await registry.passages.admitted("other", ("*",), (), [key]) == {}


async def test_the_same_bytes_at_once_are_one_generation(registry: Registry) -> None:
    for source in ("a", "b", "c"):
        await make_live(registry, source, "old")
        accepted = await asyncio.gather(*(accept(registry, source, "new") for _ in range(4)))
        assert sorted(item.outcome for item in accepted) == ["accepted", *["unchanged"] * 3]


async def test_a_drop_delivered_twice_at_once_knows_its_bytes(registry: Registry) -> None:
    order = Order(time.time_ns(), 7)
    first, second = await asyncio.gather(*(drop(registry, "a", "one", order) for _ in range(2)))
    assert {first.outcome, second.outcome} == {"accepted", "resumed"}
    assert first.upload_id == second.upload_id
    assert (first.state, second.state) == ("accepted", "accepted")


async def test_a_drop_resumes_although_its_bytes_were_offered_again(registry: Registry) -> None:
    order = Order(time.time_ns(), 7)
    await drop(registry, "a", "one", order)
    assert (await accept(registry, "a", "one")).outcome == "unchanged"
    assert (await drop(registry, "a", "one", order)).outcome == "resumed"


async def test_a_rejection_does_not_undo_a_revocation(registry: Registry) -> None:
    document = await make_live(registry, "a", "one")
    new = (await accept(registry, "a", "two", title="New")).document
    await registry.documents.patch(TENANT, document.document_id, acl=("user:boris",))
    await registry.accepting.reject(TENANT, [new])
    restored = await registry.documents.get(TENANT, document.document_id)
    assert (restored.acl, restored.title, restored.generation) == (("user:boris",), "a", 1)


async def test_a_generation_that_a_drop_relies_on_is_not_rejected(registry: Registry) -> None:
    new = (await accept(registry, "a", "one")).document
    assert (await drop(registry, "a", "one", Order(time.time_ns() + 10**9, 7))).outcome == "unchanged"
    await registry.accepting.reject(TENANT, [new])
    assert (await registry.documents.get(TENANT, new.document_id)).state == "accepted"


async def test_a_failure_and_a_commit_do_not_deadlock(registry: Registry) -> None:
    for number in range(8):
        document = (await accept(registry, f"{number}")).document
        await asyncio.gather(
            registry.ingesting.begin(document, 1),
            registry.ingesting.supersede(document),
            registry.ingesting.fail(document, stage="ingest", code="x", message="x", attempts=1),
            registry.ingesting.commit_chunks(document, [], batches=0, fingerprint="pipeline"),
        )
