"""The ingest stage's side of the registry: a generation from accepted to embedding."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asyncpg import Record

from rag_common.contracts import CollectionSettings, DocumentRef
from rag_common.registry.chunks import chunk_row, write_chunks
from rag_common.registry.database import Database
from rag_common.registry.rows import UNFINISHED, ChunkRow, Generation, Order
from rag_common.registry.transitions import advance

if TYPE_CHECKING:
    from rag_common.registry.database import Connection

SELECT_GENERATION = """
    SELECT g.*, d.tenant, d.source_uri, d.parent_id, d.title, d.latest_generation,
           EXISTS (SELECT FROM documents m WHERE m.parent_id = d.id AND m.state = 'active') AS has_members,
           CASE WHEN c.deleted_at IS NULL THEN d.state ELSE 'deleting' END AS document_state,
           c.name AS collection, c.settings
    FROM generations g
    JOIN documents d ON d.id = g.document_id
    JOIN collections c ON c.id = d.collection_id
"""
_COMMIT = """
    UPDATE generations SET chunk_count = $3, batch_count = $4, fingerprint = $5,
        media_type = coalesce($6, media_type), warnings = $7
    WHERE document_id = $1 AND generation = $2
"""


def generation_row(record: Record) -> Generation:
    return Generation(
        document=DocumentRef(
            tenant=record["tenant"], document_id=str(record["document_id"]), generation=record["generation"]
        ),
        collection=record["collection"],
        source_uri=record["source_uri"],
        title=record["title"],
        state=record["state"],
        document_state=record["document_state"],
        latest_generation=record["latest_generation"],
        lane=record["lane"],
        upload_id=record["upload_id"],
        sha256=record["content_sha256"],
        size=record["size"],
        media_type=record["media_type"],
        file_name=record["file_name"],
        chunk_count=record["chunk_count"],
        batch_count=record["batch_count"],
        parent_id=str(record["parent_id"]) if record["parent_id"] else None,
        has_members=record["has_members"],
        settings=CollectionSettings.model_validate(record["settings"]),
    )


class Ingesting:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def generation(self, document: DocumentRef) -> Generation | None:
        """``None``: no such generation of this tenant."""
        async with self._database.connection() as connection:
            record = await connection.fetchrow(
                SELECT_GENERATION + " WHERE g.document_id = $1 AND g.generation = $2 AND d.tenant = $3",
                document.document_id,
                document.generation,
                document.tenant,
            )
        return generation_row(record) if record else None

    async def by_order(self, tenant: str, order: Order) -> Generation | None:
        """The generation that a drop with this order has made, if any; not those of its members."""
        async with self._database.connection() as connection:
            record = await connection.fetchrow(
                SELECT_GENERATION + " WHERE g.order_ns = $1 AND g.order_seq = $2 AND d.tenant = $3 "
                "AND NOT EXISTS (SELECT FROM generations o WHERE o.document_id = d.parent_id "
                "AND o.order_ns = $1 AND o.order_seq = $2)",
                order.time_ns,
                order.sequence,
                tenant,
            )
        return generation_row(record) if record else None

    async def begin(self, document: DocumentRef, attempt: int) -> bool:
        """accepted → parsing. ``False``: parsing has begun before (a redelivery), or is over."""
        async with self._database.transaction() as connection:
            return await advance(
                connection,
                document.document_id,
                document.generation,
                ("accepted",),
                "parsing",
                stage="ingest",
                attempts=attempt,
            )

    async def supersede(self, document: DocumentRef) -> bool:
        """Give up a generation that a newer one, or a delete, has overtaken."""
        async with self._database.transaction() as connection:
            return await advance(
                connection, document.document_id, document.generation, UNFINISHED, "superseded"
            )

    async def commit_chunks(
        self,
        document: DocumentRef,
        chunks: Sequence[ChunkRow],
        *,
        batches: int,
        fingerprint: str,
        media_type: str | None = None,
        warnings: Sequence[str] = (),
        title: tuple[str, str] | None = None,
    ) -> bool:
        """Write all chunks and move parsing → embedding, in one transaction.

        ``title`` is the title that the document had and the one that was found in it; somebody's
        change in between stays.

        ``False``: the generation is not wanted any more, or was committed by another delivery.
        """
        async with self._database.transaction() as connection:
            if not await _lock_current(connection, document) or not await advance(
                connection,
                document.document_id,
                document.generation,
                ("accepted", "parsing"),
                "embedding",
                stage="embed",
            ):
                return False
            await connection.execute(
                _COMMIT,
                document.document_id,
                document.generation,
                len(chunks),
                batches,
                fingerprint,
                media_type,
                list(warnings),
            )
            await write_chunks(connection, document, chunks)
            if title is not None:
                await connection.execute(
                    "UPDATE documents SET title = $3 WHERE id = $1 AND title = $2",
                    document.document_id,
                    *title,
                )
        return True

    async def chunks(self, document: DocumentRef) -> list[ChunkRow]:
        """All chunks of a generation, in order."""
        async with self._database.connection() as connection:
            records = await connection.fetch(
                "SELECT * FROM chunks WHERE document_id = $1 AND generation = $2 ORDER BY no",
                document.document_id,
                document.generation,
            )
        return [chunk_row(record) for record in records]

    async def fail(
        self, document: DocumentRef, *, stage: str, code: str, message: str, attempts: int
    ) -> bool:
        """→ failed, with the reason. ``False``: finished already, or not this tenant's."""
        async with self._database.transaction() as connection:
            owned = await connection.fetchval(
                "SELECT true FROM documents WHERE id = $1 AND tenant = $2 FOR NO KEY UPDATE",
                document.document_id,
                document.tenant,
            )
            return bool(owned) and await advance(
                connection,
                document.document_id,
                document.generation,
                UNFINISHED,
                "failed",
                stage=stage,
                code=code,
                message=message,
                attempts=attempts,
            )


async def _lock_current(connection: "Connection", document: DocumentRef) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT state = 'active' AND latest_generation = $3 FROM documents "
            "WHERE id = $1 AND tenant = $2 FOR NO KEY UPDATE",
            document.document_id,
            document.tenant,
            document.generation,
        )
    )
