"""The bulk-drop protocol, as an outside producer speaks it: only NATS, no HTTP."""

import asyncio
import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.js.object_store import ObjectStore

from rag_common.contracts import MAX_INLINE_BYTES, DroppedContent, IngestDocument, InlineContent
from rag_common.topology import Topology
from ragp.errors import CommandError
from ragp.files import SourceFile
from ragp.publishing import ACK_SECONDS, publish

_INLINE_FILE_BYTES = 128 * 1024
"""In base64, and with the rest of the message, below what a message may hold inline."""


@dataclass(frozen=True)
class DropFields:
    """What goes with every dropped file; ``None`` keeps what the document has."""

    collection: str
    metadata: Mapping[str, Any] | None = None
    acl: Sequence[str] | None = None


class TooLargeError(CommandError):
    """This file cannot be dropped; another one can."""


class Producer:
    """Drops files for one tenant. :meth:`open` first."""

    def __init__(self, client: Client, topology: Topology, tenant: str) -> None:
        self._jetstream = client.jetstream(timeout=ACK_SECONDS)
        self._subject = topology.subject(IngestDocument, lane="bulk", tenant=tenant)
        self._stream = topology.stream("INGEST")
        self._bucket_name = topology.bucket(f"drop-{tenant}")
        self._bucket: ObjectStore | None = None

    async def drop(self, file: SourceFile, fields: DropFields) -> int:
        """Publish one file and wait until JetStream has it; returns its sequence in the stream.

        While the lane is full this waits: nothing is lost and nothing is buffered.

        :raises TooLargeError: with its metadata and acl it does not fit into a message.
        :raises CommandError: NATS refuses or does not answer.
        :raises OSError: the file cannot be read.
        """
        message = IngestDocument(
            collection=fields.collection,
            source_uri=file.source_uri,
            content=await self._content(file),
            file_name=file.path.name[-300:],
            metadata=dict(fields.metadata) if fields.metadata else None,
            acl=tuple(fields.acl) if fields.acl else None,
        )
        return await self._publish(message)

    async def _content(self, file: SourceFile) -> InlineContent | DroppedContent:
        if file.size <= _INLINE_FILE_BYTES:
            data = await asyncio.to_thread(file.path.read_bytes)
            return InlineContent(data=base64.b64encode(data).decode())
        return DroppedContent(object=await self._put(file.path))

    async def _put(self, path: Path) -> str:
        name = secrets.token_hex(16)
        try:
            if self._bucket is None:
                self._bucket = await self._jetstream.object_store(self._bucket_name)
            with open(path, "rb") as file:  # noqa: ASYNC230 - nats-py reads it in pieces of 128 KiB
                await self._bucket.put(name, file)
        except (nats.errors.Error, TimeoutError) as error:
            raise CommandError(
                f"the bucket {self._bucket_name} takes no file: {error!r}", cure="ragp provision"
            ) from error
        return name

    async def _publish(self, message: IngestDocument) -> int:
        body = message.encode()
        if len(body) > MAX_INLINE_BYTES:
            raise TooLargeError("its metadata and acl leave no room in the message")
        return await publish(self._jetstream, self._subject, self._stream, body, about=message.source_uri)
