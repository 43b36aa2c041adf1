"""The installation, its active embedding space and its pipeline fingerprint."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncpg import Record

from rag_common.contracts import DocumentRef
from rag_common.errors import PermanentError
from rag_common.registry.chunks import chunk_row
from rag_common.registry.database import Database
from rag_common.registry.rows import UNFINISHED, ChunkRow, Installation
from rag_common.spaces import Space

if TYPE_CHECKING:
    from rag_common.registry.database import Connection

_LIVE = """
    SELECT d.id, d.tenant, d.live_generation AS generation, coalesce(g.batch_count, 0) AS batch_count
    FROM documents d
    JOIN generations g ON g.document_id = d.id AND g.generation = d.live_generation
    JOIN collections c ON c.id = d.collection_id AND c.deleted_at IS NULL
    WHERE d.state = 'active'
"""
_INCOMPLETE = f"""
    SELECT live.* FROM ({_LIVE}) live WHERE live.batch_count > (
        SELECT count(*) FROM batches b
        WHERE b.space = $1 AND b.document_id = live.id AND b.generation = live.generation)
"""  # noqa: S608 - made of constants
_UNFINISHED = """
    SELECT count(*) FROM documents d
    JOIN generations g ON g.document_id = d.id AND g.generation = d.latest_generation
    JOIN collections c ON c.id = d.collection_id AND c.deleted_at IS NULL
    WHERE d.state = 'active' AND g.state = ANY($1)
