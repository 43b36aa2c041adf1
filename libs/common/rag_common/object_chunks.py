"""Cutting bytes into chunks, and reading the messages of a stream in bounded batches."""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator

import nats.errors
from nats.js import JetStreamContext

from rag_common.errors import TransientError

BATCH_BYTES = 2 * 1024 * 1024
"""Bytes after which the server ends a batch; it always holds at least one message."""
READ_SECONDS = 10.0


async def chunks_of(pieces: AsyncIterator[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of exactly ``size``, the last one shorter."""
    buffer = bytearray()
    async for piece in pieces:
        buffer += piece
        start = 0
        while len(buffer) - start >= size:
            yield bytes(buffer[start : start + size])
            start += size
        del buffer[:start]
    if buffer:
        yield bytes(buffer)


async def read_messages(
    jetstream: JetStreamContext, stream: str, subject: str, *, batch: int = 8
) -> AsyncGenerator[bytes, None]:
    """The bodies of a stream's messages on a subject, oldest first.

    The next batch is asked for when the last one has been taken, so at most one is in memory.

    :raises TransientError: NATS does not answer.
    """
    client = jetstream._nc
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    request = {"next_by_subj": subject, "batch": batch, "max_bytes": BATCH_BYTES}
    first = 1
    try:
        while True:
            body = json.dumps({**request, "seq": first}).encode()
            await client.publish(f"{jetstream._prefix}.DIRECT.GET.{stream}", body, reply=inbox)
            while True:
                message = await subscription.next_msg(timeout=READ_SECONDS)
                headers = message.headers or {}
                status = headers.get("Status")
                if status is not None:
                    break
                first = int(headers["Nats-Sequence"]) + 1
                yield message.data
            if status == "404" or (status == "204" and headers.get("Nats-Num-Pending") == "0"):
                return
            if status != "204":
                raise TransientError(f"{stream} cannot be read: status {status}")
    except (nats.errors.Error, TimeoutError) as error:
        raise TransientError(f"{stream} cannot be read: {type(error).__name__}") from error
    finally:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
