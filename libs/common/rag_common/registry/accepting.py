"""Accepting uploads and drops, and taking uploads back."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag_common.contracts import DocumentRef
from rag_common.registry.acceptance import Upload, accept
from rag_common.registry.database import Database
from rag_common.registry.idempotency import IdempotencyKey, remember, replay
from rag_common.registry.rejection import reject
from rag_common.registry.rows import Accepted, Order


@dataclass(frozen=True, slots=True)
class AcceptedUploads:
    items: tuple[Accepted, ...]
    """In the order of the uploads."""
    replayed: bool = False
    """The answer is that of an earlier request with the same key; nothing was accepted now."""


class Accepting:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def uploads(
        self, tenant: str, uploads: Sequence[Upload], idempotency: IdempotencyKey | None = None
    ) -> AcceptedUploads:
        """Accept all of a request's files in one transaction, or none.

        :raises UnknownCollection: nothing was accepted.
        :raises IdempotencyConflict: the key belongs to another request.
        """
        async with self._database.transaction() as connection:
            if idempotency is not None:
                earlier = await replay(connection, tenant, idempotency)
                if earlier is not None:
                    return AcceptedUploads(earlier, replayed=True)
            accepted: dict[int, Accepted] = {}
            # one locking order for all requests, so that two of them cannot deadlock
            by_source = sorted(enumerate(uploads), key=lambda pair: _lock_order(pair[1]))
            for position, upload in by_source:
                accepted[position] = await accept(connection, tenant, upload, None)
            items = tuple(accepted[position] for position in range(len(uploads)))
            if idempotency is not None:
                await remember(connection, tenant, idempotency, items)
        return AcceptedUploads(items)

    async def drop(self, tenant: str, upload: Upload, order: Order) -> Accepted:
        """Accept a bulk drop; ``order`` is the timestamp and sequence of its INGEST message.

        The same order again resumes; an older one than the document's, or than its deletion's,
        is ``superseded``.

        :raises UnknownCollection: nothing was accepted.
        """
        async with self._database.transaction() as connection:
            return await accept(connection, tenant, upload, order)

    async def reject(
        self, tenant: str, documents: Sequence[DocumentRef], idempotency: IdempotencyKey | None = None
    ) -> None:
        """Take back what was accepted and could not be queued; the document is as it was before."""
        async with self._database.transaction() as connection:
            # the locking order of uploads()
            await connection.execute(
                'SELECT 1 FROM documents WHERE id = ANY($1) ORDER BY source_uri COLLATE "C" '
                "FOR NO KEY UPDATE",
                [document.document_id for document in documents],
            )
            for document in sorted(documents, key=lambda ref: -ref.generation):
                await reject(connection, document)
            if idempotency is not None:
                await connection.execute(
                    "DELETE FROM idempotency_keys WHERE tenant = $1 AND caller = $2 AND key = $3",
                    tenant,
                    idempotency.caller,
                    idempotency.key,
                )


def _lock_order(upload: Upload) -> tuple[str, str]:
    return upload.content.collection, upload.content.source_uri
