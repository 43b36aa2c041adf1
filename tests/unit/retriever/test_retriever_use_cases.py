import base64
import uuid

import numpy as np
import pytest
from retriever_fakes import (
    FakeCompletion,
    FakeIndex,
    FakeObjects,
    FakeOutbox,
    FakePlan,
    FakeRegistry,
    FakeSource,
    FakeSpaces,
    FakeSparse,
)

from rag_common.contracts import DocumentEvent, DocumentRef, IndexChunks, PurgeDocument
from rag_common.errors import BadMessage
from rag_retriever.domain.index import GenerationKey, IndexUnavailable, point_id
from rag_retriever.domain.indexing import IndexBatch, WrongSpace
from rag_retriever.domain.maintenance import Purge, RemoveOrphans, TooManyOrphans, UpdateDocument

DOCUMENT = DocumentRef(tenant="acme", document_id=str(uuid.UUID(int=1)), generation=2)
TEXTS = {0: "red keys", 1: "blue keys"}


def batch(
    document: DocumentRef = DOCUMENT, *, rows: int = 2, dimension: int = 2, value: float = 1.0
) -> IndexChunks:
    vectors = np.full((rows, dimension), value, "<f4").tobytes()
    return IndexChunks(
        document=document,
        space="minilm",
        batch=0,
        numbers=tuple(range(rows)),
        dimension=dimension,
        vectors=base64.b64encode(vectors).decode(),
    )


