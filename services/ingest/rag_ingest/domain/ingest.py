"""The use case: bytes that were accepted or dropped become committed chunks on their way to the embedder."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rag_common.contracts import (
    AcceptedContent,
    ChunkText,
    DocumentRef,
    DroppedContent,
    IngestDocument,
    InlineContent,
    UpdateIndexedDocument,
)
from rag_common.errors import BadMessage, PermanentError
from rag_ingest.domain.announcing import Announcer
from rag_ingest.domain.batching import batch_numbers, embed_messages
from rag_ingest.domain.containers import Containers, MemberLimits
from rag_ingest.domain.context import in_context
from rag_ingest.domain.documents import Chunk, Source
from rag_ingest.domain.pipeline import Pipeline, window_of
from rag_ingest.domain.ports import Content, Contents, Delivery, Generation, Messages, Registry, StoredChunk

UPLOADS_OF_DROPS = uuid.UUID("6f0c3b1a-52f7-4b0e-9d0c-3f2f0f6f5a11")
"""Namespace of the upload ids that are made from a drop's source and its place in the stream."""


class Ingest:
    """Runs one job. A job may arrive twice, late or after its document has changed: all are harmless."""

    def __init__(
        self,
        registry: Registry,
        contents: Contents,
        pipeline: Pipeline,
        messages: Messages,
        limits: MemberLimits,
    ) -> None:
        self._registry = registry
        self._contents = contents
        self._pipeline = pipeline
        self._messages = messages
        self._announcer = Announcer(messages)
        self._containers = Containers(registry, contents, messages, limits)

    async def run(self, message: IngestDocument, delivery: Delivery) -> None:
        """Returns when nothing is left to do for this job.

        :raises PermanentError: the job, or its document, cannot be used.
        :raises TransientError: a dependency is down; run the job again.
        """
        match message.content:
            case AcceptedContent(document_id=document_id, generation=number):
                await self._run_accepted(document_id, number, delivery)
            case InlineContent():
                async with self._contents.inline(message.content.bytes()) as content:
                    await self._run_drop(message, content, delivery)
            case DroppedContent(object=name):
                await self._run_dropped_object(message, name, delivery)

    async def _run_accepted(self, document_id: str, number: int, delivery: Delivery) -> None:
        # Until the registry says that the document is this tenant's, its failure must not be recorded.
        delivery.claim(None)
        if not _is_uuid(document_id):
            raise BadMessage(f"{document_id!r} is not a document id")
        document = DocumentRef(tenant=delivery.tenant, document_id=document_id, generation=number)
        generation = await self._registry.generation(document)
        if generation is None:
            raise PermanentError(f"there is no generation {number} of {document_id}", code="unknown_document")
        delivery.claim(document)
        await self._resume(generation, delivery)

    async def _run_dropped_object(self, message: IngestDocument, name: str, delivery: Delivery) -> None:
        try:
            async with self._contents.dropped(delivery.tenant, name) as content:
                await self._run_drop(message, content, delivery, dropped=name)
        except PermanentError as error:
            if error.code != "object_missing":
                raise
            # A delivery that came before, not always with a lower attempt, may have removed the object.
            generation = await self._registry.dropped_by(delivery)
            if generation is not None:
                delivery.claim(generation.document)
                await self._resume(generation, delivery)
            elif not await self._registry.reached(message, delivery):
                raise

    async def _run_drop(
        self, message: IngestDocument, content: Content, delivery: Delivery, *, dropped: str | None = None
    ) -> None:
        upload_id = _upload_id(message, delivery)
        decision = await self._registry.drop(message, content, upload_id, delivery)
        generation: Generation | None = None
        if decision.upload_id == upload_id and decision.outcome in ("accepted", "resumed"):
            generation = await self._take_over(decision.document, content, delivery)
        if decision.reindex or decision.outcome == "resumed":
            # A delivery that came before may have died between the commit and its message.
            await self._update_index(decision.document, delivery)
        if dropped is not None:
            await self._contents.discard(delivery.tenant, dropped)
        if generation is not None:
            await self._resume(generation, delivery, content.path)
        else:
            outcome = "unchanged" if decision.outcome == "resumed" else decision.outcome
            await self._announcer.document(message, decision.document, outcome)

    async def _take_over(
        self, document: DocumentRef, content: Content, delivery: Delivery
    ) -> Generation | None:
        """Store the bytes of the generation that this drop has made."""
        delivery.claim(document)
        generation = await self._registry.generation(document)
        if generation is not None and generation.state in ("accepted", "parsing"):
            await self._contents.keep(content, generation.upload_id)
            await self._announcer.generation(generation, "accepted")
        return generation

    async def _update_index(self, document: DocumentRef, delivery: Delivery) -> None:
        """Of the document and what is inside it, which has changed with it."""
        for name in (document.document_id, *await self._registry.inside(document)):
            command = UpdateIndexedDocument(tenant=document.tenant, document_id=name)
            concerned = document.model_copy(update={"document_id": name})
            await self._messages.publish(command, msg_id=_message_id(concerned, "update", 0, delivery))

    async def _resume(self, generation: Generation, delivery: Delivery, path: Path | None = None) -> None:
        """Go on where the generation stands; its bytes are fetched if they are not at hand."""
        if generation.state == "embedding":
            await self._republish(generation, delivery)
        elif generation.state not in ("accepted", "parsing"):
            return
        elif not generation.current:
            await self._give_up(generation)
        elif path is not None:
            await self._read(generation, path, delivery)
        else:
            async with self._contents.accepted(generation.upload_id) as fetched:
                await self._read(generation, fetched, delivery)

    async def _read(self, generation: Generation, path: Path, delivery: Delivery) -> None:
        document = generation.document
        if await self._registry.begin(document, delivery.attempt):
            await self._announcer.generation(generation, "parsing")
        space = await self._registry.active_space()
        async with self._containers.room(generation) as room:
            source = Source(path, generation.file_name, generation.media_type, room)
            parsed, chunks = await self._pipeline.chunks_of(source, delivery.lane, space, generation.settings)
            if parsed.members or generation.has_members:
                # before its own chunks: whatever stops this job, the next one comes here again
                warnings = await self._containers.take_in(generation, parsed.members, delivery, self._resume)
                parsed = replace(parsed, warnings=(*parsed.warnings, *warnings))
        # a file's name says less than its text does
        untitled = generation.title in (generation.file_name, generation.source_uri)
        chunks = in_context(parsed.title if untitled else generation.title, chunks, window_of(space))
        batches = batch_numbers((chunk.in_context for chunk in chunks), document=document, space=space.name)
        if await self._registry.commit_chunks(
            document,
            parsed,
            chunks,
            batches,
            self._pipeline.fingerprint_under(generation.settings),
            generation.title if untitled else None,
        ):
            await self._announcer.generation(generation, "embedding")
            await self._publish(document, space.name, batches, chunks, delivery)
        else:
            await self._after_refusal(document, delivery)

    async def _after_refusal(self, document: DocumentRef, delivery: Delivery) -> None:
        """Another delivery has committed the chunks, or nobody wants them any more."""
        generation = await self._registry.generation(document)
        if generation is None or generation.state != "embedding":
            if generation is not None and not generation.current:
                await self._give_up(generation)
            return
        await self._republish(generation, delivery)

    async def _republish(self, generation: Generation, delivery: Delivery) -> None:
        chunks = await self._registry.chunks(generation.document)
        space = await self._registry.active_space()
        batches = [chunk.batch for chunk in chunks]
        await self._publish(generation.document, space.name, batches, chunks, delivery)

    async def _give_up(self, generation: Generation) -> None:
        if await self._registry.supersede(generation.document):
            await self._announcer.generation(generation, "superseded")

    async def _publish(
        self,
        document: DocumentRef,
        space: str,
        batches: Sequence[int],
        chunks: Sequence[Chunk | StoredChunk],
        delivery: Delivery,
    ) -> None:
        texts = [ChunkText(no=chunk.no, text=chunk.in_context) for chunk in chunks]
        for message in embed_messages(
            list(zip(batches, texts, strict=True)), document=document, space=space, lane=delivery.lane
        ):
            msg_id = _message_id(document, "embed", message.batch, delivery)
            await self._messages.publish(message, msg_id=msg_id, lane=delivery.lane)


def _upload_id(message: IngestDocument, delivery: Delivery) -> str:
    """The same for every delivery of a drop, and of no other drop, whatever a stream counts from."""
    source = delivery.tenant, message.collection, message.source_uri
    return str(uuid.uuid5(UPLOADS_OF_DROPS, json.dumps([*source, delivery.time_ns, delivery.sequence])))


def _message_id(document: DocumentRef, stage: str, batch: int, delivery: Delivery) -> str:
    """Differs for every job, so that a job that was queued again on purpose is not taken for a repetition."""
    return (
        f"{document.tenant}:{document.document_id}:{document.generation}:{stage}:{batch}:{delivery.sequence}"
    )


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
