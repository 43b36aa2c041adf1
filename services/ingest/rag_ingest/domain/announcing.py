"""Hints about what became of a document; the record is the registry's table of transitions."""

from datetime import UTC, datetime
from typing import Literal

from rag_common.contracts import DocumentEvent, DocumentRef, DocumentState, IngestDocument
from rag_common.errors import PermanentError
from rag_ingest.domain.ports import Generation, Messages

Outcome = DocumentState | Literal["unchanged", "updated"]


class Announcer:
    """Sends :class:`DocumentEvent`; a hint that is lost is not sent again."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    async def generation(
        self, generation: Generation, outcome: Outcome, error: PermanentError | None = None
    ) -> None:
        """A generation has reached a state; ``failed`` with a reason."""
        await self._send(generation.collection, generation.source_uri, generation.document, outcome, error)

    async def document(self, message: IngestDocument, document: DocumentRef, outcome: Outcome) -> None:
        """A drop has not led to a new generation."""
        await self._send(message.collection, message.source_uri, document, outcome)

    async def _send(
        self,
        collection: str,
        source_uri: str,
        document: DocumentRef,
        outcome: Outcome,
        error: PermanentError | None = None,
    ) -> None:
        event = DocumentEvent(
            tenant=document.tenant,
            collection=collection,
            source_uri=source_uri,
            document_id=document.document_id,
            generation=document.generation,
            outcome=outcome,
            at=datetime.now(UTC),
            code=error.code if error else None,
            message=error.message if error else None,
        )
        await self._messages.hint(event)
