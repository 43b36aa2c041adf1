"""The order of storing, deciding and publishing, and what each failure takes back."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from rag_common.contracts import DocumentRef, DocumentState
from rag_common.errors import Overloaded, PermanentError, TransientError
from rag_gateway.domain.accepting import (
    AcceptDocuments,
    Decision,
    Decisions,
    Fields,
    Offer,
    RequestKey,
    StoredFile,
    offers_of,
    request_key,
)


@dataclass(frozen=True)
class Decided:
    outcome: str
    document: DocumentRef
    upload_id: str | None
    reindex: bool = False
    state: DocumentState = "accepted"
    collection: str = "handbook"
    source_uri: str = "upload:/a"


@dataclass
class World:
    """Registry, bucket and queues in one: what happened, in order."""

    outcomes: Sequence[str] = ("accepted",)
    replayed: bool = False
    refuse_accept: Exception | None = None
    refuse_ingest_from: int = 1000
    refusal: TransientError = field(default_factory=lambda: Overloaded("full"))
    reindex: bool = False
    happened: list[str] = field(default_factory=list)

    async def accept(self, tenant: str, offers: Sequence[Offer], key: RequestKey | None) -> Decisions:
        self.happened.append("accept")
        if self.refuse_accept is not None:
            raise self.refuse_accept
        items = [
            Decided(
                outcome,
                DocumentRef(tenant=tenant, document_id=str(number), generation=1),
                offers[number].file.upload_id if outcome == "accepted" else "older",
                reindex=self.reindex,
            )
            for number, outcome in enumerate(self.outcomes)
        ]
        return Decisions(items, self.replayed)

    async def reject(self, tenant: str, documents: Sequence[DocumentRef], key: RequestKey | None) -> None:
        self.happened.append("reject " + ",".join(document.document_id for document in documents))

    async def inside(self, tenant: str, document_id: str) -> Sequence[str]:
        return [f"{document_id}a", f"{document_id}b"]

    async def delete(self, name: str) -> None:
        self.happened.append(f"delete {name}")

    async def ingest(self, decision: Decision, file: StoredFile) -> None:
        if int(decision.document.document_id) >= self.refuse_ingest_from:
            raise self.refusal
        self.happened.append(f"ingest {decision.document.document_id}")

    async def update(self, tenant: str, document_id: str) -> None:
        if self.refuse_ingest_from == 0:
            raise self.refusal
        self.happened.append(f"update {document_id}")

    async def announce(self, decision: Decision) -> None:
        self.happened.append(f"announce {decision.document.document_id}")

    async def run(self, key: RequestKey | None = None) -> Decisions:
        files = [StoredFile(f"u{number}", 1, "0", f"{number}.txt") for number in range(len(self.outcomes))]
        offers = offers_of(files, Fields("handbook"))
        return await AcceptDocuments(self, self, self)("default", offers, key)


async def test_a_row_is_committed_before_its_job_is_published() -> None:
    world = World()
    await world.run()
    assert world.happened == ["accept", "ingest 0", "announce 0"]


async def test_an_unchanged_file_s_object_goes() -> None:
    world = World(outcomes=["unchanged", "accepted"])
    await world.run()
    assert world.happened == ["accept", "delete u0", "announce 0", "ingest 1", "announce 1"]


async def test_a_replay_publishes_nothing_and_keeps_nothing() -> None:
    world = World(outcomes=["accepted", "accepted"], replayed=True)
    assert (await world.run()).replayed
    assert world.happened == ["accept", "delete u0", "delete u1"]


async def test_a_refused_request_leaves_no_object() -> None:
    world = World(outcomes=["accepted", "accepted"], refuse_accept=PermanentError("no such collection"))
    with pytest.raises(PermanentError):
        await world.run()
    assert world.happened == ["accept", "delete u0", "delete u1"]


async def test_objects_stay_when_the_commit_may_have_happened() -> None:
    world = World(refuse_accept=TransientError("connection lost"))
    with pytest.raises(TransientError):
        await world.run()
    assert world.happened == ["accept"]


async def test_a_full_queue_takes_back_what_was_not_queued() -> None:
    world = World(outcomes=["accepted", "accepted", "unchanged", "accepted"], refuse_ingest_from=1)
    with pytest.raises(Overloaded):
        await world.run()
    assert world.happened == [
        "accept",
        "delete u2",
        "ingest 0",
        "announce 0",
        "reject 1,3",
        "delete u1",
        "delete u3",
    ]


async def test_an_answer_that_was_lost_rejects_but_keeps_the_bytes() -> None:
    world = World(refuse_ingest_from=0, refusal=TransientError("NATS does not answer"))
    with pytest.raises(TransientError):
        await world.run()
    assert world.happened == ["accept", "reject 0"]


@pytest.mark.parametrize("outcome", ["accepted", "updated"])
async def test_a_change_of_access_is_sent_to_the_index_for_all_that_is_inside(outcome: str) -> None:
    world = World(outcomes=[outcome], reindex=True)
    await world.run()
    assert [each for each in world.happened if each.startswith("update")] == [
        "update 0",
        "update 0a",
        "update 0b",
    ]


async def test_an_update_that_cannot_be_queued_is_left_to_the_reconciler() -> None:
    world = World(outcomes=["updated"], reindex=True, refuse_ingest_from=0)
    await world.run()
    assert world.happened == ["accept", "delete u0", "announce 0"]


async def test_an_object_that_cannot_be_removed_does_not_fail_the_request() -> None:
    class Away(World):
        async def delete(self, name: str) -> None:
            raise TransientError("NATS is away")

    world = Away(outcomes=["unchanged"])
    assert [item.outcome for item in (await world.run()).items] == ["unchanged"]


def file(name: str | None, sha256: str = "0" * 64) -> StoredFile:
    return StoredFile("u", 1, sha256, name)


def test_a_request_hash_is_of_contents_and_fields() -> None:
    def hashed(files: list[StoredFile], fields: Fields) -> str:
        return request_key("me", "key", offers_of(files, fields)).request_hash

    fields = Fields("handbook", metadata={"b": 1, "a": 2})
    same = Fields("handbook", metadata={"a": 2, "b": 1})
    assert hashed([file("a")], fields) == hashed([file("a")], same)
    others = [
        ([file("b")], fields),
        ([file("a", "1" * 64)], fields),
        ([file("a")], Fields("papers", metadata={"b": 1, "a": 2})),
        ([file("a")], Fields("handbook", metadata={"b": 1, "a": 2}, acl=("*",))),
        ([file("a"), file("b")], fields),
        ([replace(file("a"), media_type="text/html")], fields),
    ]
    assert len({hashed([file("a")], fields), *(hashed(*other) for other in others)}) == 7


def test_a_source_is_given_or_comes_from_the_name_or_the_content() -> None:
    assert offers_of([file("a.txt")], Fields("h", source_uri="s:/x"))[0].source_uri == "s:/x"
    assert offers_of([file("a.txt")], Fields("h"))[0].source_uri == "upload:/a.txt"
    assert offers_of([file(None, "ab" * 32)], Fields("h"))[0].source_uri == "text:/" + "ab" * 16


def test_files_of_one_upload_are_different_documents() -> None:
    with pytest.raises(PermanentError, match="same name"):
        offers_of([file("a"), file("a")], Fields("h"))
    for fields in (Fields("h", source_uri="s"), Fields("h", title="t")):
        with pytest.raises(PermanentError, match="one document"):
            offers_of([file("a"), file("b")], fields)
