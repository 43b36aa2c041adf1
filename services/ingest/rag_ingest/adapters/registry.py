"""The document registry of ``rag_common``, as the use case sees it."""

import re
from collections.abc import Sequence

from rag_common.contracts import DocumentRef, IngestDocument
from rag_common.registry import (
    Accepted,
    ChunkRow,
    Generation,
    Nesting,
    NewContent,
    Order,
    Registry,
    Upload,
)
from rag_common.spaces import Space
from rag_ingest.domain import ports
from rag_ingest.domain.documents import Chunk, ParsedDocument
from rag_ingest.domain.members import Member, member_source
from rag_ingest.domain.ports import Content, Delivery
from rag_ingest.domain.titles import one_line


class IngestRegistry:
    """Raises what the registry raises: TransientError while the database is down."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def drop(
        self, message: IngestDocument, content: Content, upload_id: str, delivery: Delivery
    ) -> Accepted:
        """:raises UnknownCollection: the tenant has no such collection."""
        offered = NewContent(
            collection=message.collection,
            source_uri=message.source_uri,
            sha256=content.sha256,
            size=content.size,
            lane=delivery.lane,
            title=message.title,
            media_type=message.media_type and one_line(message.media_type),
            file_name=message.file_name and _base_name(message.file_name),
            metadata=message.metadata,
            acl=message.acl,
        )
        order = Order(delivery.time_ns, delivery.sequence)
        return await self._registry.accepting.drop(delivery.tenant, Upload(offered, upload_id), order)

    async def generation(self, document: DocumentRef) -> Generation | None:
        """``None``: the tenant has no such generation."""
        return await self._registry.ingesting.generation(document)

    async def dropped_by(self, delivery: Delivery) -> Generation | None:
        """The generation that the drop with this order has made, if any."""
        order = Order(delivery.time_ns, delivery.sequence)
        return await self._registry.ingesting.by_order(delivery.tenant, order)

    async def reached(self, message: IngestDocument, delivery: Delivery) -> bool:
        """Whether the document has this drop's order or a newer one; a deletion counts."""
        order = Order(delivery.time_ns, delivery.sequence)
        return await self._registry.orders.reached(
            delivery.tenant, message.collection, message.source_uri, order
        )

    async def begin(self, document: DocumentRef, attempt: int) -> bool:
        """accepted → parsing."""
        return await self._registry.ingesting.begin(document, attempt)

    async def supersede(self, document: DocumentRef) -> bool:
        """→ superseded."""
        return await self._registry.ingesting.supersede(document)

    async def commit_chunks(
        self,
        document: DocumentRef,
        parsed: ParsedDocument,
        chunks: Sequence[Chunk],
        batches: Sequence[int],
        fingerprint: str,
        default_title: str | None,
    ) -> bool:
        """All chunks, the title and parsing → embedding in one transaction, or nothing."""
        rows = [
            ChunkRow(
                no=chunk.no,
                text=chunk.text,
                start=chunk.start,
                end=chunk.end,
                place=chunk.place,
                heading=chunk.heading,
                batch=batch,
                gap=chunk.gap,
                context=chunk.context,
            )
            for chunk, batch in zip(chunks, batches, strict=True)
        ]
        return await self._registry.ingesting.commit_chunks(
            document,
            rows,
            batches=batches[-1] + 1,
            fingerprint=fingerprint,
            media_type=parsed.media_type,
            warnings=parsed.warnings,
            title=(default_title, parsed.title) if default_title and parsed.title else None,
        )

    async def fail(self, document: DocumentRef, code: str, message: str, attempt: int) -> bool:
        """→ failed, at this stage."""
        return await self._registry.ingesting.fail(
            document, stage="ingest", code=code, message=message, attempts=attempt
        )

    async def accept_member(
        self, container: ports.Generation, member: Member, upload_id: str, delivery: Delivery
    ) -> Accepted | None:
        """A member has the name that it has in its container."""
        offered = NewContent(
            collection=container.collection,
            source_uri=member_source(container.source_uri, member.name),
            sha256=member.sha256,
            size=member.size,
            lane=delivery.lane,
            media_type=member.media_type,
            file_name=_base_name(member.name),
        )
        return await self._registry.members.accept(container.document, Upload(offered, upload_id))

    async def retire_members(self, container: DocumentRef, kept: Sequence[str]) -> list[str]:
        """Those that are gone, and what is inside them."""
        return await self._registry.members.retire(container, kept)

    async def inside(self, document: DocumentRef) -> list[str]:
        """At any depth."""
        return await self._registry.members.inside(document.tenant, document.document_id)

    async def nesting(self, document: DocumentRef) -> Nesting:
        """Of a document in others."""
        return await self._registry.members.nesting(document)

    async def chunks(self, document: DocumentRef) -> list[ChunkRow]:
        """The committed chunks, in order."""
        return await self._registry.ingesting.chunks(document)

    async def active_space(self) -> Space:
        """The space that the installation points to."""
        return await self._registry.spaces.active()


def _base_name(file_name: str) -> str | None:
    """The last component of a path of any system."""
    return one_line(re.split(r"[/\\]", file_name)[-1]) or None
