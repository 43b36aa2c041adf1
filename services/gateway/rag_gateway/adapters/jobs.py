"""What the gateway publishes."""

from datetime import UTC, datetime

from rag_common.broker import Publisher
from rag_common.contracts import (
    AcceptedContent,
    CancelQuery,
    DocumentEvent,
    DocumentRef,
    IngestDocument,
    Lane,
    PurgeDocument,
    RetrievePassages,
    UpdateIndexedDocument,
)
from rag_gateway.domain.accepting import Decision, StoredFile
from rag_gateway.domain.reconciling import LostGeneration


class GatewayJobs:
    """Each method raises Overloaded when its queue is full, TransientError when NATS is away."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def ingest(self, decision: Decision, file: StoredFile) -> None:
        """The job of an upload that was accepted."""
        job = _ingest(decision, file.media_type, file.file_name)
        await self._queue(job, decision.document, "interactive", "first")

    async def ingest_again(self, lost: LostGeneration, run: int) -> None:
        """The job of a generation whose first one was lost, in its own lane."""
        job = _ingest(lost, lost.media_type, lost.file_name)
        await self._queue(job, lost.document, lost.lane, str(run))

    async def update(self, tenant: str, document_id: str) -> None:
        """Bring a document's points to the registry's ACL and metadata."""
        await self.update_again(tenant, document_id, _now_ns())

    async def update_again(self, tenant: str, document_id: str, run: int) -> None:
        """The same; ``run`` tells this message from earlier ones."""
        await self._publisher.publish(
            UpdateIndexedDocument(tenant=tenant, document_id=document_id),
            msg_id=f"update:{tenant}:{document_id}:{run}",
        )

    async def purge(self, tenant: str, document_id: str, generations: tuple[int, ...], run: int) -> None:
        """Remove what is left of a deleted document, or of finished generations."""
        await self._publisher.publish(
            PurgeDocument(tenant=tenant, document_id=document_id, generations=generations),
            msg_id=f"purge:{tenant}:{document_id}:{run}",
        )

    async def purge_deleted(self, tenant: str, document_id: str) -> None:
        """Remove what is left of a document that was tombstoned just now."""
        await self.purge(tenant, document_id, (), _now_ns())

    async def sweep_index(self, run: int) -> None:
        """Remove every point that the registry does not vouch for."""
        await self._publisher.publish(PurgeDocument(tenant=None, document_id=None), msg_id=f"sweep:{run}")

    async def retrieve(self, query: RetrievePassages) -> None:
        """Ask for passages, or for an answer made of them."""
        await self._publisher.publish(query, msg_id=query.query_id)

    async def cancel(self, query_id: str) -> None:
        """Tell whoever works on a query that nobody waits for it; a hint, that may get lost."""
        await self._publisher.hint(CancelQuery(query_id=query_id), query=query_id)

    async def announce(self, decision: Decision) -> None:
        """Hint that a document was accepted, or found unchanged."""
        if decision.outcome in ("accepted", "unchanged", "updated"):
            await self.hint(
                DocumentEvent(
                    tenant=decision.document.tenant,
                    collection=decision.collection,
                    source_uri=decision.source_uri,
                    document_id=decision.document.document_id,
                    generation=decision.document.generation,
                    outcome=decision.outcome,
                    at=datetime.now(UTC),
                )
            )

    async def _queue(self, job: IngestDocument, document: DocumentRef, lane: Lane, run: str) -> None:
        await self._publisher.publish(
            job,
            msg_id=f"ingest:{document.tenant}:{document.document_id}:{document.generation}:{run}",
            lane=lane,
            tenant=document.tenant,
        )

    async def hint(self, event: DocumentEvent) -> None:
        """Tell whoever listens; nobody may."""
        await self._publisher.hint(event)


def _ingest(
    accepted: Decision | LostGeneration, media_type: str | None, file_name: str | None
) -> IngestDocument:
    document = accepted.document
    return IngestDocument(
        collection=accepted.collection,
        source_uri=accepted.source_uri,
        content=AcceptedContent(document_id=document.document_id, generation=document.generation),
        media_type=media_type,
        file_name=file_name,
    )


def _now_ns() -> int:
    return int(datetime.now(UTC).timestamp() * 1e9)
