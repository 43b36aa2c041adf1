"""The members of archives and the attachments of mails: documents that came inside another one.

A member has the lane, the order and, when it is made, the ACL and the metadata of its container. It goes
when that one goes. A change of the container's ACL or metadata replaces the member's own.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from asyncpg import Record

from rag_common.contracts import DocumentRef
from rag_common.errors import PermanentError
from rag_common.registry.acceptance import Upload, accept
from rag_common.registry.database import Database
from rag_common.registry.descendants import bury, lock_descendants
from rag_common.registry.rows import Accepted, Order

if TYPE_CHECKING:
    from rag_common.registry.database import Connection


@dataclass(frozen=True, slots=True)
class Nesting:
    """How deep a document lies (0: in nothing), and what else the outermost document around it holds."""

    depth: int
    documents: int
    size: int
    """Bytes."""


class SourceTaken(PermanentError):
    """What came in a container has the name of a document that did not."""

    def __init__(self, source_uri: str) -> None:
        super().__init__(f"there is another document called {source_uri}", code="source_taken")


class Members:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, container: DocumentRef, upload: Upload) -> Accepted | None:
        """Accept one member, with the order of the container's generation; as a drop otherwise.

        A new one has the access of the container. ``None``: the container's generation is not wanted
        any more.

        :raises SourceTaken: a document that is no member of the container has the name; it stays as it is.
        """
        async with self._database.transaction() as connection:
            row = await _lock_container(connection, container)
            if row is None:
                return None
            accepted = await accept(connection, container.tenant, upload, _order(row), row["id"])
            stranger = await connection.fetchval(
                "SELECT true FROM documents WHERE id = $1 AND state = 'active' "
                "AND parent_id IS DISTINCT FROM $2",
                accepted.document.document_id,
                row["id"],
            )
            if stranger:
                raise SourceTaken(upload.content.source_uri)
        return accepted

    async def retire(self, container: DocumentRef, kept: Collection[str]) -> list[str]:
        """Tombstone the members that are not ``kept`` (ids), with what is inside them; their ids.

        Nothing, if the container's generation is not wanted any more.
        """
        async with self._database.transaction() as connection:
            row = await _lock_container(connection, container)
            if row is None:
                return []
            gone = await connection.fetch(
                "SELECT id FROM documents WHERE parent_id = $1 AND state = 'active' AND id <> ALL($2) "
                'ORDER BY source_uri COLLATE "C" FOR NO KEY UPDATE',
                row["id"],
                list(kept),
            )
            doomed = [member["id"] for member in gone]
            doomed += await lock_descendants(connection, doomed)
            return [str(document) for document in await bury(connection, doomed, _order(row))]

    async def inside(self, tenant: str, document_id: str) -> list[str]:
        """Ids of what is inside a document, the outer first; also of what is not purged yet."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                WITH RECURSIVE inside AS (
                    SELECT id FROM documents WHERE parent_id = $1 AND tenant = $2 AND state <> 'deleted'
                    UNION
                    SELECT d.id FROM documents d JOIN inside ON d.parent_id = inside.id
                    WHERE d.state <> 'deleted'
                )
                SELECT id FROM inside
                """,
                document_id,
                tenant,
            )
        return [str(row["id"]) for row in rows]

    async def nesting(self, document: DocumentRef) -> Nesting:
        """Where a document stands among documents; what is inside it is not counted."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                """
                WITH RECURSIVE around AS (
                    SELECT id, parent_id, 0 AS depth FROM documents WHERE id = $1
                    UNION ALL
                    SELECT d.id, d.parent_id, around.depth + 1
                    FROM documents d JOIN around ON d.id = around.parent_id
                ), outermost AS (
                    SELECT id, depth FROM around ORDER BY depth DESC LIMIT 1
                ), inside AS (
                    SELECT id FROM documents
                    WHERE parent_id = (SELECT id FROM outermost) AND state = 'active'
                    UNION
                    SELECT d.id FROM documents d JOIN inside ON d.parent_id = inside.id
                    WHERE d.state = 'active' AND d.parent_id <> $1
                )
                SELECT (SELECT depth FROM outermost) AS depth, count(*) AS documents,
                       coalesce(sum(g.size), 0)::bigint AS size
                FROM inside JOIN documents d ON d.id = inside.id
                JOIN generations g ON g.document_id = d.id AND g.generation = d.latest_generation
                """,
                document.document_id,
            )
        assert row is not None  # noqa: S101 - an aggregate has one row
        return Nesting(depth=row["depth"] or 0, documents=row["documents"], size=row["size"])


async def _lock_container(connection: "Connection", container: DocumentRef) -> Record | None:
    locked: UUID | None = await connection.fetchval(
        "SELECT id FROM documents WHERE id = $1 AND tenant = $2 AND state = 'active' "
        "AND latest_generation = $3 FOR NO KEY UPDATE",
        container.document_id,
        container.tenant,
        container.generation,
    )
    if locked is None:
        return None
    return await connection.fetchrow(
        "SELECT d.id, g.order_ns, g.order_seq "
        "FROM documents d "
        "JOIN generations g ON g.document_id = d.id AND g.generation = $2 "
        "JOIN collections c ON c.id = d.collection_id AND c.deleted_at IS NULL WHERE d.id = $1",
        locked,
        container.generation,
    )


def _order(row: Record) -> Order:
    return Order(row["order_ns"], row["order_seq"])
