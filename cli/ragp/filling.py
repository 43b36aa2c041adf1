"""Bringing the live documents into another embedding space, through the queues of ingestion."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence

import nats.errors
from nats.aio.client import Client
from pydantic import ValidationError

from rag_common.contracts import (
    ChunkText,
    DocumentRef,
    EmbedChunks,
    EmbedQuery,
    IndexChunks,
    QueryVectors,
)
from rag_common.registry import ChunkRow, Registry
from rag_common.topology import Topology
from ragp.errors import CommandError
from ragp.publishing import ACK_SECONDS, publish

_PAGE = 500
"""Documents that are read from the registry at once."""
_POLL_SECONDS = 1.0
_QUIET_POLLS = 3
"""So often the queues must be seen empty, before what is missing is held to be lost."""


async def check_served(client: Client, topology: Topology, space: str) -> None:
    """:raises CommandError: no embedder answers for the space: its jobs would wait for one."""
    request = EmbedQuery(space=space, texts=("ready?",))
    cure = f"embedded: ragp down, then ragp up --space {space}; else add it to the embedders' RAG_SPACES"
    try:
        reply = await client.request(topology.subject(EmbedQuery), request.encode(), timeout=ACK_SECONDS)
        problem = QueryVectors.decode(reply.data).error
    except (nats.errors.Error, TimeoutError) as error:
        raise CommandError(f"no embedder answers for the space {space!r}: {error!r}", cure=cure) from error
    except ValidationError as error:
        raise CommandError("the answer of the embedder does not decode") from error
    if problem is not None:
        raise CommandError(f"no embedder answers for the space {space!r}: {problem}", cure=cure)


async def fill(registry: Registry, client: Client, topology: Topology, space: str) -> AsyncIterator[int]:
    """Publish every batch that a live document lacks in the space; yields its batches after each document.

    Doing it again repeats what is not complete yet, which changes nothing but costs the work.
    """
    jetstream = client.jetstream(timeout=ACK_SECONDS)
    subject, stream = topology.subject(EmbedChunks, lane="bulk"), topology.stream("EMBED")
    async for document in _lacking(registry, space):
        chunks = await registry.spaces.missing_chunks(space, document)
        messages = embed_messages(document, chunks, space)
        for message in messages:
            about = f"batch {message.batch} of the document {document.document_id}"
            await publish(jetstream, subject, stream, message.encode(), about=about)
        yield len(messages)


def embed_messages(document: DocumentRef, chunks: Sequence[ChunkRow], space: str) -> list[EmbedChunks]:
    """One message for each batch, as ingest has cut them."""
    batches: defaultdict[int, list[ChunkText]] = defaultdict(list)
    for chunk in chunks:
        batches[chunk.batch].append(ChunkText(no=chunk.no, text=chunk.in_context))
    return [
        EmbedChunks(document=document, lane="bulk", space=space, batch=batch, chunks=tuple(texts))
        for batch, texts in sorted(batches.items())
    ]


async def wait_until_complete(
    registry: Registry, client: Client, topology: Topology, space: str, report: Callable[[int], None]
) -> None:
    """``report`` is told now and then how many documents are still incomplete.

    :raises CommandError: documents are incomplete, and nothing is on its way any more.
    """
    quiet = 0
    while left := await registry.spaces.incomplete(space):
        report(left)
        quiet = 0 if await _under_way(client, topology) else quiet + 1
        if quiet >= _QUIET_POLLS:
            raise CommandError(
                f"{left} documents are still not complete in the space {space!r}",
                cure=f"ragp logs embedder; then again: ragp spaces fill {space}",
            )
        await asyncio.sleep(_POLL_SECONDS)
    report(0)


async def _lacking(registry: Registry, space: str) -> AsyncIterator[DocumentRef]:
    after: str | None = None
    while page := await registry.spaces.lacking(space, after, _PAGE):
        for document in page:
            yield document
        after = page[-1].document_id


async def _under_way(client: Client, topology: Topology) -> bool:
    """Whether batches are queued for the embedder or for the index, or are worked on."""
    jetstream = client.jetstream(timeout=ACK_SECONDS)
    watched = {topology.subject(EmbedChunks, lane="bulk"), topology.subject(IndexChunks)}
    try:
        for stream in ("EMBED", "INDEX"):
            name = topology.stream(stream)
            info = await jetstream.stream_info(name, subjects_filter=f"{topology.namespace}.>")
            if watched & set(info.state.subjects or {}):
                return True
    except (nats.errors.Error, TimeoutError) as error:
        raise CommandError(f"NATS does not answer: {error!r}", cure="ragp status") from error
    return False
