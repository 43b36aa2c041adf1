"""The one statement that changes a generation's state, and writes down that it did."""

from typing import TYPE_CHECKING

from rag_common.contracts import DocumentState

if TYPE_CHECKING:
    from rag_common.registry.database import Connection

NOW_NS = "(extract(epoch FROM clock_timestamp()) * 1000000000)::bigint"


async def advance(
    connection: "Connection",
    document_id: str,
    generation: int,
    from_states: tuple[DocumentState, ...],
    to_state: DocumentState,
    *,
    stage: str | None = None,
    code: str | None = None,
    message: str | None = None,
    attempts: int | None = None,
) -> bool:
    """Compare-and-set the generation's state. ``False``: it was in none of ``from_states``."""
    moved = await connection.fetchval(
        """
        WITH old AS (
            SELECT state FROM generations WHERE document_id = $1 AND generation = $2 FOR UPDATE
        ), moved AS (
            UPDATE generations g
            SET state = $4, stage = $5, error_code = $6, error_message = $7,
                attempts = coalesce($8, g.attempts), updated_at = clock_timestamp()
            FROM old
            WHERE g.document_id = $1 AND g.generation = $2 AND old.state = ANY($3)
            RETURNING old.state
        )
        INSERT INTO transitions (document_id, generation, from_state, to_state, stage, code, message)
        SELECT $1, $2, moved.state, $4, $5, $6, $7 FROM moved
        RETURNING true
        """,
        document_id,
        generation,
        list(from_states),
        to_state,
        stage,
        code,
        message,
        attempts,
    )
    return bool(moved)


async def record(
    connection: "Connection",
    document_id: str,
    generation: int,
    from_state: str | None,
    to_state: str,
) -> None:
    """Write down a transition that another statement of this transaction makes."""
    await connection.execute(
        "INSERT INTO transitions (document_id, generation, from_state, to_state) VALUES ($1, $2, $3, $4)",
        document_id,
        generation,
        from_state,
        to_state,
    )
