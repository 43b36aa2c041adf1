"""What the reconciler looks for: work that a crash has left half done."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from rag_common.contracts import Lane
from rag_common.registry.database import Database
from rag_common.registry.descendants import bury
from rag_common.registry.ingesting import SELECT_GENERATION, generation_row
from rag_common.registry.rows import UNFINISHED, Generation, Order

RECONCILER_LOCK = 7_262_002
"""PostgreSQL advisory lock: one reconciler at a time in an installation."""


class Reconciling:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Whether this process holds the reconciler's lock, until the end.

        The lock belongs to a session of its own, so nothing but the end of that session is needed to free it.
        """
        async with self._database.dedicated() as connection:
            yield await connection.fetchval("SELECT pg_try_advisory_lock($1)", RECONCILER_LOCK)

    async def without_message(
        self, lane: Lane, queued_before: datetime, limit: int = 500
    ) -> list[Generation]:
        """Unfinished generations of a lane queued, or moved on, before the oldest message of any stage of it.

        A stage publishes its messages after the transition that leads to them, so these are newer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                SELECT_GENERATION + " WHERE g.state = ANY($1) AND d.state = 'active' AND g.lane = $2 "
                "AND greatest(g.queued_at, g.updated_at) < $3 ORDER BY g.queued_at LIMIT $4",
                list(UNFINISHED),
                lane,
                queued_before,
                limit,
            )
        return [generation_row(row) for row in rows]

    async def requeued(self, document_id: str, generation: int) -> None:
        """A new job for the generation is on its queue."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE generations SET queued_at = clock_timestamp() "
                "WHERE document_id = $1 AND generation = $2",
                document_id,
                generation,
            )

    async def delete_orphaned_documents(self, limit: int = 500) -> int:
        """Tombstone the documents of deleted collections; how many there were."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                """
                SELECT d.id FROM documents d JOIN collections c ON c.id = d.collection_id
                WHERE c.deleted_at IS NOT NULL AND d.state = 'active'
                LIMIT $1 FOR NO KEY UPDATE OF d
                """,
                limit,
            )
            # They keep their orders: the moment at which the collection was deleted decides which drops
            # were before it, and a drop into a new one of that name may be older than now.
            buried = await bury(connection, [row["id"] for row in rows], Order(0, 0))
        return len(buried)

    async def unpurged(self, before: datetime, limit: int = 500) -> list[tuple[str, str, tuple[int, ...]]]:
        """(tenant, document, generations) to purge; no generations: the whole document."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                (SELECT tenant, id::text AS document, ARRAY[]::int[] AS generations FROM documents
                 WHERE state = 'deleting' AND updated_at < $1 LIMIT $2)
                UNION ALL
                (SELECT d.tenant, d.id::text, array_agg(g.generation ORDER BY g.generation)
                 FROM generations g JOIN documents d ON d.id = g.document_id
                 WHERE g.state IN ('failed', 'rejected', 'superseded') AND g.purged_at IS NULL
                   AND g.updated_at < $1 AND d.state = 'active'
                   AND NOT (g.state = 'failed' AND g.generation = d.latest_generation)
                 GROUP BY d.tenant, d.id LIMIT $2)
                """,
                before,
                limit,
            )
        return [(row["tenant"], row["document"], tuple(row["generations"])) for row in rows]

    async def acl_pending(self, before: datetime, limit: int = 500) -> list[tuple[str, str]]:
        """(tenant, document) of the documents whose points have an older ACL."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT tenant, id::text FROM documents WHERE state = 'active' "
                "AND acl_version > indexed_acl_version AND live_generation IS NOT NULL "
                "AND updated_at < $1 LIMIT $2",
                before,
                limit,
            )
        return [(row["tenant"], row["id"]) for row in rows]

    async def known_uploads(self, names: list[str]) -> set[str]:
        """Of these object names, those that a generation still needs."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT DISTINCT upload_id FROM generations WHERE upload_id = ANY($1) AND purged_at IS NULL",
                names,
            )
        return {row["upload_id"] for row in rows}

    async def forget_idempotency_keys(self, before: datetime) -> None:
        """Keys older than ``before`` may be used again."""
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM idempotency_keys WHERE created_at < $1", before)
