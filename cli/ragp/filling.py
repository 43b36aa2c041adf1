"""Bringing the live documents into another embedding space, through the queues of ingestion."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence

import nats.errors
from nats.aio.client import Client
from nats.js.api import ConsumerInfo
from pydantic import ValidationError

from rag_common.contracts import (
    ChunkText,
    DocumentRef,
    EmbedChunks,
    EmbedQuery,
    QueryVectors,
)
from rag_common.registry import ChunkRow, Registry
from rag_common.topology import Topology
from ragp.errors import CommandError
from ragp.publishing import ACK_SECONDS, publish

STALL_SECONDS = 120.0
"""So long nothing may move before it is held to be stuck; an embedder that is busy with questions takes
some 30 s for a batch."""
_POLL_SECONDS = 5.0
_FIRST_POLL_SECONDS = 0.5
_PAGE = 500
"""Documents that are read from the registry at once."""
_QUIET_POLLS = 3
"""So often the queues must be seen empty, before what is missing is held to be lost."""
_EMBEDDER, _RETRIEVER = "embedder-bulk", "retriever-upsert"


async def check_served(client: Client, topology: Topology, space: str) -> None:
    """Ask one of the embedders that answer questions; those of the bulk lane may be others.

    :raises CommandError: it does not answer for the space.
    """
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


async def fill(
    registry: Registry, client: Client, topology: Topology, space: str, *, patience: float = STALL_SECONDS
) -> AsyncIterator[int]:
    """Publish every batch that a live document lacks in the space; yields its batches after each document.

    The second batch is published when the first one is done: where the embedders of the bulk lane do
    not serve the space, one job is held, and not all. Doing it again repeats what is not complete yet,
    which changes nothing but costs the work.

    :raises CommandError: the first batch is not done, and nothing has moved for ``patience`` seconds.
    """
    jetstream = client.jetstream(timeout=ACK_SECONDS)
    subject, stream = topology.subject(EmbedChunks, lane="bulk"), topology.stream("EMBED")
    first = True
    async for document in _lacking(registry, space):
        chunks = await registry.spaces.missing_chunks(space, document)
        messages = embed_messages(document, chunks, space)
        for message in messages:
            about = f"batch {message.batch} of the document {document.document_id}"
            sequence = await publish(jetstream, subject, stream, message.encode(), about=about)
            if first:
                await _until_done(client, topology, space, sequence, patience)
                first = False
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
    registry: Registry,
    client: Client,
    topology: Topology,
    space: str,
    report: Callable[[int], None],
    *,
    patience: float = STALL_SECONDS,
    poll: float = _POLL_SECONDS,
) -> None:
    """``report`` is told now and then how many documents are still incomplete.

    :raises CommandError: documents are incomplete, and nothing is on its way any more, or nothing has
        moved for ``patience`` seconds.
    """
    quiet, still = 0, _Still(patience)
    while left := await registry.spaces.incomplete(space):
        report(left)
        queues = [await _queue(client, topology, name) for name in (_EMBEDDER, _RETRIEVER)]
        quiet = 0 if any(map(_jobs, queues)) else quiet + 1
        if quiet >= _QUIET_POLLS:
            raise CommandError(
                f"{left} documents are still not complete in the space {space!r}",
                cure=f"ragp logs embedder; then again: ragp spaces fill {space}",
            )
        if still.too_long((left, *((_jobs(queue), *_reached(queue)) for queue in queues))):
            raise CommandError(
                f"{left} documents are not complete in the space {space!r}, and nothing has moved"
                f" for {patience:g} s",
                cure=_cure(space),
            )
        await asyncio.sleep(poll)
    report(0)


class _Still:
    """Whether something has been the same for too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: object = None
        self._since = 0.0

    def too_long(self, now_seen: object) -> bool:
        now = time.monotonic()
        if now_seen != self._seen:
            self._seen, self._since = now_seen, now
        return now - self._since > self._seconds


async def _until_done(client: Client, topology: Topology, space: str, sequence: int, patience: float) -> None:
    """Until the embedders have acknowledged the job of this sequence, and all before it."""
    still = _Still(patience)
    while True:
        delivered, done = _reached(await _queue(client, topology, _EMBEDDER))
        if done >= sequence:
            return
        # what comes after it does not count: other jobs may well go on while this one is held
        if still.too_long((min(delivered, sequence), done)):
            raise CommandError(
                f"no embedder of the bulk lane has encoded the first batch for the space {space!r}, and"
                f" nothing has moved for {patience:g} s; the batch waits in the queue",
                cure=_cure(space),
            )
        await asyncio.sleep(_FIRST_POLL_SECONDS)


def _cure(space: str) -> str:
    return (
        f"add {space} to RAG_SPACES of every embedder of the bulk lane (embedded: ragp up --space {space}),"
        " then fill again"
    )


async def _lacking(registry: Registry, space: str) -> AsyncIterator[DocumentRef]:
    after: str | None = None
    while page := await registry.spaces.lacking(space, after, _PAGE):
        for document in page:
            yield document
        after = page[-1].document_id


async def _queue(client: Client, topology: Topology, consumer: str) -> ConsumerInfo:
    jetstream = client.jetstream(timeout=ACK_SECONDS)
    try:
        info: ConsumerInfo = await jetstream.consumer_info(topology.consumer(consumer).stream, consumer)
    except (nats.errors.Error, TimeoutError) as error:
        raise CommandError(f"NATS does not answer: {error!r}", cure="ragp status") from error
    return info


def _jobs(queue: ConsumerInfo) -> int:
    """Waiting, or worked on."""
    return (queue.num_pending or 0) + (queue.num_ack_pending or 0)


def _reached(queue: ConsumerInfo) -> tuple[int, int]:
    """The last sequence that was delivered, and the one up to which all are acknowledged."""
    delivered = queue.delivered.stream_seq if queue.delivered else 0
    return delivered, queue.ack_floor.stream_seq if queue.ack_floor else 0
