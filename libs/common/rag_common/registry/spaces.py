"""The installation, its active embedding space and its pipeline fingerprint."""

from rag_common.errors import PermanentError
from rag_common.registry.database import Database
from rag_common.registry.rows import Installation
from rag_common.spaces import Space


class UnknownSpace(PermanentError):
    code = "unknown_space"


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
        return Space(
            name=row["name"],
            model=row["model"],
            dimension=row["dimension"],
            query_prefix=row["query_prefix"],
            passage_prefix=row["passage_prefix"],
            languages=tuple(row["languages"]),
        )

    async def set_pipeline(self, fingerprint: str) -> None:
        """Written by ingest at start: bytes read by another pipeline are not ``unchanged``."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE installation SET pipeline_fingerprint = $1 "
                "WHERE pipeline_fingerprint IS DISTINCT FROM $1",
                fingerprint,
            )
