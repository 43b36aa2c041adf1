"""The check that every hit passes before it leaves the retriever. The registry decides."""

from collections import defaultdict
from collections.abc import Sequence

from rag_common.registry.chunks import chunk_row, place_of
from rag_common.registry.database import Database
from rag_common.registry.rows import ChunkRow, PassageRow

ChunkKey = tuple[str, int, int]
"""Document id, generation, chunk number."""
Window = tuple[str, int, int, int, int, int]
"""Document id, generation, first and last chunk number, and the offsets between which a chunk must lie."""

_READABLE = """
    JOIN documents d ON d.id = asked.document_id AND d.tenant = $1 AND d.state = 'active'
        AND d.live_generation = asked.generation AND d.acl && $2::text[]
    JOIN collections col ON col.id = d.collection_id AND col.deleted_at IS NULL
        AND (cardinality($3::text[]) = 0 OR col.name = ANY($3))
    JOIN chunks c ON c.document_id = asked.document_id AND c.generation = asked.generation
"""
"""Chunks of the generations that were ``asked`` for and that the caller may read now."""

_ADMITTED = f"""
    SELECT d.id, c.generation, c.no, c.text, c.page, c.slide, c.sheet, c.first_row,
           c.last_row, c.start_offset, c.end_offset, c.heading,
           col.name AS collection, d.title, d.source_uri, d.metadata
    FROM unnest($4::uuid[], $5::int[], $6::int[]) AS asked (document_id, generation, no)
    {_READABLE} AND c.no = asked.no
"""  # noqa: S608 - made of constants

_NEIGHBOURS = f"""
    SELECT c.*
    FROM unnest($4::uuid[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[])
        AS asked (document_id, generation, first_no, last_no, start_offset, end_offset)
    {_READABLE} AND c.no BETWEEN asked.first_no AND asked.last_no
        AND c.start_offset >= asked.start_offset AND c.end_offset <= asked.end_offset
"""  # noqa: S608 - made of constants


class Passages:
    """Each answer is one statement, so it is of one moment.

    Dropped: deleted documents and collections, generations that are not live, documents whose ACL
    holds none of the principals. ``collections`` empty: any.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def admitted(
        self,
        tenant: str,
        principals: Sequence[str],
        collections: Sequence[str],
        proposed: Sequence[ChunkKey],
    ) -> dict[ChunkKey, PassageRow]:
        """Of the proposed chunks, those that the caller may read now, with their texts."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _ADMITTED,
                tenant,
                list(principals),
                list(collections),
                *_columns(proposed, 3),
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

    async def neighbours(
        self,
        tenant: str,
        principals: Sequence[str],
        collections: Sequence[str],
        windows: Sequence[Window],
    ) -> dict[tuple[str, int], dict[int, ChunkRow]]:
        """Document and generation → number → chunk, of the windows that the caller may read now."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _NEIGHBOURS,
                tenant,
                list(principals),
                list(collections),
                *_columns(windows, 6),
            )
        found: defaultdict[tuple[str, int], dict[int, ChunkRow]] = defaultdict(dict)
        for row in rows:
            found[str(row["document_id"]), row["generation"]][row["no"]] = chunk_row(row)
        return dict(found)


def _columns(rows: Sequence[tuple[str | int, ...]], count: int) -> list[list[str | int]]:
    """Rows as ``count`` columns, for ``unnest``."""
    return [[row[column] for row in rows] for column in range(count)]
