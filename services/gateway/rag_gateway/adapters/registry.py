"""The document registry of ``rag_common``, as the use cases see it."""

from collections.abc import Sequence

from rag_common.contracts import DeadLetter, DocumentRef
from rag_common.registry import Generation, IdempotencyKey, NewContent, Order, Registry, Upload
from rag_gateway.domain.accepting import Decisions, Offer, RequestKey


class AcceptingRegistry:
    """Decides about uploads; raises what the registry raises."""

    def __init__(self, registry: Registry) -> None:
        self._accepting = registry.accepting
        self._members = registry.members

    async def accept(self, tenant: str, offers: Sequence[Offer], key: RequestKey | None) -> Decisions:
        """All of the offers in one transaction."""
        uploads = [_upload(offer) for offer in offers]
        accepted = await self._accepting.uploads(tenant, uploads, _idempotency(key))
        return Decisions(accepted.items, accepted.replayed)

    async def reject(self, tenant: str, documents: Sequence[DocumentRef], key: RequestKey | None) -> None:
        """Put the documents back to what they were, and forget the key."""
        await self._accepting.reject(tenant, documents, _idempotency(key))

    async def inside(self, tenant: str, document_id: str) -> list[str]:
        """Ids of what is inside an archive or a mail."""
        return await self._members.inside(tenant, document_id)


class BuryingRegistry:
    """Finds and fails the documents of dead letters."""

    def __init__(self, registry: Registry) -> None:
        self._ingesting = registry.ingesting

    async def dropped_at(self, tenant: str, time_ns: int, sequence: int) -> Generation | None:
        """The generation that the drop at this place of the INGEST stream has made, if any."""
        return await self._ingesting.by_order(tenant, Order(time_ns, sequence))

    async def find(self, document: DocumentRef) -> Generation | None:
        """``None``: no such generation of this tenant."""
        return await self._ingesting.generation(document)

    async def fail(self, document: DocumentRef, letter: DeadLetter) -> bool:
        """``False``: the generation was finished already."""
        return await self._ingesting.fail(
            document,
            stage=letter.stage,
            code=letter.code,
            message=letter.reason,
            attempts=letter.attempts,
        )


def _upload(offer: Offer) -> Upload:
    file, fields = offer.file, offer.fields
    return Upload(
        NewContent(
            collection=fields.collection,
            source_uri=offer.source_uri,
            sha256=file.sha256,
            size=file.size,
            lane="interactive",
            title=fields.title,
            media_type=file.media_type,
            file_name=file.file_name,
            metadata=fields.metadata,
            acl=fields.acl,
        ),
        file.upload_id,
    )


def _idempotency(key: RequestKey | None) -> IdempotencyKey | None:
    return IdempotencyKey(key.caller, key.key, key.request_hash) if key else None
