"""Answers that were given, and what callers say of them. A row belongs to its owner, as a conversation does.

The text of an answer repeats documents. So it is handed out, to its reader and to a prompt, only while the
caller may read every document that it is made of, and only together with the earlier answers that it may
repeat: what was deleted or revoked is not told again, nor what was made of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from asyncpg import ForeignKeyViolationError, Record
from pydantic import JsonValue

from rag_common.errors import PermanentError
from rag_common.registry.conversations import UnknownConversation
from rag_common.registry.database import Database

if TYPE_CHECKING:
    from rag_common.registry.database import Connection

Rating = Literal["up", "down"]
_STANDING = """
    SELECT a.position, a.history, EXISTS (
        SELECT FROM unnest(a.documents) AS used (id) WHERE NOT EXISTS (
            SELECT FROM documents d JOIN collections c ON c.id = d.collection_id AND c.deleted_at IS NULL
            WHERE d.id = used.id AND d.tenant = $1 AND d.state = 'active' AND d.acl && $2::text[])) AS lost
    FROM conversations v LEFT JOIN answers a ON a.conversation_id = v.id
    WHERE v.tenant = $1 AND v.owner = $3 AND v.id = $4 ORDER BY a.position
"""
"""The answers of a conversation; ``lost``: one of its documents is not to be read by the principals in ``$2``
now. An outer join tells an empty conversation from none."""


class UnknownAnswer(PermanentError):
    code = "unknown_answer"

    def __init__(self, answer_id: str) -> None:
        super().__init__(f"there is no answer {answer_id!r}, or it is not yours")


@dataclass(frozen=True, slots=True)
class NewAnswer:
    """A complete answer. Its text may repeat its ``documents`` (ids) and, of its conversation, the answers at
    the positions in ``history``."""

    id: str
    conversation_id: str | None
    title: str
    """For a conversation that has none yet."""
    question: str
    standalone: str
    text: str
    citations: list[JsonValue]
    documents: tuple[str, ...]
    history: tuple[int, ...]
    answered: bool
    adapter: str
    model: str | None
    prompt_version: str
    degraded: bool
    cached: bool
    timings_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Feedback:
    rating: Rating
    comment: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer in a conversation. ``withheld``: the caller may no longer read all that it repeats."""

    id: str
    position: int
    question: str
    text: str
    citations: list[dict[str, Any]]
    answered: bool
    degraded: bool
    withheld: bool
    created_at: datetime
    feedback: Feedback | None


