"""Objects of any size in a JetStream object store, streamed both ways.

The format is that of NATS' object store (ADR-20), so ``nats object get`` and every client library read
what is written here, and the reverse. Buckets are created by ``ragp provision`` alone. Reading takes no
consumer: chunks come by batched direct gets, which nats-server has since 2.11.
"""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import nats.errors
import nats.js.errors
import structlog
from nats.js import JetStreamContext
from nats.js.api import Header
from pydantic import ValidationError

from rag_common.errors import Overloaded, PermanentError, TransientError
from rag_common.object_chunks import chunks_of, read_messages
from rag_common.object_format import (
    CHUNK_BYTES,
    ObjectMeta,
    all_meta_subjects,
    chunk_subject,
    meta_subject,
)

WINDOW = 8
"""Chunks that may wait for their acknowledgement: 1 MiB."""
ACK_SECONDS = 30.0
_STREAM_NOT_FOUND = 10059

_log = structlog.get_logger(__name__)


class TooLarge(PermanentError):
    """The object is above the limit; nothing of it is kept."""

    code = "too_large"


class ObjectMissing(PermanentError):
    """There is no object of this name."""

    code = "object_missing"


class ObjectDamaged(PermanentError):
    """The bytes are not those that were written."""

    code = "object_damaged"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Size in bytes, and the SHA-256 in hexadecimal."""

    size: int
    sha256: str


class ObjectStore:
    """One bucket. ``jetstream`` is called for each operation, as the connection may not exist yet."""

    def __init__(self, jetstream: Callable[[], JetStreamContext], bucket: str) -> None:
        self._jetstream = jetstream
        self._bucket = bucket
        self._stream = f"OBJ_{bucket}"

    async def put(self, name: str, chunks: AsyncIterator[bytes], *, limit: int | None = None) -> StoredObject:
        """Store what ``chunks`` yields, holding about 1 MiB of it at a time.

        Whatever goes wrong, also in ``chunks``, removes what was written. An object of the same name
        is replaced once the new one is complete.

        :raises TooLarge: there are more than ``limit`` bytes.
        :raises TransientError: NATS is away, or the bucket is missing.
        """
        previous = await self._find(name)
        jetstream = self._jetstream()
        nuid = jetstream._nc._nuid.next().decode()
        try:
            info = await self._write(jetstream, nuid, chunks, limit)
            await self._publish(
                jetstream,
                self._meta_subject(name),
                info.encode(self._bucket, name),
                headers={Header.ROLLUP.value: "sub"},
            )
        except BaseException:
            # Also when the upload was cancelled: its chunks must not stay behind.
            await asyncio.shield(self._discard(nuid))
            raise
        if previous is not None:
            await self._purge(self._chunk_subject(previous.nuid))
        return StoredObject(info.size, info.sha256.hex())

    async def info(self, name: str) -> StoredObject:
        """:raises ObjectMissing: there is no such object."""
        found = await self._require(name)
        return StoredObject(found.size, found.sha256.hex())

    async def stream(self, name: str) -> AsyncGenerator[bytes, None]:
        """The object's bytes, a chunk at a time, read as fast as they are taken.

        :raises ObjectMissing: there is no such object.
        :raises ObjectDamaged: at the end, when the digest is wrong.
        :raises TransientError: NATS is away, or a chunk has not reached the replica that was asked.
        """
        found = await self._require(name)
        digest, count = hashlib.sha256(), 0
        messages = read_messages(self._jetstream(), self._stream, self._chunk_subject(found.nuid))
        async with aclosing(messages):
            async for message in messages:
                digest.update(message)
                count += 1
                yield message
        if count < found.chunks:
            await self._require(name)
            raise TransientError(f"object {name}: {count} of {found.chunks} chunks are readable")
        if found.size and digest.digest() != found.sha256:
            raise ObjectDamaged(f"object {name} has another digest than when it was written")

    async def get_to_file(self, name: str, file: BinaryIO) -> None:
        """Write the object to an open file, off the event loop. Raises like :meth:`stream`."""
        async with aclosing(self.stream(name)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)

    async def delete(self, name: str) -> None:
        """Remove an object; one that does not exist is removed already.

        Chunks go first: if this is interrupted, the name remains and a second call finishes.

        :raises TransientError: NATS is away.
        """
        found = await self._find(name)
        if found is None:
            return
        await self._purge(self._chunk_subject(found.nuid))
        await self._purge(self._meta_subject(name))

    async def names(self) -> AsyncGenerator[str, None]:
        """The names of all objects, in no order that means anything."""
        messages = read_messages(self._jetstream(), self._stream, all_meta_subjects(self._bucket), batch=256)
        async with aclosing(messages):
            async for message in messages:
                meta = json.loads(message)
                if not meta.get("deleted"):
                    yield meta["name"]

    async def remove_abandoned(self, older_than: timedelta = timedelta(hours=1)) -> int:
        """Remove chunks whose writer died before it named them; returns of how many objects.

        Chunks of an upload that goes on are younger than ``older_than``, which is between two of them.

        :raises TransientError: NATS is away.
        """
        jetstream, removed = self._jetstream(), 0
        before = datetime.now(UTC) - older_than
        written = await self._chunk_subjects(jetstream)
        named = set()
        messages = read_messages(jetstream, self._stream, all_meta_subjects(self._bucket), batch=256)
        async with aclosing(messages):
            async for message in messages:
                named.add(self._chunk_subject(json.loads(message).get("nuid", "")))
        for subject in written - named:
            try:
                last = await jetstream.get_last_msg(self._stream, subject)
            except nats.js.errors.NotFoundError:
                continue
            except (nats.errors.Error, TimeoutError) as error:
                raise self._unavailable(error) from error
            if last.time is not None and last.time < before:
                await self._purge(subject)
                removed += 1
        return removed

    async def _chunk_subjects(self, jetstream: JetStreamContext) -> set[str]:
        """Those of the first 100,000 objects: the server's page."""
        try:
            info = await jetstream.stream_info(self._stream, subjects_filter=self._chunk_subject("*"))
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unavailable(error) from error
        return set(info.state.subjects or ())

    async def _write(
        self, jetstream: JetStreamContext, nuid: str, chunks: AsyncIterator[bytes], limit: int | None
    ) -> ObjectMeta:
        subject, digest = self._chunk_subject(nuid), hashlib.sha256()
        size = count = 0
        waiting: deque[asyncio.Task[None]] = deque()
        try:
            async for chunk in chunks_of(chunks, CHUNK_BYTES):
                size += len(chunk)
                if limit is not None and size > limit:
                    raise TooLarge(f"larger than the limit of {limit} bytes")
                digest.update(chunk)
                count += 1
                if len(waiting) == WINDOW:
                    await waiting.popleft()
                waiting.append(asyncio.create_task(self._publish(jetstream, subject, chunk)))
            while waiting:
                await waiting.popleft()
        finally:
            # Nothing may be stored after the purge that follows a failure: the server has what was sent,
            # and only its answer says that it is stored.
            await asyncio.gather(*waiting, return_exceptions=True)
        return ObjectMeta.of(nuid, size=size, chunks=count, sha256=digest.digest())

    async def _publish(
        self,
        jetstream: JetStreamContext,
        subject: str,
        body: bytes,
        headers: dict[str, Any] | None = None,
    ) -> None:
        try:
            await jetstream.publish(subject, body, timeout=ACK_SECONDS, stream=self._stream, headers=headers)
        except nats.js.errors.APIError as error:
            raise Overloaded(f"bucket {self._bucket} is full: {error.description}") from error
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def _require(self, name: str) -> ObjectMeta:
        found = await self._find(name)
        if found is None:
            raise ObjectMissing(f"bucket {self._bucket} has no object {name}")
        return found

    async def _find(self, name: str) -> ObjectMeta | None:
        try:
            # From the stream's leader: a replica may lag behind, and would make it look missing.
            message = await self._jetstream().get_last_msg(self._stream, self._meta_subject(name))
        except nats.js.errors.NotFoundError as error:
            if error.err_code == _STREAM_NOT_FOUND:
                raise self._unavailable(error) from error
            return None
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unavailable(error) from error
        try:
            info = ObjectMeta.model_validate_json(message.data or b"")
        except ValidationError as error:
            raise ObjectDamaged(f"object {name} has no readable metadata, or is a link") from error
        return None if info.deleted else info

    async def _discard(self, nuid: str) -> None:
        try:
            await self._purge(self._chunk_subject(nuid))
        except TransientError as error:
            _log.warning("chunks_left_behind", bucket=self._bucket, nuid=nuid, reason=error.message)

    async def _purge(self, subject: str) -> None:
        try:
            await self._jetstream().purge_stream(self._stream, subject=subject)
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> TransientError:
        if isinstance(error, nats.js.errors.NotFoundError | nats.js.errors.NoStreamResponseError):
            return TransientError(
                f"bucket {self._bucket} does not exist; run 'ragp provision'", code="bucket_missing"
            )
        return TransientError(f"NATS is unavailable: {type(error).__name__}: {error}")

    def _meta_subject(self, name: str) -> str:
        return meta_subject(self._bucket, name)

    def _chunk_subject(self, nuid: str) -> str:
        return chunk_subject(self._bucket, nuid)
