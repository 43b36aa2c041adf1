"""Conversations. A row belongs to its owner, the name of a caller within the tenant; nobody else sees it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from asyncpg import Record

from rag_common.errors import PermanentError
from rag_common.registry.database import Database

EMPTY_AGE = timedelta(days=1)
"""How long a conversation waits for its first answer."""


class UnknownConversation(PermanentError):
    code = "unknown_conversation"

    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"there is no conversation {conversation_id!r}, or it is not yours")


@dataclass(frozen=True, slots=True)
class Conversation:
    """``title`` is ``None`` until there is a first question to take it from."""

    id: str
    title: str | None
    answers: int
    created_at: datetime
    updated_at: datetime


def _row(record: Record) -> Conversation:
    return Conversation(
        id=str(record["id"]),
        title=record["title"],
        answers=record["answers"],
        created_at=record["created_at"],
        updated_at=record["updated_at"],
    )


class Conversations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, tenant: str, owner: str, conversation_id: str, title: str | None = None
    ) -> Conversation:
        """A conversation without answers."""
        async with self._database.connection() as connection:
            record = await connection.fetchrow(
                "INSERT INTO conversations (id, tenant, owner, title) VALUES ($1, $2, $3, $4) RETURNING *",
                conversation_id,
                tenant,
                owner,
                title,
            )
        assert record is not None  # noqa: S101 - INSERT … RETURNING returns its row
        return _row(record)

    async def page(
        self, tenant: str, owner: str, before: tuple[datetime, str] | None = None, limit: int = 50
    ) -> list[Conversation]:
        """Those continued last first; ``before`` is time of change and id of the last one seen."""
        async with self._database.connection() as connection:
            records = await connection.fetch(
                "SELECT * FROM conversations WHERE tenant = $1 AND owner = $2 "
                "AND ($3::timestamptz IS NULL OR (updated_at, id) < ($3, $4::uuid)) "
                "ORDER BY updated_at DESC, id DESC LIMIT $5",
                tenant,
                owner,
                before[0] if before else None,
                before[1] if before else None,
                limit,
            )
        return [_row(record) for record in records]

    async def get(self, tenant: str, owner: str, conversation_id: str) -> Conversation:
        """:raises UnknownConversation: none of this owner."""
        async with self._database.connection() as connection:
            record = await connection.fetchrow(
                "SELECT * FROM conversations WHERE tenant = $1 AND owner = $2 AND id = $3",
                tenant,
                owner,
                conversation_id,
            )
        if record is None:
            raise UnknownConversation(conversation_id)
        return _row(record)

    async def delete(self, tenant: str, owner: str, conversation_id: str) -> None:
        """With its answers and their feedback; an answer that is on its way is not added any more.

        :raises UnknownConversation: none of this owner.
        """
        async with self._database.connection() as connection:
            done = await connection.execute(
                "DELETE FROM conversations WHERE tenant = $1 AND owner = $2 AND id = $3",
                tenant,
                owner,
                conversation_id,
            )
        if done == "DELETE 0":
            raise UnknownConversation(conversation_id)

    async def forget(self, before: datetime, limit: int = 100) -> int:
        """Remove those that nobody has continued since, and those that have waited for :data:`EMPTY_AGE` for
        their first answer, with all that is in them; how many there were."""
        async with self._database.connection() as connection:
            done: str = await connection.execute(
                "DELETE FROM conversations WHERE id IN (SELECT id FROM conversations "
                "WHERE updated_at < $1 OR (answers = 0 AND updated_at < clock_timestamp() - $2::interval) "
                "ORDER BY updated_at LIMIT $3 FOR UPDATE SKIP LOCKED)",
                before,
                EMPTY_AGE,
                limit,
            )
        return int(done.removeprefix("DELETE "))
