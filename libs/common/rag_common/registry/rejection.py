"""Taking back a generation whose job the queue refused: the document is as it was before."""

from typing import TYPE_CHECKING, Any

from rag_common.contracts import DocumentRef
from rag_common.registry.access import take_back, upload_name
from rag_common.registry.transitions import advance

if TYPE_CHECKING:
    from rag_common.registry.database import Connection


async def reject(connection: "Connection", document: DocumentRef) -> None:
    """The caller has locked the document."""
    row = await connection.fetchrow(
        """
        SELECT d.id, d.latest_generation = g.generation AS latest, g.previous,
               (d.order_ns, d.order_seq) = (g.order_ns, g.order_seq) AS newest
        FROM documents d JOIN generations g ON g.document_id = d.id AND g.generation = $2
        WHERE d.id = $1
        """,
        document.document_id,
        document.generation,
    )
    if row is None or (row["latest"] and not row["newest"]):
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
    if not rejected:
        return
    await take_back(connection, row["id"], upload_name(row["id"], document.generation))
    if row["latest"] and row["previous"]["latest_generation"]:
        await _restore(connection, document, row["previous"])


async def _restore(connection: "Connection", document: DocumentRef, previous: dict[str, Any]) -> None:
    """Generation and order as before; the title unless somebody has changed it since."""
    await connection.execute(
        """
        UPDATE documents
        SET latest_generation = $2, order_ns = $3, order_seq = $4, updated_at = clock_timestamp(),
            title = CASE WHEN title = $5 THEN $6 ELSE title END
        WHERE id = $1
        """,
        document.document_id,
        previous["latest_generation"],
        previous["order_ns"],
        previous["order_seq"],
        previous["accepted_title"],
        previous["title"],
    )
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
