"""Which drops the documents have seen."""

from rag_common.registry.database import Database
from rag_common.registry.rows import Order


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
