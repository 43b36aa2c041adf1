"""One answer to one request, however often a client repeats it."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag_common.contracts import DocumentRef
from rag_common.errors import PermanentError
from rag_common.registry.rows import Accepted

if TYPE_CHECKING:
    from rag_common.registry.database import Connection


class IdempotencyConflict(PermanentError):
    code = "idempotency_conflict"


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's promise that two requests with this key are the same request."""

    caller: str
    key: str
    request_hash: str


async def replay(
    connection: "Connection", tenant: str, idempotency: IdempotencyKey
) -> tuple[Accepted, ...] | None:
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
        f"{tenant}\n{idempotency.caller}\n{idempotency.key}",
    )
    row = await connection.fetchrow(
        "SELECT request_hash, response FROM idempotency_keys WHERE tenant = $1 AND caller = $2 AND key = $3",
        tenant,
        idempotency.caller,
        idempotency.key,
    )
    if row is None:
        return None
    if row["request_hash"] != idempotency.request_hash:
        raise IdempotencyConflict("this Idempotency-Key was used for another request; take a new key")
    return tuple(_accepted_from_json(item) for item in row["response"])


async def remember(
    connection: "Connection", tenant: str, idempotency: IdempotencyKey, items: tuple[Accepted, ...]
) -> None:
    await connection.execute(
        "INSERT INTO idempotency_keys (tenant, caller, key, request_hash, response) VALUES ($1,$2,$3,$4,$5)",
        tenant,
        idempotency.caller,
        idempotency.key,
        idempotency.request_hash,
        [dataclasses.asdict(item) | {"document": item.document.model_dump()} for item in items],
    )


def _accepted_from_json(item: dict[str, Any]) -> Accepted:
    return Accepted(**(item | {"document": DocumentRef.model_validate(item["document"])}))