class Bench:
    """The use case with its neighbours."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self.index = FakeIndex()
        self.outbox = FakeOutbox()
        self.run = IndexBatch(self.index, FakeSparse(), registry, FakeSpaces(), self.outbox)


async def fill(index: FakeIndex, *documents: DocumentRef, rows: int = 2) -> None:
    registry = FakeRegistry(
        sources=[FakeSource(dict.fromkeys(range(rows), "text"))], completions=[FakeCompletion("pending")]
    )
    run = IndexBatch(index, FakeSparse(), registry, FakeSpaces(), FakeOutbox())
    for document in documents:
        await run(batch(document, rows=rows), "1")


def document(number: int, generation: int = 1) -> DocumentRef:
    return DocumentRef(tenant="acme", document_id=str(uuid.UUID(int=number)), generation=generation)


async def test_a_pending_batch_is_written_and_nothing_is_announced() -> None:
    bench = Bench(FakeRegistry([FakeSource(TEXTS, acl=("group:hr",))], [FakeCompletion("pending")]))
    assert await bench.run(batch(), "1") == "pending"
    assert bench.index.dimension == 2
    first = bench.index.points[point_id(DOCUMENT.document_id, "minilm", 2, 0)]
    assert first.payload.acl == ("group:hr",)
    assert (first.payload.tenant, first.payload.generation, first.payload.no) == ("acme", 2, 0)
    assert len(bench.index.points) == 2
    assert bench.outbox.published == bench.outbox.hints == []


async def test_the_last_batch_announces_and_purges_what_it_replaced() -> None:
    bench = Bench(FakeRegistry([FakeSource(TEXTS)], [FakeCompletion("live", (1,))]))
    assert await bench.run(batch(), "1") == "live"
    assert bench.outbox.published == [
        PurgeDocument(tenant="acme", document_id=DOCUMENT.document_id, generations=(1,))
    ]
    (event,) = bench.outbox.hints
    assert isinstance(event, DocumentEvent)
    assert (event.outcome, event.generation, event.source_uri) == ("live", 2, "a.md")


async def test_a_batch_that_was_sent_twice_purges_under_two_ids() -> None:
    """The stream would take a second command under the same id for a mistake."""
    bench = Bench(FakeRegistry([FakeSource(TEXTS)], [FakeCompletion("live", (1,))]))
    await bench.run(batch(), "7")
    await bench.run(batch(), "8")
    assert len(set(bench.outbox.ids)) == 2


async def test_a_first_generation_has_nothing_to_purge() -> None:
    bench = Bench(FakeRegistry([FakeSource(TEXTS)], [FakeCompletion("live")]))
    await bench.run(batch(), "1")
    assert bench.outbox.published == []


async def test_a_stale_batch_takes_its_own_points_out() -> None:
    bench = Bench(FakeRegistry([None]))
    await fill(bench.index, DOCUMENT, document(7))
    assert await bench.run(batch(), "1") == "stale"
    assert {point.payload.document_id for point in bench.index.points.values()} == {document(7).document_id}
    assert bench.registry.calls == []


async def test_a_refused_batch_takes_its_own_points_out() -> None:
    bench = Bench(FakeRegistry([FakeSource(TEXTS)], [FakeCompletion("refused")]))
    assert await bench.run(batch(), "1") == "refused"
    assert bench.index.points == {}


async def test_a_newer_acl_is_written_before_the_batch_counts() -> None:
    sources: list[FakeSource | None] = [
        FakeSource(TEXTS, acl=("*",), acl_version=1),
        FakeSource(TEXTS, acl=("group:hr",), acl_version=2),
    ]
    bench = Bench(FakeRegistry(sources, [FakeCompletion("acl_changed"), FakeCompletion("pending")]))
    assert await bench.run(batch(), "1") == "pending"
    assert bench.registry.calls == [("complete", 0, 1), ("complete", 0, 2)]
    assert {point.payload.acl for point in bench.index.points.values()} == {("group:hr",)}


async def test_a_document_deleted_while_its_acl_changed_leaves_nothing() -> None:
    bench = Bench(FakeRegistry([FakeSource(TEXTS), None], [FakeCompletion("acl_changed")]))
    assert await bench.run(batch(), "1") == "stale"
    assert bench.index.points == {}


async def test_vectors_of_another_model_are_refused() -> None:
    bench = Bench(FakeRegistry([FakeSource(TEXTS)]))
    with pytest.raises(WrongSpace, match="dimension 3"):
        await bench.run(batch(dimension=3), "1")
    with pytest.raises(BadMessage, match="finite"):
        await bench.run(batch(value=float("inf")), "1")
    with pytest.raises(BadMessage, match=r"\[2\]"):
        await bench.run(batch(rows=3), "1")
    assert bench.index.points == {}


async def test_an_update_is_repeated_until_the_registry_has_no_newer_version() -> None:
    sources: list[FakeSource | None] = [
        FakeSource({}, acl=("*",), acl_version=2),
        FakeSource({}, acl=("group:hr",), acl_version=3, metadata={"pages": 2.0}),
    ]
    registry, index = FakeRegistry(sources, versions=[False, True]), FakeIndex()
    await UpdateDocument(index, registry)("acme", DOCUMENT.document_id)
    assert registry.calls == [("updated", 2), ("updated", 3)]
    assert index.access == (("group:hr",), {"pages": 2})


async def test_a_purge_removes_points_objects_and_leaves_a_receipt() -> None:
    index, objects = FakeIndex(), FakeObjects()
    await fill(index, document(1, 1), document(1, 2), document(2))
    registry = FakeRegistry(plan=FakePlan(generations=(1,), upload_ids=("u1",)))
    assert await Purge(index, registry, objects)("acme", document(1).document_id, (1,)) == 2
    assert objects.deleted == ["u1"]
    assert registry.calls == [("purged", 2, 1)]
    registry.plan = FakePlan(whole=True, generations=(2,))
    assert await Purge(index, registry, objects)("acme", document(1).document_id) == 2
    assert {point.payload.document_id for point in index.points.values()} == {document(2).document_id}


async def test_a_purge_asks_the_registry_first() -> None:
    index, objects, registry = FakeIndex(), FakeObjects(), FakeRegistry(plan=None)
    await fill(index, document(1))
    assert await Purge(index, registry, objects)("acme", document(1).document_id) == 0
    assert len(index.points) == 2
    assert registry.calls == []


async def test_a_purge_that_left_points_is_not_recorded() -> None:
    index, objects = FakeIndex(deaf=True), FakeObjects()
    await fill(index, document(1))
    registry = FakeRegistry(plan=FakePlan(whole=True, upload_ids=("u1",)))
    with pytest.raises(IndexUnavailable):
        await Purge(index, registry, objects)("acme", document(1).document_id)
    assert registry.calls == []
    assert objects.deleted == []


async def test_orphans_are_removed() -> None:
    index = FakeIndex()
    await fill(index, *(document(number) for number in range(1, 101)))
    registry = FakeRegistry(unknown=[(document(3).document_id, 1)])
    assert await RemoveOrphans(index, registry)() == 2
    assert len(index.points) == 198
    assert await RemoveOrphans(FakeIndex(), registry)() == 0


async def test_too_many_orphans_are_left_alone() -> None:
    index = FakeIndex()
    await fill(index, *(document(number) for number in range(1, 51)))
    registry = FakeRegistry(unknown=[(document(3).document_id, 1)])
    with pytest.raises(TooManyOrphans, match="2 of 100"):
        await RemoveOrphans(index, registry)()
    assert len(index.points) == 100


class TwoSpaces(FakeIndex):
    """A large space, and a small one, whose points are in ``small``."""

    def __init__(self) -> None:
        super().__init__()
        self.small = FakeIndex()

    async def spaces(self) -> tuple[str, ...]:
        return ("minilm", "small")

    async def generations(self, space: str) -> dict[GenerationKey, int]:
        return await (self.small.generations(space) if space == "small" else super().generations(space))

    async def delete_document(
        self, space: str, tenant: str, document_id: str, generations: tuple[int, ...] = ()
    ) -> None:
        delete = self.small.delete_document if space == "small" else super().delete_document
        await delete(space, tenant, document_id, generations)


async def test_the_orphans_of_a_small_space_do_not_stop_the_cleaning() -> None:
    index = TwoSpaces()
    await fill(index, *(document(number) for number in range(1, 201)))
    await fill(index.small, document(3), document(300))
    registry = FakeRegistry(unknown=[(document(300).document_id, 1), (document(200).document_id, 1)])
    assert await RemoveOrphans(index, registry)() == 4
    assert (len(index.points), len(index.small.points)) == (398, 2)


async def test_too_many_orphans_in_all_spaces_together_are_left_alone() -> None:
    index = TwoSpaces()
    await fill(index, *(document(number) for number in range(1, 101)))
    await fill(index.small, document(300))
    registry = FakeRegistry(unknown=[(document(300).document_id, 1), (document(3).document_id, 1)])
    with pytest.raises(TooManyOrphans, match="4 of 202"):
        await RemoveOrphans(index, registry)()
    assert (len(index.points), len(index.small.points)) == (200, 2)
