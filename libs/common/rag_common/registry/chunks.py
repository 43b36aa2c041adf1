"""Rows of table ``chunks``, as values and back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asyncpg import Record

from rag_common.contracts import DocumentRef, Place
from rag_common.registry.rows import ChunkRow

if TYPE_CHECKING:
    from rag_common.registry.database import Connection


def chunk_row(record: Record) -> ChunkRow:
    """The row of table ``chunks`` as a value."""
    return ChunkRow(
        no=record["no"],
        text=record["text"],
        start=record["start_offset"],
        end=record["end_offset"],
        place=place_of(record),
        heading=tuple(record["heading"]),
        batch=record["batch"],
        gap=record["gap"],
        context=record["context"],
    )


def place_of(record: Record) -> Place:
    """The place that a row of table ``chunks`` names."""
    rows = (record["first_row"], record["last_row"]) if record["first_row"] is not None else None
    # what is in the registry was validated when it was written
    return Place.model_construct(page=record["page"], slide=record["slide"], sheet=record["sheet"], rows=rows)


async def write_chunks(connection: "Connection", document: DocumentRef, chunks: Sequence[ChunkRow]) -> None:
    """All chunks of a generation, in place of those that it has."""
    # a generation that was put back to accepted may have chunks, and counted batches, of its first run
    for table in ("chunks", "batches"):
        await connection.execute(
            f"DELETE FROM {table} WHERE document_id = $1 AND generation = $2",  # noqa: S608
            document.document_id,
            document.generation,
        )
    if chunks:
        rows = [_columns(document, chunk) for chunk in chunks]
        await connection.copy_records_to_table(
            "chunks", columns=list(rows[0]), records=[tuple(row.values()) for row in rows]
        )


def _columns(document: DocumentRef, chunk: ChunkRow) -> dict[str, Any]:
    """Always in the same order."""
    first_row, last_row = chunk.place.rows or (None, None)
    return {
        "document_id": document.document_id,
        "generation": document.generation,
        "no": chunk.no,
        "text": chunk.text,
        "page": chunk.place.page,
        "slide": chunk.place.slide,
        "sheet": chunk.place.sheet,
        "first_row": first_row,
        "last_row": last_row,
        "start_offset": chunk.start,
        "end_offset": chunk.end,
        "heading": list(chunk.heading),
        "batch": chunk.batch,
        "gap": chunk.gap,
        "context": chunk.context,
    }
