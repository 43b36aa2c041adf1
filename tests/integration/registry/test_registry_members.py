"""Documents inside documents: they come, change and go with the one that holds them."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from registry_support import TENANT, accept, drop, embed, found, make_live, upload

from rag_common.contracts import DocumentRef
from rag_common.registry import Accepted, Document, Order, Registry, SourceTaken

ANNA, BORIS = ("user:anna",), ("user:boris",)


async def member(
    registry: Registry, container: DocumentRef, source_uri: str, sha256: str = "one", **fields: Any
) -> Accepted:
    accepted = await registry.members.accept(container, upload(source_uri, sha256, **fields))
    assert accepted is not None
    return accepted


async def shown(registry: Registry, accepted: Accepted) -> Document:
    return await registry.documents.get(TENANT, accepted.document.document_id)


async def test_a_member_has_the_access_the_metadata_and_the_order_of_its_container(
    registry: Registry,
) -> None:
    order = Order(10**18, 7)
    container = (
        await drop(registry, "a.zip", "one", order, acl=ANNA, metadata={"year": 2026}, file_name="a.zip")
    ).document
    inside = await member(registry, container, "a.zip!/b.txt", file_name="b.txt")
    document = await shown(registry, inside)
    assert (document.parent_id, document.acl, document.metadata, document.title) == (
        container.document_id,
        ANNA,
        {"year": 2026},
        "b.txt",
    )
    assert (await member(registry, container, "a.zip!/b.txt")).outcome == "resumed"
    made = await registry.ingesting.by_order(TENANT, order)
    assert made is not None
    assert made.document == container, "the drop has made the container, not its member"
    assert made.has_members


async def test_a_member_of_the_next_generation_is_unchanged_or_new(registry: Registry) -> None:
    container = (await accept(registry, "a.zip", "one")).document
    first = await member(registry, container, "a.zip!/b.txt", "b")
    await member(registry, container, "a.zip!/c.txt", "c")
    container = (await accept(registry, "a.zip", "two")).document
    again = await member(registry, container, "a.zip!/b.txt", "b")
    assert (again.outcome, again.document) == ("unchanged", first.document)
    changed = await member(registry, container, "a.zip!/c.txt", "other")
    assert (changed.outcome, changed.document.generation) == ("accepted", 2)


async def test_a_failed_member_is_tried_again_when_the_same_bytes_are_sent(registry: Registry) -> None:
    container = await make_live(registry, "a.zip")
    kept = await member(registry, container, "a.zip!/b.txt")
    inner = await member(registry, container, "a.zip!/c.eml")
    failed = await member(registry, inner.document, "a.zip!/c.eml!/d.png")
    await embed(registry, inner.document)
    assert (await accept(registry, "a.zip")).outcome == "unchanged"
    await registry.ingesting.fail(
        failed.document, stage="ingest", code="ocr_unavailable", message="no tesseract", attempts=1
    )
    again = await accept(registry, "a.zip")
    assert (again.outcome, again.document.generation) == ("accepted", 2)
    assert (await accept(registry, "a.zip")).outcome == "unchanged", "its job tries the member"
    assert (await member(registry, again.document, "a.zip!/b.txt")).outcome == "unchanged"
    inner = await member(registry, again.document, "a.zip!/c.eml")
    assert (inner.outcome, inner.document.generation) == ("accepted", 2)
    tried = await member(registry, inner.document, "a.zip!/c.eml!/d.png")
    assert (tried.outcome, tried.document.generation) == ("accepted", 2)
    assert kept.document.generation == 1
    assert (await accept(registry, "a.zip")).outcome == "unchanged"


async def test_a_container_that_was_overtaken_gets_no_members(registry: Registry) -> None:
    old = (await accept(registry, "a.zip", "one")).document
    await accept(registry, "a.zip", "two")
    assert await registry.members.accept(old, upload("a.zip!/b.txt")) is None
    assert await registry.members.retire(old, []) == []


async def test_members_that_are_gone_are_deleted_with_what_is_inside_them(registry: Registry) -> None:
    container = (await accept(registry, "a.zip", "one")).document
    kept = await member(registry, container, "a.zip!/kept.txt")
    gone = await member(registry, container, "a.zip!/gone.zip")
    deeper = await member(registry, gone.document, "a.zip!/gone.zip!/deeper.txt")
    container = (await accept(registry, "a.zip", "two")).document
    retired = await registry.members.retire(container, [kept.document.document_id])
    assert set(retired) == {gone.document.document_id, deeper.document.document_id}
    assert [(await shown(registry, each)).state for each in (kept, gone, deeper)] == [
        "accepted",
        "deleting",
        "deleting",
    ]
    assert await registry.members.retire(container, [kept.document.document_id]) == []
    unpurged = await registry.reconciling.unpurged(datetime.now(UTC) + timedelta(seconds=1))
    assert {document for _, document, _ in unpurged} == set(retired)


async def test_a_member_that_was_gone_comes_back_with_the_next_drop_though_it_was_queued_before(
    registry: Registry,
) -> None:
    """The next drop may be older than the moment at which the member was found to be gone."""
    container = (await drop(registry, "a.zip", "one", Order(1000, 1))).document
    first = await member(registry, container, "a.zip!/b.txt")
    container = (await drop(registry, "a.zip", "two", Order(2000, 2))).document
    assert await registry.members.retire(container, []) == [first.document.document_id]
    assert (await member(registry, container, "a.zip!/b.txt")).outcome == "superseded"
    container = (await drop(registry, "a.zip", "three", Order(3000, 3))).document
    again = await member(registry, container, "a.zip!/b.txt")
    assert again.outcome == "accepted"
    assert again.document.document_id != first.document.document_id


async def test_a_member_that_somebody_deleted_stays_deleted_for_this_generation(registry: Registry) -> None:
    container = (await accept(registry, "a.zip", "one")).document
    first = await member(registry, container, "a.zip!/b.txt")
    await registry.documents.delete(TENANT, first.document.document_id)
    assert (await member(registry, container, "a.zip!/b.txt")).outcome == "superseded"


async def test_deleting_the_container_deletes_all_inside_it(registry: Registry) -> None:
    container = await make_live(registry, "a.zip")
    inner = await member(registry, container, "a.zip!/b.zip")
    deeper = await member(registry, inner.document, "a.zip!/b.zip!/c.txt")
    await registry.documents.delete(TENANT, container.document_id)
    for inside in (inner, deeper):
        assert (await shown(registry, inside)).state == "deleting"
        transitions = await registry.documents.transitions(TENANT, inside.document.document_id)
        assert [each.to_state for each in transitions] == ["accepted", "deleting"]
    assert await registry.members.inside(TENANT, container.document_id) == [
        inner.document.document_id,
        deeper.document.document_id,
    ]
    assert await registry.documents.page(TENANT) == []


async def live_member(registry: Registry, container: DocumentRef, source_uri: str) -> DocumentRef:
    await member(registry, container, source_uri)
    # the same bytes again, as an upload of the member itself would be: its parent stays
    return await make_live(registry, source_uri, "two")


async def test_a_revocation_on_the_container_holds_for_all_inside_it_at_once(registry: Registry) -> None:
    container = await make_live(registry, "a.zip")
    inner = await live_member(registry, container, "a.zip!/b.zip")
    deeper = await live_member(registry, inner, "a.zip!/b.zip!/c.txt")
    await registry.documents.patch(TENANT, deeper.document_id, acl=("*", "user:boris"))
    assert await found(registry, deeper, "user:boris")
    await registry.documents.patch(TENANT, container.document_id, acl=ANNA)
    for inside in (inner, deeper):
        assert not await found(registry, inside, "*", "user:boris")
        assert await found(registry, inside, "user:anna")
        document = await registry.documents.get(TENANT, inside.document_id)
        assert (document.acl, document.acl_pending) == (ANNA, True)


async def test_an_upload_with_another_acl_gives_it_to_the_members_and_a_refusal_takes_it_back(
    registry: Registry,
) -> None:
    container = await make_live(registry, "a.zip", acl=ANNA)
    inside = await live_member(registry, container, "a.zip!/b.txt")
    await accept(registry, "a.zip", acl=BORIS)
    assert not await found(registry, inside, *ANNA)
    newer = (await accept(registry, "a.zip", "two", acl=ANNA)).document
    assert await found(registry, inside, *ANNA)
    await registry.accepting.reject(TENANT, [newer])
    assert not await found(registry, inside, *ANNA)
    assert await found(registry, inside, *BORIS)


async def test_what_somebody_gave_a_member_stays_until_the_container_changes(registry: Registry) -> None:
    container = await make_live(registry, "a.zip", "one")
    inside = await member(registry, container, "a.zip!/b.txt", "b")
    name = inside.document.document_id
    await registry.documents.patch(TENANT, name, acl=ANNA, metadata={"secret": True})
    await registry.documents.patch(TENANT, container.document_id, title="Another title")
    container = (await accept(registry, "a.zip", "two")).document
    await member(registry, container, "a.zip!/b.txt", "other")
    document = await registry.documents.get(TENANT, name)
    assert (document.acl, document.metadata) == (ANNA, {"secret": True})
    await registry.documents.patch(TENANT, container.document_id, metadata={"year": 2026})
    document = await registry.documents.get(TENANT, name)
    assert (document.acl, document.metadata) == (ANNA, {"year": 2026})


async def test_a_document_with_the_name_of_a_member_stays_what_it_is(registry: Registry) -> None:
    before = await make_live(registry, "a.zip!/b.txt", acl=BORIS)
    container = (await accept(registry, "a.zip", acl=ANNA)).document
    other = (await accept(registry, "other.zip", acl=ANNA)).document
    await member(registry, other, "other.zip!/c.txt")
    for source in ("a.zip!/b.txt", "other.zip!/c.txt"):
        with pytest.raises(SourceTaken):
            await registry.members.accept(container, upload(source, "two", acl=ANNA))
    document = await registry.documents.get(TENANT, before.document_id)
    assert (document.parent_id, document.acl, document.generation) == (None, BORIS, 1)
    await registry.documents.delete(TENANT, container.document_id)
    assert await found(registry, before, *BORIS)


async def test_nesting_counts_what_else_the_outermost_holds(registry: Registry) -> None:
    outer = (await accept(registry, "a.zip")).document
    await member(registry, outer, "a.zip!/b.txt", "12345")
    inner = (await member(registry, outer, "a.zip!/c.zip", "123")).document
    await member(registry, inner, "a.zip!/c.zip!/d.txt", "1")
    nesting = await registry.members.nesting(inner)
    assert (nesting.depth, nesting.documents, nesting.size) == (1, 2, 8)


async def test_the_members_of_a_container_are_listed(registry: Registry) -> None:
    container = (await accept(registry, "a.zip")).document
    inside = await member(registry, container, "a.zip!/b.txt")
    await accept(registry, "c.txt")
    listed = await registry.documents.page(TENANT, parent_id=container.document_id)
    assert [document.id for document in listed] == [inside.document.document_id]
    assert await registry.documents.page(TENANT, parent_id=str(uuid.uuid4())) == []
