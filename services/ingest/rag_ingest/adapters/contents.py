"""Bytes of documents: in messages, in drop buckets, and for good in the bucket ``documents``."""

import asyncio
import hashlib
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

from rag_common.errors import PermanentError, TransientError
from rag_common.objects import ObjectStore, TooLarge
from rag_ingest.domain.ports import Content

_BLOCK = 128 * 1024


class ObjectContents:
    """Files lie in ``directory`` for as long as their job runs."""

    def __init__(
        self,
        documents: ObjectStore,
        drops: Callable[[str], ObjectStore],
        *,
        max_bytes: int,
        directory: Path,
    ) -> None:
        self._documents = documents
        self._drops = drops
        self._max_bytes = max_bytes
        self._directory = directory

    @asynccontextmanager
    async def inline(self, data: bytes) -> AsyncIterator[Content]:
        """Bytes that came in the message."""
        with self._file() as (path, file):
            file.write(data)
            file.flush()
            yield Content(path, len(data), hashlib.sha256(data).hexdigest())

    @asynccontextmanager
    async def accepted(self, upload_id: str) -> AsyncIterator[Path]:
        """:raises ObjectMissing: there is no such upload."""
        with self._file() as (path, file):
            await self._documents.get_to_file(upload_id, file)
            file.flush()
            yield path

    @asynccontextmanager
    async def dropped(self, tenant: str, name: str) -> AsyncIterator[Content]:
        """:raises PermanentError: ``object_missing``, ``too_large``, or ``no_drop_bucket``."""
        with self._file() as (path, file):
            try:
                size, digest = await self._download(self._drops(tenant), name, file)
            except TransientError as error:
                if error.code != "bucket_missing":
                    raise
                # One tenant's mistake must not hold the lane of all.
                raise PermanentError("the tenant has no drop bucket", code="no_drop_bucket") from error
            yield Content(path, size, digest)

    async def keep(self, content: Content, upload_id: str) -> None:
        """Store the bytes for good; again under the same id overwrites them."""
        await self._documents.put(upload_id, _blocks(content.path))

    async def discard(self, tenant: str, name: str) -> None:
        """Remove a dropped object, if it is still there."""
        await self._drops(tenant).delete(name)

    @asynccontextmanager
    async def unpacking(self) -> AsyncIterator[Path]:
        """A directory that does not exist yet; it goes with all that is in it."""
        directory = self._directory / f"members-{secrets.token_hex(8)}"
        try:
            yield directory
        finally:
            if directory.exists():
                await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _download(self, bucket: ObjectStore, name: str, file: BinaryIO) -> tuple[int, str]:
        digest = hashlib.sha256()
        size = 0
        async with aclosing(bucket.stream(name)) as blocks:
            async for block in blocks:
                size += len(block)
                if size > self._max_bytes:
                    raise TooLarge(f"the dropped object is larger than {self._max_bytes:,} bytes")
                digest.update(block)
                file.write(block)
        file.flush()
        return size, digest.hexdigest()

    @contextmanager
    def _file(self) -> Iterator[tuple[Path, BinaryIO]]:
        """:raises TransientError: the system has no room or no file left, here or within the block."""
        try:
            descriptor, name = tempfile.mkstemp(prefix="upload-", dir=self._directory)
            try:
                with open(descriptor, "wb") as file:
                    yield Path(name), file
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            # Never the document's fault: its bytes are only written and read back.
            raise TransientError(
                f"the files of running jobs: {error.strerror or type(error).__name__}", code="no_work_file"
            ) from error


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_BLOCK):
            yield data
