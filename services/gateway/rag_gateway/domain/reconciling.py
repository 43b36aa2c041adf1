"""One turn of the reconciler: it finishes what a crash has left half done."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog

from rag_common.contracts import DocumentRef, Lane, PurgeDocument, UpdateIndexedDocument
from rag_common.errors import Overloaded

IDEMPOTENCY_AGE = timedelta(hours=24)
ORPHAN_SHARE = 0.01
ORPHAN_FLOOR = 20
"""Few orphans are purged whatever their share: a small installation has one aborted upload in ten."""
STAMP = "installation"
"""Name of the object that holds the installation id; no upload id looks like it."""
_OBJECT_BATCH = 500
_LANES: tuple[Lane, ...] = ("interactive", "bulk")
_Step = Callable[[Counter[str]], Awaitable[None]]

_log = structlog.get_logger(__name__)


class LostGeneration(Protocol):
    @property
    def document(self) -> DocumentRef: ...
    @property
    def lane(self) -> Lane: ...
    @property
    def collection(self) -> str: ...
    @property
    def source_uri(self) -> str: ...
    @property
    def file_name(self) -> str | None: ...
    @property
    def media_type(self) -> str | None: ...


class Ledger(Protocol):
    """The registry's view of unfinished work."""

    def turn(self) -> AbstractAsyncContextManager[bool]: ...
    async def without_message(self, lane: Lane, queued_before: datetime) -> Sequence[LostGeneration]: ...
    async def requeued(self, document_id: str, generation: int) -> None: ...
    async def unpurged(self, before: datetime) -> Sequence[tuple[str, str, tuple[int, ...]]]: ...
    async def acl_pending(self, before: datetime) -> Sequence[tuple[str, str]]: ...
    async def delete_orphaned_documents(self) -> int: ...
    async def known_uploads(self, names: list[str]) -> Collection[str]: ...
    async def forget_idempotency_keys(self, before: datetime) -> None: ...


class Queues(Protocol):
    async def oldest_job(self, lane: Lane) -> datetime | None:
        """When the oldest message was stored by which a generation of the lane still moves on."""

    async def waiting(self, message: type[PurgeDocument] | type[UpdateIndexedDocument]) -> int:
        """Messages of this kind that are queued or being worked on."""


class Jobs(Protocol):
    """Each raises Overloaded when the queue is full; ``run`` makes the message a new one."""

    async def ingest_again(self, lost: LostGeneration, run: int) -> None: ...
    async def purge(self, tenant: str, document_id: str, generations: tuple[int, ...], run: int) -> None: ...
    async def update_again(self, tenant: str, document_id: str, run: int) -> None: ...
    async def sweep_index(self, run: int) -> None: ...


class Objects(Protocol):
    def names(self) -> AsyncIterator[str]: ...
    async def delete(self, name: str) -> None: ...
    async def remove_abandoned(self) -> int:
        """Remove what killed writers left; the number of objects."""


class Installation(Protocol):
    async def foreign(self) -> str | None:
        """The id stamped into NATS when it is not that of this registry; a new NATS is stamped."""


@dataclass(frozen=True, slots=True)
class Pace:
    """``margin``: how much older than every queued message lost work must be."""

    margin: timedelta
    sweep_interval: timedelta


class ForeignInstallation(Exception):
    """NATS and the registry belong to different installations: nothing may be purged."""


class Reconciler:
    """:meth:`turn` is called again and again, by every gateway; one at a time does the work."""

    def __init__(
        self,
        ledger: Ledger,
        queues: Queues,
        jobs: Jobs,
        objects: Objects,
        installation: Installation,
        pace: Pace,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._queues = queues
        self._jobs = jobs
        self._objects = objects
        self._installation = installation
        self._pace = pace
        self._clock = clock
        self._swept_at: datetime | None = None
        self._suspects: set[str] = set()

    async def turn(self) -> Counter[str] | None:
        """What was done, by kind; ``None`` when another gateway has the turn.

        :raises ForeignInstallation: nothing was done.
        :raises TransientError: a dependency is down; the next turn goes on.
        """
        done: Counter[str] = Counter()
        async with self._ledger.turn() as held:
            if not held:
                return None
            stamped = await self._installation.foreign()
            if stamped is not None:
                raise ForeignInstallation(f"NATS is stamped by the installation {stamped}")
            done["documents_orphaned"] = await self._ledger.delete_orphaned_documents()
            requeues = [partial(self._requeue, lane) for lane in _LANES]
            steps: list[_Step] = [*requeues, self._purge, self._update]
            for step in steps:
                try:
                    await step(done)
                except Overloaded as error:
                    _log.info("reconciler_waits", reason=error.message)
            await self._sweep(done)
        return +done

    async def _requeue(self, lane: Lane, done: Counter[str]) -> None:
        now = self._clock()
        # everything that was queued after the oldest message may still be in a queue behind it
        oldest = await self._queues.oldest_job(lane)
        before = min(oldest or now, now) - self._pace.margin
        for lost in await self._ledger.without_message(lane, before):
            await self._jobs.ingest_again(lost, _run(now))
            await self._ledger.requeued(lost.document.document_id, lost.document.generation)
            done["jobs_republished"] += 1

    async def _purge(self, done: Counter[str]) -> None:
        now = self._clock()
        if await self._queues.waiting(PurgeDocument):
            return
        for tenant, document_id, generations in await self._ledger.unpurged(now - self._pace.margin):
            await self._jobs.purge(tenant, document_id, generations, _run(now))
            done["purges_republished"] += 1

    async def _update(self, done: Counter[str]) -> None:
        now = self._clock()
        if await self._queues.waiting(UpdateIndexedDocument):
            return
        for tenant, document_id in await self._ledger.acl_pending(now - self._pace.margin):
            await self._jobs.update_again(tenant, document_id, _run(now))
            done["updates_republished"] += 1

    async def _sweep(self, done: Counter[str]) -> None:
        now = self._clock()
        if self._swept_at is not None and now - self._swept_at < self._pace.sweep_interval:
            return
        first = self._swept_at is None
        self._swept_at = now
        await self._ledger.forget_idempotency_keys(now - IDEMPOTENCY_AGE)
        if not first:
            # at a start the index may be behind by what was never acked; an hour later it is not
            await self._jobs.sweep_index(_run(now))
            done["index_sweeps"] += 1
        await self._sweep_objects(done)
        if abandoned := await self._objects.remove_abandoned():
            done["abandoned_objects_removed"] += abandoned

    async def _sweep_objects(self, done: Counter[str]) -> None:
        """Remove the objects that this sweep and the one before found orphaned.

        An upload has its object before its row; two sweeps are twice as far apart as it may take.
        """
        total, orphans = 0, set[str]()
        batch: list[str] = []
        async for name in self._objects.names():
            if name == STAMP:
                continue
            total += 1
            batch.append(name)
            if len(batch) == _OBJECT_BATCH:
                orphans |= await self._unknown(batch)
                batch = []
        orphans |= await self._unknown(batch)
        doomed = orphans & self._suspects
        self._suspects = orphans - doomed
        if len(doomed) > max(ORPHAN_FLOOR, total * ORPHAN_SHARE):
            _log.error("too_many_orphan_objects", orphans=len(doomed), objects=total)
            self._suspects = orphans
            done["objects_refused"] += len(doomed)
            return
        for name in doomed:
            await self._objects.delete(name)
            done["objects_removed"] += 1

    async def _unknown(self, names: list[str]) -> set[str]:
        return set(names).difference(await self._ledger.known_uploads(names)) if names else set()


def _run(now: datetime) -> int:
    return int(now.timestamp() * 1000)
