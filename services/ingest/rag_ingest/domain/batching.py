"""Cuts a generation's chunks into the messages that carry them to the embedder."""

from collections.abc import Iterable, Iterator, Sequence

from rag_common.contracts import MAX_MESSAGE_BYTES, ChunkText, DocumentRef, EmbedChunks, Lane

MAX_BATCH_CHUNKS = 32
"""Their vectors of up to 2,048 dimensions fit into one message as well: 341 KiB in base64."""


def batch_numbers(texts: Iterable[str], *, document: DocumentRef, space: str) -> list[int]:
    """For each chunk the number of its batch, from 0; the batches hold what one message may hold."""
    room = MAX_MESSAGE_BYTES - _envelope_bytes(document, space)
    numbers: list[int] = []
    batch, used, count = 0, 0, 0
    for no, text in enumerate(texts):
        size = len(ChunkText(no=no, text=text).model_dump_json().encode()) + 1
        if count and (count == MAX_BATCH_CHUNKS or used + size > room):
            batch, used, count = batch + 1, 0, 0
        used += size
        count += 1
        numbers.append(batch)
    return numbers


def embed_messages(
    chunks: Sequence[tuple[int, ChunkText]], *, document: DocumentRef, space: str, lane: Lane
) -> Iterator[EmbedChunks]:
    """One message for each batch of ``(batch number, chunk)``, in ascending order of batches."""
    batches: dict[int, list[ChunkText]] = {}
    for number, chunk in chunks:
        batches.setdefault(number, []).append(chunk)
    for number, texts in sorted(batches.items()):
        yield EmbedChunks(document=document, lane=lane, space=space, batch=number, chunks=tuple(texts))


def _envelope_bytes(document: DocumentRef, space: str) -> int:
    empty_chunk = ChunkText(no=0, text="")
    message = EmbedChunks(
        document=document, lane="interactive", space=space, batch=10**9, chunks=(empty_chunk,)
    )
    return len(message.encode())
