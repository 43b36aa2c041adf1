"""What a dead letter means for its document."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from rag_common.contracts import DeadLetter, DocumentEvent, DocumentRef

FAILING_STAGES = frozenset({"ingest", "embed", "index"})
"""Without their job a generation can never become live."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """What the subject of the dead job says: its tenant, where it names one, and whether a
    generation fails with it (the job of another kind, say a purge, says nothing about its state)."""

    tenant: str | None
    fails_document: bool


class FailedDocument(Protocol):
    @property
    def document(self) -> DocumentRef: ...
    @property
    def collection(self) -> str: ...
    @property
    def source_uri(self) -> str: ...


class Registry(Protocol):
    async def dropped_at(self, tenant: str, time_ns: int, sequence: int) -> FailedDocument | None:
        """The generation that the drop at this place of the INGEST stream has made."""

    async def find(self, document: DocumentRef) -> FailedDocument | None: ...

    async def fail(self, document: DocumentRef, letter: DeadLetter) -> bool:
        """``False``: the generation was finished already."""


class Events(Protocol):
    async def hint(self, event: DocumentEvent) -> None: ...


class BuryDocuments:
    """Sets the document of a dead letter ``failed``, with the reason."""

    def __init__(self, registry: Registry, events: Events) -> None:
        self._registry = registry
        self._events = events

    async def __call__(self, letter: DeadLetter, origin: Origin) -> bool:
        """Whether a document has failed by this letter. Doing it twice is doing it once."""
        failed = None
        if letter.stage in FAILING_STAGES and origin.fails_document:
            failed = await self._fail(letter, origin)
        _log.error(
            "dead_letter",
            stage=letter.stage,
            code=letter.code,
            reason=letter.reason,
            attempts=letter.attempts,
            original_stream=letter.original_stream,
            original_sequence=letter.original_sequence,
            document_id=failed.document.document_id if failed else None,
            generation=failed.document.generation if failed else None,
        )
        return failed is not None

    async def _fail(self, letter: DeadLetter, origin: Origin) -> FailedDocument | None:
        found = await self._document(letter, origin)
        if found is None or not await self._registry.fail(found.document, letter):
            return None
        await self._events.hint(
            DocumentEvent(
                tenant=found.document.tenant,
                collection=found.collection,
                source_uri=found.source_uri,
                document_id=found.document.document_id,
                generation=found.document.generation,
                outcome="failed",
                at=datetime.now(UTC),
                code=letter.code,
                message=letter.reason,
            )
        )
        return found

    async def _document(self, letter: DeadLetter, origin: Origin) -> FailedDocument | None:
        if letter.document is not None:
            return await self._registry.find(letter.document) if _is_id(letter.document) else None
        if letter.stage == "ingest" and origin.tenant is not None:
            return await self._registry.dropped_at(
                origin.tenant, letter.original_time_ns, letter.original_sequence
            )
        return None


def _is_id(document: DocumentRef) -> bool:
    try:
        uuid.UUID(document.document_id)
    except ValueError:
        return False
    return True
