"""Taking back a generation whose job the queue refused: the document is as it was before."""

from typing import TYPE_CHECKING

from asyncpg import Record

from rag_common.contracts import DocumentRef
from rag_common.registry.descendants import share_access
from rag_common.registry.transitions import advance

if TYPE_CHECKING:
    from rag_common.registry.database import Connection


async def reject(connection: "Connection", document: DocumentRef) -> None:
    """The caller has locked the document."""
    row = await connection.fetchrow(
        """
        SELECT d.id, d.latest_generation, d.title, d.acl, d.metadata, d.acl_version, g.previous,
               (d.order_ns, d.order_seq) = (g.order_ns, g.order_seq) AS newest
        FROM documents d JOIN generations g ON g.document_id = d.id AND g.generation = $2
        WHERE d.id = $1
        """,
        document.document_id,
        document.generation,
    )
    if row is None or (row["latest_generation"] == document.generation and not row["newest"]):
        # A drop of the same bytes was told "unchanged": the reconciler queues the generation instead.
        return
    rejected = await advance(
        connection,
        document.document_id,
        document.generation,
        ("accepted",),
        "rejected",
        stage="accept",
        code="overloaded",
        message="the ingest queue refused the job; upload the document again",
    )
    previous = row["previous"]
    if not rejected or row["latest_generation"] != document.generation or not previous["latest_generation"]:
        return
    await connection.execute(
        "UPDATE documents SET latest_generation = $2, order_ns = $3, order_seq = $4, "
        "updated_at = clock_timestamp() WHERE id = $1",
        document.document_id,
        previous["latest_generation"],
        previous["order_ns"],
        previous["order_seq"],
    )
    await _restore_access(connection, document, row)
    # A worker may have dropped the restored generation's job meanwhile; the reconciler queues it again.
    purged = await connection.fetchval(
        "SELECT purged_at FROM generations WHERE document_id = $1 AND generation = $2",
        document.document_id,
        previous["latest_generation"],
    )
    if purged is None:
        await advance(
            connection, document.document_id, previous["latest_generation"], ("superseded",), "accepted"
        )


async def _restore_access(connection: "Connection", document: DocumentRef, row: Record) -> None:
    """Title, metadata and ACL as before, unless somebody has changed them since: a revocation stays."""
    previous = row["previous"]
    if row["title"] == previous["accepted_title"]:
        await connection.execute(
            "UPDATE documents SET title = $2 WHERE id = $1", document.document_id, previous["title"]
        )
    if row["acl_version"] == previous["accepted_acl_version"]:
        await connection.execute(
            """
            UPDATE documents SET metadata = $2, acl = $3,
                acl_version = acl_version + (acl <> $3 OR metadata <> $2)::int
            WHERE id = $1
            """,
            document.document_id,
            previous["metadata"],
            previous["acl"],
        )
        await share_access(
            connection,
            row["id"],
            acl=row["acl"] != previous["acl"],
            metadata=row["metadata"] != previous["metadata"],
        )
