"""Documents inside documents, as statements within a transaction that has locked the outermost one."""

from typing import TYPE_CHECKING
from uuid import UUID

from rag_common.registry.rows import Order
from rag_common.registry.transitions import NOW_NS

if TYPE_CHECKING:
    from rag_common.registry.database import Connection


async def lock_descendants(connection: "Connection", parents: list[UUID]) -> list[UUID]:
    """All active documents inside ``parents``, at any depth, locked from the outside to the inside.

    A document gets members only under a lock on itself, so nothing is added meanwhile.
    """
    found: list[UUID] = []
    while parents:
        rows = await connection.fetch(
            "SELECT id FROM documents WHERE parent_id = ANY($1) AND state = 'active' "
            'ORDER BY source_uri COLLATE "C" FOR NO KEY UPDATE',
            parents,
        )
        parents = [row["id"] for row in rows]
        found += parents
    return found


async def bury(connection: "Connection", documents: list[UUID], order: Order | None = None) -> list[UUID]:
    """Tombstone those of the locked documents that are active; which these were.

    ``order`` is that of the drop or upload which did it (none: now); a later one may bring them back.
    """
    # NOW_NS is a constant of this package
    rows = await connection.fetch(
        f"""
        WITH doomed AS (
            SELECT d.id, d.latest_generation, g.state FROM documents d
            JOIN generations g ON g.document_id = d.id AND g.generation = d.latest_generation
            WHERE d.id = ANY($1) AND d.state = 'active'
        ), deleted AS (
            UPDATE documents d
            SET state = 'deleting', deleted_at = clock_timestamp(), updated_at = clock_timestamp(),
                order_ns = greatest(coalesce($2, {NOW_NS}), d.order_ns),
                order_seq = CASE WHEN $2 > d.order_ns THEN $3
                                 WHEN $2 = d.order_ns THEN greatest(d.order_seq, $3) ELSE d.order_seq END
            FROM doomed WHERE d.id = doomed.id
        )
        INSERT INTO transitions (document_id, generation, from_state, to_state)
        SELECT id, latest_generation, state, 'deleting' FROM doomed RETURNING document_id
        """,  # noqa: S608
        documents,
        order.time_ns if order else None,
        order.sequence if order else None,
    )
    return [row["document_id"] for row in rows]
