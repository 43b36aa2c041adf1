"""Reading, changing and deleting documents."""

from datetime import datetime

from asyncpg import Record
from pydantic import JsonValue

from rag_common.contracts import DocumentState
from rag_common.errors import PermanentError
from rag_common.registry.access import set_access
from rag_common.registry.chunks import chunk_row
from rag_common.registry.database import Database
from rag_common.registry.descendants import bury, lock_descendants
from rag_common.registry.rows import ChunkRow, Document, Transition


class UnknownDocument(PermanentError):
    code = "unknown_document"

    def __init__(self, document_id: str) -> None:
        super().__init__(f"there is no document {document_id!r}, or you may not see it")


_SELECT = """
    SELECT d.*, c.name AS collection, g.stage, g.attempts, g.error_code, g.error_message, g.warnings,
           g.media_type, g.file_name, g.size, g.content_sha256, g.chunk_count, g.upload_id,
           CASE WHEN d.state <> 'active' THEN d.state WHEN c.deleted_at IS NOT NULL THEN 'deleting'
                ELSE g.state END AS shown_state,
           greatest(d.updated_at, g.updated_at) AS changed_at
    FROM documents d
    JOIN collections c ON c.id = d.collection_id
    JOIN generations g ON g.document_id = d.id AND g.generation = d.latest_generation
"""


def _document(row: Record) -> Document:
    return Document(
        id=str(row["id"]),
        tenant=row["tenant"],
        collection=row["collection"],
        source_uri=row["source_uri"],
        parent_id=str(row["parent_id"]) if row["parent_id"] else None,
        title=row["title"],
        metadata=row["metadata"],
        acl=tuple(row["acl"]),
        acl_pending=row["live_generation"] is not None and row["acl_version"] > row["indexed_acl_version"],
        generation=row["latest_generation"],
        live_generation=row["live_generation"],
        state=row["shown_state"],
        stage=row["stage"],
        attempts=row["attempts"],
        error_code=row["error_code"],
        error_message=row["error_message"],
        warnings=tuple(row["warnings"]),
        media_type=row["media_type"],
        file_name=row["file_name"],
        size=row["size"],
        sha256=row["content_sha256"],
        chunk_count=row["chunk_count"],
        created_at=row["created_at"],
        updated_at=row["changed_at"],
    )


