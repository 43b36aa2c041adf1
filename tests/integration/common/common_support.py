"""Small messages, and waiting for what a server does in its own time."""

import asyncio
from collections.abc import Awaitable, Callable

from nats.js import JetStreamContext

from rag_common.broker import Broker
from rag_common.contracts import (
    ChunkText,
    DeadLetter,
    DocumentRef,
    EmbedChunks,
    IngestDocument,
    InlineContent,
)

MakeBroker = Callable[..., Broker]
DOCUMENT = DocumentRef(tenant="acme", document_id="d1", generation=3)


def embed_chunks(batch: int = 0, text: str = "text") -> EmbedChunks:
    chunk = ChunkText(no=0, text=text)
    return EmbedChunks(document=DOCUMENT, lane="bulk", space="minilm", batch=batch, chunks=(chunk,))


def ingest_document(text: str = "text") -> IngestDocument:
    return IngestDocument(collection="handbook", source_uri="file:a.txt", content=InlineContent(text=text))


async def eventually(check: Callable[[], Awaitable[object]], seconds: float = 20.0) -> None:
    """Wait until ``check`` returns something true."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110 - the server does not tell when it is done
            await asyncio.sleep(0.02)


async def count(jetstream: JetStreamContext, stream: str) -> int:
    """Messages in a stream; in a work queue those that are not acked yet."""
    return (await jetstream.stream_info(stream)).state.messages


async def drained(jetstream: JetStreamContext, stream: str) -> None:
    """Wait until every message of a work queue is acked."""

    async def empty() -> bool:
        return await count(jetstream, stream) == 0

    await eventually(empty)


async def dead_letters(jetstream: JetStreamContext, stream: str, subject: str) -> list[DeadLetter]:
    """The dead letters of a stage, oldest first."""
    found = []
    for sequence in range(1, (await jetstream.stream_info(stream)).state.last_seq + 1):
        message = await jetstream.get_msg(stream, sequence)
        if message.subject == subject:
            found.append(DeadLetter.decode(message.data or b""))
    return found
