"""Collections of a tenant."""

from asyncpg import Record, UniqueViolationError

from rag_common.contracts import NO_SETTINGS, CollectionSettings
from rag_common.errors import PermanentError
from rag_common.registry.database import Database
from rag_common.registry.rows import Collection


class CollectionExists(PermanentError):
    code = "collection_exists"


class UnknownCollection(PermanentError):
    code = "unknown_collection"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no collection {name!r}; create it first")


def _row(record: Record) -> Collection:
    return Collection(
        id=str(record["id"]),
        tenant=record["tenant"],
        name=record["name"],
        description=record["description"],
        created_at=record["created_at"],
        documents=record["documents"],
        settings=CollectionSettings.model_validate(record["settings"]),
    )


class Collections:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        tenant: str,
        name: str,
        description: str = "",
        settings: CollectionSettings = NO_SETTINGS,
    ) -> Collection:
        """:raises CollectionExists: the tenant has one of that name."""
        async with self._database.connection() as connection:
            try:
                record = await connection.fetchrow(
                    "INSERT INTO collections (tenant, name, description, settings) VALUES ($1, $2, $3, $4) "
                    "RETURNING *, 0::bigint AS documents",
                    tenant,
                    name,
                    description,
                    settings.stored(),
                )
            except UniqueViolationError as error:
                raise CollectionExists(f"a collection {name!r} exists already") from error
        assert record is not None  # noqa: S101 - INSERT … RETURNING returns its row
        return _row(record)

    async def page(self, tenant: str, after: str = "", limit: int = 100) -> list[Collection]:
        """In the order of their names, after ``after``; with counts of their documents."""
        async with self._database.connection() as connection:
            records = await connection.fetch(
                "SELECT c.*, (SELECT count(*) FROM documents d"
                " WHERE d.collection_id = c.id AND d.state = 'active') AS documents "
                "FROM collections c WHERE tenant = $1 AND deleted_at IS NULL AND name > $2 "
                "ORDER BY name LIMIT $3",
                tenant,
                after,
                limit,
            )
        return [_row(record) for record in records]

    async def get(self, tenant: str, name: str) -> Collection:
        """:raises UnknownCollection: there is none of that name."""
        async with self._database.connection() as connection:
            record = await connection.fetchrow(
                "SELECT c.*, (SELECT count(*) FROM documents d"
                " WHERE d.collection_id = c.id AND d.state = 'active') AS documents "
                "FROM collections c WHERE tenant = $1 AND name = $2 AND deleted_at IS NULL",
                tenant,
                name,
            )
        if record is None:
            raise UnknownCollection(name)
        return _row(record)

    async def change(
        self,
        tenant: str,
        name: str,
        *,
        description: str | None = None,
        settings: CollectionSettings | None = None,
    ) -> None:
        """Change what is given; of the settings, the fields that are set (see ``changed_by``).

        Documents that are in the collection already keep their chunks until their bytes are sent again.

        :raises UnknownCollection: there is none of that name.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                "SELECT id, description, settings FROM collections "
                "WHERE tenant = $1 AND name = $2 AND deleted_at IS NULL FOR NO KEY UPDATE",
                tenant,
                name,
            )
            if row is None:
                raise UnknownCollection(name)
            changed = CollectionSettings.model_validate(row["settings"])
            if settings is not None:
                changed = changed.changed_by(settings)
            await connection.execute(
                "UPDATE collections SET description = $2, settings = $3 WHERE id = $1",
                row["id"],
                row["description"] if description is None else description,
                changed.stored(),
            )

    async def ids(self, tenant: str, names: tuple[str, ...]) -> dict[str, str]:
        """Name → id of the collections that exist; every collection where ``names`` is empty."""
        async with self._database.connection() as connection:
            records = await connection.fetch(
                "SELECT name, id FROM collections WHERE tenant = $1 AND deleted_at IS NULL "
                "AND (cardinality($2::text[]) = 0 OR name = ANY($2))",
                tenant,
                list(names),
            )
        return {record["name"]: str(record["id"]) for record in records}

    async def delete(self, tenant: str, name: str) -> None:
        """Tombstone the collection: no search finds its documents from the commit on.

        The reconciler deletes the documents afterwards.

        :raises UnknownCollection: there is none of that name.
        """
        async with self._database.connection() as connection:
            done = await connection.execute(
                "UPDATE collections SET deleted_at = clock_timestamp() "
                "WHERE tenant = $1 AND name = $2 AND deleted_at IS NULL",
                tenant,
                name,
            )
        if done == "UPDATE 0":
            raise UnknownCollection(name)