class Documents:
    """``principals=None`` in these methods means an operator's view, which no ACL narrows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: str, document_id: str, principals: tuple[str, ...] | None = None) -> Document:
        """Deleted documents are found too: their tombstone stays.

        :raises UnknownDocument: none of this tenant, or its ACL does not admit the caller.
        """
        return _document(await self._row(tenant, document_id, principals))

    async def upload_id(
        self, tenant: str, document_id: str, principals: tuple[str, ...] | None = None
    ) -> str:
        """Name of the object that holds the latest generation's bytes.

        :raises UnknownDocument: as for :meth:`get`, and for a deleted document.
        """
        row = await self._row(tenant, document_id, principals)
        if row["shown_state"] in ("deleting", "deleted"):
            raise UnknownDocument(document_id)
        upload_id: str = row["upload_id"]
        return upload_id

    async def page(
        self,
        tenant: str,
        *,
        principals: tuple[str, ...] | None = None,
        collection: str | None = None,
        state: DocumentState | None = None,
        source_uri: str | None = None,
        parent_id: str | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 50,
    ) -> list[Document]:
        """Newest first; ``before`` is creation time and id of the last one seen.

        ``parent_id``: only the members of this archive or mail.
        Deleted documents are listed only when their state is asked for.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"""
                SELECT * FROM ({_SELECT}) shown
                WHERE tenant = $1
                  AND ($2::text[] IS NULL OR acl && $2)
                  AND ($3::text IS NULL OR collection = $3)
                  AND (shown_state = $4 OR ($4::text IS NULL AND shown_state NOT IN ('deleting', 'deleted')))
                  AND ($5::text IS NULL OR source_uri = $5)
                  AND ($6::uuid IS NULL OR parent_id = $6)
                  AND ($7::timestamptz IS NULL OR (created_at, id) < ($7, $8::uuid))
                ORDER BY created_at DESC, id DESC LIMIT $9
                """,  # noqa: S608 - a constant of this module
                tenant,
                list(principals) if principals is not None else None,
                collection,
                state,
                source_uri,
                parent_id,
                before[0] if before else None,
                before[1] if before else None,
                limit,
            )
        return [_document(row) for row in rows]

    async def chunks(
        self, tenant: str, document_id: str, principals: tuple[str, ...], *, after: int = -1, limit: int = 100
    ) -> list[ChunkRow]:
        """Chunks of the live generation, else of the latest, numbered above ``after``.

        :raises UnknownDocument: as for :meth:`get`, and for a deleted document.
        """
        row = await self._row(tenant, document_id, principals)
        if row["shown_state"] in ("deleting", "deleted"):
            raise UnknownDocument(document_id)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT * FROM chunks WHERE document_id = $1 AND generation = $2 AND no > $3 "
                "ORDER BY no LIMIT $4",
                document_id,
                row["live_generation"] or row["latest_generation"],
                after,
                limit,
            )
        return [chunk_row(row) for row in rows]

    async def transitions(
        self, tenant: str, document_id: str, *, after: int = 0, limit: int = 200
    ) -> list[Transition]:
        """What happened to the document, in order, after the transition ``after``."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT t.* FROM transitions t JOIN documents d ON d.id = t.document_id "
                "WHERE d.tenant = $1 AND d.id = $2 AND t.id > $3 ORDER BY t.id LIMIT $4",
                tenant,
                document_id,
                after,
                limit,
            )
        return [
            Transition(**{name: value for name, value in row.items() if name != "document_id"})
            for row in rows
        ]

    async def patch(
        self,
        tenant: str,
        document_id: str,
        *,
        title: str | None = None,
        metadata: dict[str, JsonValue] | None = None,
        acl: tuple[str, ...] | None = None,
    ) -> bool:
        """Change what is not ``None``; ``True`` if an :class:`UpdateIndexedDocument` must follow.

        ACL and metadata go to everything inside the document as well, whatever that had.
        A revocation holds from the commit on; a grant when the index has applied it.

        :raises UnknownDocument: none of this tenant, or it is deleted.
        """
        async with self._database.transaction() as connection:
            known = await connection.fetchval(
                "SELECT id FROM documents WHERE id = $1 AND tenant = $2 AND state = 'active' "
                "FOR NO KEY UPDATE",
                document_id,
                tenant,
            )
            if known is None:
                raise UnknownDocument(document_id)
            if title is not None:
                await connection.execute(
                    "UPDATE documents SET title = $2, updated_at = clock_timestamp() "
                    "WHERE id = $1 AND title <> $2",
                    known,
                    title,
                )
            offered = {"acl": None if acl is None else list(acl), "metadata": metadata}
            return await set_access(connection, known, offered)

    async def delete(self, tenant: str, document_id: str) -> Document:
        """Tombstone the document and all inside it: no search that starts after the commit finds them.

        The purge of points and bytes follows by a :class:`PurgeDocument`; deleting again is allowed.

        :raises UnknownDocument: none of this tenant.
        """
        async with self._database.transaction() as connection:
            found = await connection.fetchval(
                "SELECT id FROM documents WHERE id = $1 AND tenant = $2 AND state = 'active' "
                "FOR NO KEY UPDATE",
                document_id,
                tenant,
            )
            if found is not None:
                await bury(connection, [found, *await lock_descendants(connection, [found])])
        return await self.get(tenant, document_id)

    async def _row(self, tenant: str, document_id: str, principals: tuple[str, ...] | None) -> Record:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                _SELECT + " WHERE d.id = $1 AND d.tenant = $2 AND ($3::text[] IS NULL OR d.acl && $3)",
                document_id,
                tenant,
                list(principals) if principals is not None else None,
            )
        if row is None:
            raise UnknownDocument(document_id)
        return row
