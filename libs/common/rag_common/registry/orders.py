"""Which drops the documents have seen."""

from typing import TYPE_CHECKING, Literal

from asyncpg import Record

from rag_common.registry.database import Database
from rag_common.registry.rows import UNFINISHED, Order

if TYPE_CHECKING:
    from rag_common.registry.database import Connection


class Orders:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def reached(self, tenant: str, collection: str, source_uri: str, order: Order) -> bool:
        """Whether a document of this source has taken this drop in, or was changed or deleted later."""
        async with self._database.connection() as connection:
            return bool(
                await connection.fetchval(
                    """
                    SELECT true FROM documents d JOIN collections c ON c.id = d.collection_id
                    WHERE c.tenant = $1 AND c.name = $2 AND d.source_uri = $3
                      AND ((d.order_ns, d.order_seq) >= ($4, $5)
                        OR extract(epoch FROM c.deleted_at) * 1000000000 >= $4)
                    LIMIT 1
                    """,
                    tenant,
                    collection,
                    source_uri,
                    order.time_ns,
                    order.sequence,
                )
            )


def late(row: Record, order: Order) -> Literal["resumed", "superseded"] | None:
    """Whether the drop was seen before, or something newer was. ``None``: it is the newest."""
    this = (order.time_ns, order.sequence)
    last = (row["order_ns"], row["order_seq"])
    made = (row["generation_order_ns"], row["generation_order_seq"])
    # the same bytes, offered again meanwhile, have moved the document's order beyond its generation's
    if this == last or (this == made and row["generation_state"] in UNFINISHED):
        return "resumed"
    return "superseded" if this < last else None


async def tombstone(
    connection: "Connection", tenant: str, collection: str, source_uri: str, order: Order
) -> Record | None:
    """A deleted document that this drop must not bring back: it, or its collection, went after the drop.

    ``collection`` has no active document of this source.
    """
    return await connection.fetchrow(
        """
        SELECT d.id, d.tenant, d.state, d.latest_generation
        FROM documents d JOIN collections c ON c.id = d.collection_id
        WHERE c.tenant = $1 AND c.name = $2 AND d.source_uri = $3
          AND ((d.state <> 'active' AND (d.order_ns, d.order_seq) >= ($4, $5))
            OR extract(epoch FROM c.deleted_at) * 1000000000 >= $4)
        LIMIT 1
        """,
        tenant,
        collection,
        source_uri,
        order.time_ns,
        order.sequence,
    )
