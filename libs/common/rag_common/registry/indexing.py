"""The retriever's side of the registry: completion by counting, updates and purges."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asyncpg import Record

from rag_common.contracts import DocumentRef
from rag_common.registry.database import Database
from rag_common.registry.rows import UNFINISHED, Completion, IndexSource, PurgePlan
from rag_common.registry.transitions import advance, record

if TYPE_CHECKING:
    from rag_common.registry.database import Connection

_PENDING, _REFUSED, _ACL_CHANGED = Completion("pending"), Completion("refused"), Completion("acl_changed")


class Indexing:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def source(self, document: DocumentRef, numbers: Sequence[int]) -> IndexSource | None:
        """What to write beside the vectors. ``None``: the generation is not wanted any more."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT d.collection_id, col.name, d.source_uri, d.acl, d.acl_version, d.metadata,
                       c.no, concat_ws(E'\\n', nullif(c.context, ''), c.text) AS text
                FROM documents d
                JOIN collections col ON col.id = d.collection_id AND col.deleted_at IS NULL
                JOIN generations g ON g.document_id = d.id AND g.generation = $2
                JOIN chunks c ON c.document_id = d.id AND c.generation = $2 AND c.no = ANY($4)
                WHERE d.id = $1 AND d.tenant = $3 AND d.state = 'active'
                  AND ((d.latest_generation = $2 AND g.state = 'embedding') OR d.live_generation = $2)
                """,
                document.document_id,
                document.generation,
                document.tenant,
                list(numbers),
            )
        return _source(rows) if rows else None

    async def complete(self, document: DocumentRef, space: str, batch: int, acl_version: int) -> Completion:
        """Count a batch whose points are in the index; with the last one the generation goes live.

        The document row is locked first: under a mere insert-then-count two retrievers could each
        miss the other's batch. A late batch of the live generation is counted again, which changes
        nothing, even if a newer generation has been accepted.
        """
        async with self._database.transaction() as connection:
            row = await _lock(connection, document)
            if row is None or not _wanted(row, document):
                return _REFUSED
            if row["acl_version"] != acl_version:
                return _ACL_CHANGED
            counted = await _count_batch(connection, document, space, batch, acl_version)
            if counted < row["batch_count"]:
                return _PENDING
            if row["live_generation"] == document.generation:
                return Completion("live", await _purgeable(connection, document))
            key = (document.document_id, document.generation)
            if not await advance(connection, *key, ("embedding",), "live"):
                return _REFUSED
            return Completion("live", await _go_live(connection, document, space))

    async def update_source(self, tenant: str, document_id: str) -> IndexSource | None:
        """ACL and metadata to bring the points to. ``None``: the document is gone."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT d.collection_id, col.name, d.source_uri, d.acl, d.acl_version, d.metadata,
                       NULL AS no, NULL AS text
                FROM documents d JOIN collections col ON col.id = d.collection_id
                WHERE d.id = $1 AND d.tenant = $2 AND d.state = 'active'
                """,
                document_id,
                tenant,
            )
        return _source(rows) if rows else None

    async def updated(self, tenant: str, document_id: str, acl_version: int) -> bool:
        """The index has applied this version. ``False``: there is a newer one; apply again."""
        async with self._database.connection() as connection:
            current = await connection.fetchval(
                """
                UPDATE documents SET indexed_acl_version = greatest(indexed_acl_version, $3)
                WHERE id = $1 AND tenant = $2 RETURNING acl_version
                """,
                document_id,
                tenant,
                acl_version,
            )
        return current is None or current == acl_version

    async def purge_plan(self, tenant: str, document_id: str, generations: Sequence[int]) -> PurgePlan | None:
        """What of the asked may really go: all of a tombstoned document, or finished generations.

        ``None``: nothing.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT d.state AS document_state, g.generation, g.upload_id,
                       (g.state IN ('superseded', 'failed', 'rejected')
                        AND g.generation IS DISTINCT FROM d.live_generation) AS over,
                       NOT EXISTS (SELECT FROM generations o WHERE o.upload_id = g.upload_id
                                   AND (o.document_id, o.generation) <> (g.document_id, g.generation)
                                   AND o.purged_at IS NULL) AS sole
                FROM documents d JOIN generations g ON g.document_id = d.id
                WHERE d.id = $1 AND d.tenant = $2 AND g.purged_at IS NULL
                """,
                document_id,
                tenant,
            )
            state = await connection.fetchval(
                "SELECT state FROM documents WHERE id = $1 AND tenant = $2", document_id, tenant
            )
        if state is None or state == "deleted":
            return None
        whole = state == "deleting"
        doomed = [row for row in rows if whole or (row["over"] and row["generation"] in generations)]
        if not doomed and not whole:
            return None
        return PurgePlan(
            document_id=document_id,
            whole=whole,
            generations=tuple(row["generation"] for row in doomed),
            upload_ids=tuple(row["upload_id"] for row in doomed if row["sole"]),
        )

    async def purged(self, tenant: str, plan: PurgePlan, *, points: int, objects: int) -> None:
        """Record the receipt of a purge that was verified: chunk texts go, tombstones stay."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "SELECT 1 FROM documents WHERE id = $1 AND tenant = $2 FOR NO KEY UPDATE",
                plan.document_id,
                tenant,
            )
            over = await connection.fetch(
                "SELECT generation FROM generations WHERE document_id = $1 AND generation = ANY($2) "
                "AND ($3 OR state IN ('superseded', 'failed', 'rejected'))",
                plan.document_id,
                list(plan.generations),
                plan.whole,
            )
            key = (plan.document_id, [row["generation"] for row in over])
            for table in ("chunks", "batches"):
                await connection.execute(
                    f"DELETE FROM {table} WHERE document_id = $1 AND generation = ANY($2)",  # noqa: S608
                    *key,
                )
            await connection.execute(
                "UPDATE generations SET purged_at = clock_timestamp() "
                "WHERE document_id = $1 AND generation = ANY($2)",
                *key,
            )
            if not plan.whole:
                return
            latest = await connection.fetchval(
                """
                UPDATE documents SET state = 'deleted', updated_at = clock_timestamp(), purge_receipt =
                    $3::jsonb || jsonb_build_object('at', clock_timestamp())
                WHERE id = $1 AND tenant = $2 AND state = 'deleting' RETURNING latest_generation
                """,
                plan.document_id,
                tenant,
                {"points": points, "objects": objects},
            )
            if latest is not None:
                await record(connection, plan.document_id, latest, "deleting", "deleted")

    async def unknown_generations(self, generations: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Of the (document, generation) pairs that the index holds, those purged or never known."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT p.document_id::text, p.generation
                FROM unnest($1::uuid[], $2::int[]) AS p (document_id, generation)
                LEFT JOIN generations g USING (document_id, generation)
                WHERE g.document_id IS NULL OR g.purged_at IS NOT NULL
                """,
                [document for document, _ in generations],
                [generation for _, generation in generations],
            )
        return [(row["document_id"], row["generation"]) for row in rows]


def _source(rows: list[Record]) -> IndexSource:
    first = rows[0]
    return IndexSource(
        collection_id=str(first["collection_id"]),
        collection=first["name"],
        source_uri=first["source_uri"],
        acl=tuple(first["acl"]),
        acl_version=first["acl_version"],
        metadata=first["metadata"],
        texts={row["no"]: row["text"] for row in rows if row["no"] is not None},
    )


async def _lock(connection: "Connection", document: DocumentRef) -> Record | None:
    """Lock the document, then read it: a statement that waits would see the generation as it was."""
    await connection.execute(
        "SELECT 1 FROM documents WHERE id = $1 AND tenant = $2 FOR NO KEY UPDATE",
        document.document_id,
        document.tenant,
    )
    return await connection.fetchrow(
        """
        SELECT d.state, d.latest_generation, d.live_generation, d.acl_version,
               g.state AS generation_state, g.batch_count
        FROM documents d JOIN generations g ON g.document_id = d.id AND g.generation = $2
        WHERE d.id = $1 AND d.tenant = $3
        """,
        document.document_id,
        document.generation,
        document.tenant,
    )


def _wanted(row: Record, document: DocumentRef) -> bool:
    embedding = row["latest_generation"] == document.generation and row["generation_state"] == "embedding"
    live = row["live_generation"] == document.generation
    return bool(row["state"] == "active" and (embedding or live))


async def _count_batch(
    connection: "Connection", document: DocumentRef, space: str, batch: int, acl_version: int
) -> int:
    key = (space, document.document_id, document.generation)
    await connection.execute(
        """
        INSERT INTO batches (space, document_id, generation, batch, acl_version)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (space, document_id, generation, batch) DO UPDATE SET acl_version = $5
        """,
        *key,
        batch,
        acl_version,
    )
    counted: int = await connection.fetchval(
        "SELECT count(*) FROM batches WHERE space = $1 AND document_id = $2 AND generation = $3", *key
    )
    return counted


async def _go_live(connection: "Connection", document: DocumentRef, space: str) -> tuple[int, ...]:
    older: list[Any] = await connection.fetch(
        "SELECT generation FROM generations WHERE document_id = $1 AND generation < $2 AND state = ANY($3)",
        document.document_id,
        document.generation,
        [*UNFINISHED, "live"],
    )
    for row in older:
        await advance(
            connection, document.document_id, row["generation"], (*UNFINISHED, "live"), "superseded"
        )
    await connection.execute(
        """
        UPDATE documents
        SET live_generation = $2, updated_at = clock_timestamp(),
            indexed_acl_version = greatest(indexed_acl_version, (
                SELECT min(acl_version) FROM batches
                WHERE space = $3 AND document_id = $1 AND generation = $2))
        WHERE id = $1
        """,
        document.document_id,
        document.generation,
        space,
    )
    return await _purgeable(connection, document)


async def _purgeable(connection: "Connection", document: DocumentRef) -> tuple[int, ...]:
    rows = await connection.fetch(
        "SELECT generation FROM generations WHERE document_id = $1 AND generation < $2 "
        "AND purged_at IS NULL AND state IN ('superseded', 'failed', 'rejected') ORDER BY generation",
        document.document_id,
        document.generation,
    )
    return tuple(row["generation"] for row in rows)
