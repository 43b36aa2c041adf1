"""The neighbours of the ingest service, for tests."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from nats.js import JetStreamContext

from rag_common.contracts import (
    AcceptedContent,
    DeadLetter,
    DocumentEvent,
    DocumentRef,
    DocumentState,
    EmbedChunks,
    IngestDocument,
    InlineContent,
    Lane,
    Message,
    UpdateIndexedDocument,
)
from rag_common.objects import ObjectStore
from rag_common.registry import Document, NewContent, Registry, Upload
from rag_common.topology import Topology

M = TypeVar("M", bound=Message)
PATIENCE = 15.0
"""Seconds; only a test that fails waits so long."""


def drop(text: str = "Everyone has 28 days of leave.", **fields: Any) -> IngestDocument:
    fields.setdefault("content", InlineContent(text=text))
    return IngestDocument(**{"collection": "handbook", "source_uri": "file:///leave.txt"} | fields)


class Stage:
    """What surrounds the service: producers before it, queues behind it."""

    def __init__(self, topology: Topology, jetstream: JetStreamContext, registry: Registry) -> None:
        self.topology = topology
        self.jetstream = jetstream
        self.registry = registry
        self.documents = ObjectStore(lambda: jetstream, topology.bucket("documents"))
        self.drops = ObjectStore(lambda: jetstream, topology.bucket("drop-default"))

    async def send(
        self, message: IngestDocument | bytes, *, lane: Lane = "bulk", tenant: str = "default"
    ) -> None:
        subject = self.topology.subject(IngestDocument, lane=lane, tenant=tenant)
        body = message if isinstance(message, bytes) else message.encode()
        await self.jetstream.publish(subject, body)

    async def accept(
        self, data: bytes, *, source_uri: str = "file:///upload.txt", file_name: str | None = None
    ) -> DocumentRef:
        """What the gateway does before it publishes the job."""
        upload_id = uuid.uuid4().hex
        await self.documents.put(upload_id, once(data))
        sha256 = hashlib.sha256(data).hexdigest()
        content = NewContent(
            "handbook", source_uri, sha256, len(data), lane="interactive", file_name=file_name
        )
        accepted = await self.registry.accepting.uploads("default", [Upload(content, upload_id)])
        return accepted.items[0].document

    def job(self, document: DocumentRef) -> IngestDocument:
        content = AcceptedContent(document_id=document.document_id, generation=document.generation)
        return drop(content=content)

    async def document(self, source_uri: str = "file:///leave.txt") -> Document | None:
        found = await self.registry.documents.page("default", source_uri=source_uri)
        return found[0] if found else None

    async def reaches(self, state: DocumentState, source_uri: str = "file:///leave.txt") -> Document:
        async def reached() -> Document | None:
            document = await self.document(source_uri)
            return document if document is not None and document.state == state else None

        return await eventually(reached)

    async def stored(self, contract: type[M]) -> list[M]:
        """Every message of a kind, in order. A work queue admits no second consumer: they are looked up."""
        stream = self.topology.stream(contract.stream or "")
        state = (await self.jetstream.stream_info(stream)).state
        prefix = self.topology.pattern(contract).rstrip("*")
        found = []
        for sequence in range(max(1, state.first_seq), state.last_seq + 1):
            message = await self.jetstream.get_msg(stream, sequence)
            if (message.subject or "").startswith(prefix):
                found.append(contract.decode(message.data or b""))
        return found

    async def embeds(self, count: int) -> list[EmbedChunks]:
        return await self._exactly(EmbedChunks, count)

    async def updates(self, count: int) -> list[UpdateIndexedDocument]:
        return await self._exactly(UpdateIndexedDocument, count)

    async def dead_letter(self) -> DeadLetter:
        return (await self._exactly(DeadLetter, 1))[0]

    async def outcomes(self, last: str) -> list[str]:
        """The outcomes that were announced, up to the first ``last``."""

        async def announced() -> list[str] | None:
            events = [event.outcome for event in await self.stored(DocumentEvent)]
            return [*events] if last in events else None

        return await eventually(announced)

    async def idle(self) -> None:
        """Every job is acknowledged."""

        async def drained() -> bool | None:
            info = await self.jetstream.stream_info(self.topology.stream("INGEST"))
            return info.state.messages == 0 or None

        await eventually(drained)

    async def _exactly(self, contract: type[M], count: int) -> list[M]:
        async def enough() -> list[M] | None:
            found = await self.stored(contract)
            return found if len(found) >= count else None

        found = await eventually(enough)
        assert len(found) == count
        return found


T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]]) -> T:
    """What ``look`` returns as soon as it is not ``None``."""
    async with asyncio.timeout(PATIENCE):
        while (found := await look()) is None:  # noqa: ASYNC110 - servers outside send no event
            await asyncio.sleep(0.02)
    return found


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data
