"""The check that every hit passes before it leaves the retriever. The registry decides."""

from collections.abc import Sequence

from rag_common.registry.database import Database
from rag_common.registry.ingesting import place_of
from rag_common.registry.rows import PassageRow

ChunkKey = tuple[str, int, int]
"""Document id, generation, chunk number."""


class Passages:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def admitted(
        self,
        tenant: str,
        principals: Sequence[str],
        collections: Sequence[str],
        proposed: Sequence[ChunkKey],
    ) -> dict[ChunkKey, PassageRow]:
        """Of the proposed chunks, those that the caller may read now, with their texts.

        Dropped: deleted documents and collections, generations that are not live, documents whose
        ACL holds none of the principals. ``collections`` empty: any.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT d.id, c.generation, c.no, c.text, c.page, c.slide, c.sheet, c.first_row,
                       c.last_row, c.start_offset, c.end_offset, c.heading,
                       col.name AS collection, d.title, d.source_uri, d.metadata
                FROM unnest($4::uuid[], $5::int[], $6::int[]) AS p (document_id, generation, no)
                JOIN documents d ON d.id = p.document_id AND d.tenant = $1 AND d.state = 'active'
                    AND d.live_generation = p.generation AND d.acl && $2::text[]
                JOIN collections col ON col.id = d.collection_id AND col.deleted_at IS NULL
                    AND (cardinality($3::text[]) = 0 OR col.name = ANY($3))
                JOIN chunks c ON c.document_id = p.document_id AND c.generation = p.generation
                    AND c.no = p.no
                """,
                tenant,
                list(principals),
                list(collections),
                [key[0] for key in proposed],
                [key[1] for key in proposed],
                [key[2] for key in proposed],
            )
        passages = [
            PassageRow(
                document_id=str(row["id"]),
                generation=row["generation"],
                no=row["no"],
                text=row["text"],
                start=row["start_offset"],
                end=row["end_offset"],
                place=place_of(row),
                heading=tuple(row["heading"]),
                collection=row["collection"],
                title=row["title"],
                source_uri=row["source_uri"],
                metadata=row["metadata"],
            )
            for row in rows
        ]
        return {(row.document_id, row.generation, row.no): row for row in passages}
