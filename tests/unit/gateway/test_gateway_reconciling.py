"""One turn of the reconciler: what it may do, and what stops it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from rag_common.contracts import DocumentRef, Lane, PurgeDocument, UpdateIndexedDocument
from rag_common.errors import Overloaded
from rag_gateway.domain.reconciling import (
    ORPHAN_FLOOR,
    ForeignInstallation,
    LostGeneration,
    Pace,
    Reconciler,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MARGIN = timedelta(seconds=30)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Lost:
    document: DocumentRef
    lane: Lane = "bulk"
    collection: str = "handbook"
    source_uri: str = "file:///a"
    file_name: str | None = None
    media_type: str | None = None


@dataclass
class World:
    """Registry, queues, bucket and clock."""

    now: datetime = NOON
    held: bool = True
    foreign_id: str | None = None
    oldest: datetime | None = None
    busy: set[type] = field(default_factory=set)
    lost: list[Lost] = field(default_factory=list)
    full: bool = False
    objects: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    abandoned: int = 0
    asked_before: dict[Lane, datetime] = field(default_factory=dict)
    forgotten_before: datetime | None = None
    happened: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        yield self.held

    async def foreign(self) -> str | None:
        return self.foreign_id

    async def oldest_job(self, lane: Lane) -> datetime | None:
        return self.oldest if lane == "bulk" else None

    async def waiting(self, message: type[PurgeDocument] | type[UpdateIndexedDocument]) -> int:
        return int(message in self.busy)

    async def without_message(self, lane: Lane, queued_before: datetime) -> Sequence[LostGeneration]:
        self.asked_before[lane] = queued_before
        return [generation for generation in self.lost if generation.lane == lane]

    async def requeued(self, document_id: str, generation: int) -> None:
        self.happened.append(f"requeued {document_id}")

    async def unpurged(self, before: datetime) -> Sequence[tuple[str, str, tuple[int, ...]]]:
        return [("default", "p", (1, 2))]

    async def acl_pending(self, before: datetime) -> Sequence[tuple[str, str]]:
        return [("default", "a")]

    async def delete_orphaned_documents(self) -> int:
        return 0

    async def known_uploads(self, names: list[str]) -> set[str]:
        return self.known.intersection(names)

    async def forget_idempotency_keys(self, before: datetime) -> None:
        self.forgotten_before = before

    async def ingest_again(self, lost: LostGeneration, run: int) -> None:
        if self.full:
            raise Overloaded("full")
        self.happened.append(f"ingest {lost.document.document_id} {lost.lane}")

    async def purge(self, tenant: str, document_id: str, generations: tuple[int, ...], run: int) -> None:
        self.happened.append(f"purge {document_id} {generations}")

    async def update_again(self, tenant: str, document_id: str, run: int) -> None:
        self.happened.append(f"update {document_id}")

    async def sweep_index(self, run: int) -> None:
        self.happened.append("sweep")

    async def names(self) -> AsyncIterator[str]:
        for name in sorted(self.objects):
            yield name

    async def delete(self, name: str) -> None:
        self.objects.remove(name)

    async def remove_abandoned(self) -> int:
        removed, self.abandoned = self.abandoned, 0
        return removed

    def reconciler(self) -> Reconciler:
        return Reconciler(self, self, self, self, self, Pace(MARGIN, HOUR), lambda: self.now)


def lost(name: str) -> Lost:
    return Lost(DocumentRef(tenant="default", document_id=name, generation=1))


async def test_a_turn_publishes_what_is_missing_and_marks_it() -> None:
    world = World(lost=[lost("x")])
    done = await world.reconciler().turn()
    assert world.happened == ["ingest x bulk", "requeued x", "purge p (1, 2)", "update a"]
    assert done == {"jobs_republished": 1, "purges_republished": 1, "updates_republished": 1}


async def test_only_who_holds_the_lock_works() -> None:
    world = World(lost=[lost("x")], held=False)
    assert await world.reconciler().turn() is None
    assert world.happened == []


async def test_another_installation_s_queues_are_not_touched() -> None:
    world = World(lost=[lost("x")], foreign_id="somebody else's")
    with pytest.raises(ForeignInstallation, match="somebody else's"):
        await world.reconciler().turn()
    assert world.happened == []


@pytest.mark.parametrize(
    ("oldest", "before"),
    [
        (None, NOON - MARGIN),
        (NOON - HOUR, NOON - HOUR - MARGIN),
        (NOON + HOUR, NOON - MARGIN),
    ],
)
async def test_lost_is_what_is_older_than_every_message(oldest: datetime | None, before: datetime) -> None:
    world = World(oldest=oldest)
    await world.reconciler().turn()
    assert world.asked_before == {"bulk": before, "interactive": NOON - MARGIN}


async def test_purges_and_updates_wait_while_theirs_are_queued() -> None:
    world = World(busy={PurgeDocument})
    await world.reconciler().turn()
    assert world.happened == ["update a"]
    world = World(busy={UpdateIndexedDocument})
    await world.reconciler().turn()
    assert world.happened == ["purge p (1, 2)"]


async def test_a_full_lane_does_not_stop_the_other_steps() -> None:
    world = World(lost=[lost("x")], full=True)
    await world.reconciler().turn()
    assert world.happened == ["purge p (1, 2)", "update a"]


async def test_an_object_goes_when_two_sweeps_have_found_it_orphaned() -> None:
    world = World(objects={"orphan", "known"}, known={"known"})
    reconciler = world.reconciler()
    await reconciler.turn()
    world.now += HOUR / 2
    await reconciler.turn()
    assert world.objects == {"orphan", "known"}
    world.now += HOUR / 2
    world.objects.add("fresh")
    await reconciler.turn()
    assert world.objects == {"known", "fresh"}
    world.known.add("fresh")
    world.now += HOUR
    await reconciler.turn()
    assert world.objects == {"known", "fresh"}


async def test_an_object_that_was_accepted_between_two_sweeps_stays() -> None:
    world = World(objects={"slow"})
    reconciler = world.reconciler()
    await reconciler.turn()
    world.known.add("slow")
    world.now += HOUR
    await reconciler.turn()
    assert world.objects == {"slow"}


@pytest.mark.parametrize(
    ("orphans", "all_objects", "removed"),
    [
        (ORPHAN_FLOOR, ORPHAN_FLOOR, True),
        (ORPHAN_FLOOR + 1, ORPHAN_FLOOR + 1, False),
        (30, 3000, True),
        (31, 3000, False),
    ],
)
async def test_more_orphans_than_accidents_make_are_not_removed(
    orphans: int, all_objects: int, removed: bool
) -> None:
    known = {f"known-{number}" for number in range(all_objects - orphans)}
    world = World(objects=known | {f"orphan-{number}" for number in range(orphans)}, known=known)
    reconciler = world.reconciler()
    await reconciler.turn()
    world.now += HOUR
    done = await reconciler.turn()
    assert done is not None
    assert len(world.objects) == all_objects - (orphans if removed else 0)
    assert done["objects_removed" if removed else "objects_refused"] == orphans


async def test_what_killed_writers_left_is_removed() -> None:
    world = World(abandoned=3)
    done = await world.reconciler().turn()
    assert done is not None
    assert done["abandoned_objects_removed"] == 3


async def test_the_index_is_swept_every_hour_and_old_keys_are_forgotten() -> None:
    world = World()
    reconciler = world.reconciler()
    for _ in range(5):
        await reconciler.turn()
        world.now += HOUR / 2
    assert world.happened.count("sweep") == 2
    assert world.forgotten_before is not None
    assert world.forgotten_before <= world.now - timedelta(hours=24)