class Answers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, tenant: str, owner: str, answer: NewAnswer) -> None:
        """Add the answer. Of those that end in one conversation at once, each gets a position of its own.

        :raises UnknownConversation: none of this owner; nothing is kept.
        """
        async with self._database.transaction() as connection:
            position = None
            if answer.conversation_id is not None:
                # the row stays locked to the commit: answers of one conversation come one after the other
                position = await connection.fetchval(
                    "UPDATE conversations SET answers = answers + 1, title = coalesce(title, $4), "
                    "updated_at = clock_timestamp() "
                    "WHERE tenant = $1 AND owner = $2 AND id = $3 RETURNING answers",
                    tenant,
                    owner,
                    answer.conversation_id,
                    answer.title,
                )
                if position is None:
                    raise UnknownConversation(answer.conversation_id)
            await connection.execute(
                "INSERT INTO answers (id, tenant, owner, conversation_id, position, question, standalone, "
                "text, citations, documents, history, answered, adapter, model, prompt_version, degraded, "
                "cached, timings_ms) "
                "VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)",
                answer.id,
                tenant,
                owner,
                answer.conversation_id,
                position,
                answer.question,
                answer.standalone,
                answer.text,
                answer.citations,
                list(answer.documents),
                list(answer.history),
                answer.answered,
                answer.adapter,
                answer.model,
                answer.prompt_version,
                answer.degraded,
                answer.cached,
                answer.timings_ms,
            )

    async def messages(
        self,
        tenant: str,
        owner: str,
        principals: Sequence[str],
        conversation_id: str,
        *,
        after: int = 0,
        limit: int = 50,
    ) -> list[GivenAnswer]:
        """In the order of their positions, which count from 1.

        :raises UnknownConversation: none of this owner.
        """
        async with self._database.connection() as connection:
            withheld = await _standing(connection, tenant, owner, principals, conversation_id)
            positions = [position for position in withheld if position > after][:limit]
            rows = await _rows(connection, owner, conversation_id, positions)
        return [_given(row, withheld=withheld[row["position"]]) for row in rows]

    async def last(
        self, tenant: str, owner: str, principals: Sequence[str], conversation_id: str, limit: int
    ) -> list[GivenAnswer]:
        """The last ``limit`` answers that are not withheld, the oldest first.

        :raises UnknownConversation: none of this owner.
        """
        async with self._database.connection() as connection:
            withheld = await _standing(connection, tenant, owner, principals, conversation_id)
            told = [position for position, hidden in withheld.items() if not hidden][-limit:]
            rows = await _rows(connection, owner, conversation_id, told)
        return [_given(row, withheld=False) for row in rows]

    async def give_feedback(
        self, tenant: str, owner: str, answer_id: str, rating: Rating, comment: str | None
    ) -> bool:
        """Say what the owner thinks of an answer, instead of what was said before; whether that was nothing.

        :raises UnknownAnswer: none of this owner, or not any more.
        """
        try:
            created = await self._give_feedback(tenant, owner, answer_id, rating, comment)
        except ForeignKeyViolationError as error:
            # it was removed while this statement ran
            raise UnknownAnswer(answer_id) from error
        if created is None:
            raise UnknownAnswer(answer_id)
        return created

    async def _give_feedback(
        self, tenant: str, owner: str, answer_id: str, rating: Rating, comment: str | None
    ) -> bool | None:
        async with self._database.connection() as connection:
            created: bool | None = await connection.fetchval(
                # xmax is 0 in a row that was inserted, and not updated, by this statement
                "INSERT INTO feedback (answer_id, owner, rating, comment) "
                "SELECT id, owner, $4, $5 FROM answers WHERE tenant = $1 AND owner = $2 AND id = $3 "
                "ON CONFLICT (answer_id, owner) DO UPDATE SET rating = excluded.rating, "
                "comment = excluded.comment, updated_at = clock_timestamp() RETURNING xmax = 0",
                tenant,
                owner,
                answer_id,
                rating,
                comment,
            )
        return created

    async def forget(self, before: datetime, limit: int = 100) -> int:
        """Remove answers outside conversations that are older, with their feedback; how many there were."""
        async with self._database.connection() as connection:
            done: str = await connection.execute(
                "DELETE FROM answers WHERE id IN (SELECT id FROM answers "
                "WHERE conversation_id IS NULL AND created_at < $1 "
                "ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
                before,
                limit,
            )
        return int(done.removeprefix("DELETE "))


async def _standing(
    connection: "Connection", tenant: str, owner: str, principals: Sequence[str], conversation_id: str
) -> dict[int, bool]:
    """Of each position, in their order, whether the answer there is withheld.

    :raises UnknownConversation: none of this owner.
    """
    rows = await connection.fetch(_STANDING, tenant, list(principals), owner, conversation_id)
    if not rows:
        raise UnknownConversation(conversation_id)
    withheld: dict[int, bool] = {}
    for row in rows:
        if row["position"] is not None:
            # what an answer repeats has come before it
            repeats_withheld = any(withheld[position] for position in row["history"])
            withheld[row["position"]] = row["lost"] or repeats_withheld
    return withheld


async def _rows(
    connection: "Connection", owner: str, conversation_id: str, positions: Sequence[int]
) -> list[Record]:
    return await connection.fetch(
        "SELECT a.*, f.rating, f.comment, f.updated_at AS feedback_at "
        "FROM answers a LEFT JOIN feedback f ON f.answer_id = a.id AND f.owner = $1 "
        "WHERE a.conversation_id = $2 AND a.position = ANY($3::integer[]) ORDER BY a.position",
        owner,
        conversation_id,
        positions,
    )


def _given(row: Record, *, withheld: bool) -> GivenAnswer:
    rated = row["rating"] is not None
    return GivenAnswer(
        id=str(row["id"]),
        position=row["position"],
        question=row["question"],
        text=row["text"],
        citations=row["citations"],
        answered=row["answered"],
        degraded=row["degraded"],
        withheld=withheld,
        created_at=row["created_at"],
        feedback=Feedback(row["rating"], row["comment"], row["feedback_at"]) if rated else None,
    )