"""


class UnknownSpace(PermanentError):
    code = "unknown_space"


class SpaceIncomplete(PermanentError):
    """Searches in the space would miss documents."""

    code = "space_incomplete"


class DocumentsUnderWay(PermanentError):
    """Documents would become live in a space that is not active any more, where no search finds them."""

    code = "documents_under_way"


class SpaceKnown(PermanentError):
    """The name is taken by a space that is described otherwise: vectors may have been made for that one."""

    code = "space_known"


@dataclass(frozen=True, slots=True)
class SpaceCoverage:
    """How many of the ``live`` documents have all their vectors in the space.

    ``unfinished``: documents of which a generation is on its way; the same for every space.
    """

    space: Space
    active: bool
    live: int
    complete: int
    unfinished: int


class Spaces:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def installation(self) -> Installation:
        """The one row that every part of an installation must agree on."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow("SELECT * FROM installation")
        if row is None:
            raise PermanentError("the registry has no installation row; run 'ragp migrate'")
        return Installation(str(row["id"]), row["active_space"], row["pipeline_fingerprint"])

    async def active(self) -> Space:
        """The space that new documents are embedded in and searches use."""
        return await self.get((await self.installation()).active_space)

    async def get(self, name: str) -> Space:
        """:raises UnknownSpace: the registry has none of that name."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow("SELECT * FROM spaces WHERE name = $1", name)
        if row is None:
            raise UnknownSpace(f"the registry has no embedding space {name!r}")
        return _space(row)

    async def add(self, space: Space) -> None:
        """Describe a space; again, which changes nothing.

        :raises SpaceKnown: there is another one of its name.
        """
        async with self._database.connection() as connection:
            await connection.execute(
                """
                INSERT INTO spaces
                    (name, model, dimension, query_prefix, passage_prefix, languages, max_tokens)
                VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING
                """,
                space.name,
                space.model,
                space.dimension,
                space.query_prefix,
                space.passage_prefix,
                list(space.languages),
                space.max_tokens,
            )
        if await self.get(space.name) != space:
            raise SpaceKnown(f"there is an embedding space {space.name!r} already, and it is another one")

    async def coverage(self) -> list[SpaceCoverage]:
        """All spaces, by name."""
        async with self._database.connection() as connection:
            unfinished = await _unfinished(connection)
            rows = await connection.fetch(f"""
                WITH live AS ({_LIVE}), counted AS (
                    SELECT b.space, b.document_id, count(*) AS batches FROM batches b
                    JOIN live ON live.id = b.document_id AND live.generation = b.generation
                    GROUP BY b.space, b.document_id
                )
                SELECT s.*, i.active_space = s.name AS active, count(live.id) AS live,
                    count(live.id) FILTER (WHERE coalesce(counted.batches, 0) >= live.batch_count) AS complete
                FROM spaces s CROSS JOIN installation i LEFT JOIN live ON true
                LEFT JOIN counted ON counted.space = s.name AND counted.document_id = live.id
                GROUP BY s.name, i.active_space ORDER BY s.name
                """)  # noqa: S608 - made of constants
        return [
            SpaceCoverage(_space(row), row["active"], row["live"], row["complete"], unfinished)
            for row in rows
        ]

    async def activate(self, name: str, *, even_incomplete: bool = False) -> None:
        """Make it the space that new documents are embedded in and searches use.

        Documents that are being embedded meanwhile become live in the space that was active before:
        :meth:`lacking` then names them.

        :raises UnknownSpace: the registry has none of that name.
        :raises SpaceIncomplete: live documents lack vectors in it, unless ``even_incomplete``.
        :raises DocumentsUnderWay: a generation is on its way to another space, unless ``even_incomplete``.
        """
        await self.get(name)
        async with self._database.transaction() as connection:
            if not even_incomplete:
                # whatever is accepted after the count is embedded in the space that is active by then
                await connection.execute("LOCK TABLE generations IN SHARE MODE")
                await _check_whole(connection, name)
            await connection.execute("UPDATE installation SET active_space = $1", name)

    async def incomplete(self, name: str) -> int:
        """How many live documents lack vectors in the space."""
        async with self._database.connection() as connection:
            return await _incomplete(connection, name)

    async def lacking(self, name: str, after: str | None = None, limit: int = 500) -> list[DocumentRef]:
        """Live generations that lack vectors in the space, in the order of their ids, after that id."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _INCOMPLETE + " AND ($2::uuid IS NULL OR live.id > $2) ORDER BY live.id LIMIT $3",
                name,
                after,
                limit,
            )
        return [
            DocumentRef(tenant=row["tenant"], document_id=str(row["id"]), generation=row["generation"])
            for row in rows
        ]

    async def missing_chunks(self, name: str, document: DocumentRef) -> list[ChunkRow]:
        """The chunks of a generation whose batches are not counted in the space, in order."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT c.* FROM chunks c
                WHERE c.document_id = $2 AND c.generation = $3 AND NOT EXISTS (
                    SELECT FROM batches b WHERE b.space = $1 AND b.document_id = c.document_id
                        AND b.generation = c.generation AND b.batch = c.batch)
                ORDER BY c.no
                """,
                name,
                document.document_id,
                document.generation,
            )
        return [chunk_row(row) for row in rows]

    async def sample_texts(self, limit: int, characters: int = 500) -> list[str]:
        """The beginnings of some live documents: the first by their ids, which are random."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"""
                SELECT left(c.text, $2) AS text
                FROM (SELECT * FROM ({_LIVE}) live ORDER BY live.id LIMIT $1) live
                JOIN chunks c ON c.document_id = live.id AND c.generation = live.generation AND c.no = 0
                """,  # noqa: S608 - made of constants
                limit,
                characters,
            )
        return [row["text"] for row in rows]

    async def set_pipeline(self, fingerprint: str) -> None:
        """Written by ingest at start: bytes read by another pipeline are not ``unchanged``."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE installation SET pipeline_fingerprint = $1 "
                "WHERE pipeline_fingerprint IS DISTINCT FROM $1",
                fingerprint,
            )


def _space(row: Record) -> Space:
    return Space(
        name=row["name"],
        model=row["model"],
        dimension=row["dimension"],
        query_prefix=row["query_prefix"],
        passage_prefix=row["passage_prefix"],
        languages=tuple(row["languages"]),
        max_tokens=row["max_tokens"],
    )


async def _check_whole(connection: "Connection", name: str) -> None:
    if missing := await _incomplete(connection, name):
        raise SpaceIncomplete(f"{missing} live documents are not complete in the space {name!r}")
    active = await connection.fetchval("SELECT active_space FROM installation")
    if name != active and (unfinished := await _unfinished(connection)):
        raise DocumentsUnderWay(f"{unfinished} documents are still on their way to the space {active!r}")


async def _unfinished(connection: "Connection") -> int:
    count: int = await connection.fetchval(_UNFINISHED, list(UNFINISHED))
    return count


async def _incomplete(connection: "Connection", name: str) -> int:
    count: int = await connection.fetchval(f"SELECT count(*) FROM ({_INCOMPLETE}) lacking", name)  # noqa: S608
    return count
