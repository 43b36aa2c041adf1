"""Bytes of documents: in messages, in drop buckets, and for good in the bucket ``documents``."""

import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from rag_common.errors import PermanentError
from rag_common.objects import ObjectStore
from rag_ingest.domain.ports import Content

_BLOCK = 128 * 1024


class ObjectContents:
    """Files lie in ``directory`` (the system's own by default) for as long as their job runs."""

    def __init__(
        self,
        documents: ObjectStore,
        drops: Callable[[str], ObjectStore],
        *,
        max_bytes: int,
        directory: Path | None = None,
    ) -> None:
        self._documents = documents
        self._drops = drops
        self._max_bytes = max_bytes
        self._directory = directory

    @asynccontextmanager
    async def inline(self, data: bytes) -> AsyncIterator[Content]:
        """Bytes that came in the message."""
        with self._file() as file:
            file.write(data)
            file.flush()
            yield Content(Path(file.name), len(data), hashlib.sha256(data).hexdigest())

    @asynccontextmanager
    async def accepted(self, upload_id: str) -> AsyncIterator[Path]:
        """:raises ObjectMissing: there is no such upload."""
        with self._file() as file:
            await self._documents.get_to_file(upload_id, file)
            file.flush()
            yield Path(file.name)

    @asynccontextmanager
    async def dropped(self, tenant: str, name: str) -> AsyncIterator[Content]:
        """:raises PermanentError: ``object_missing``, or ``too_large`` before the disk is full of it."""
        digest = hashlib.sha256()
        size = 0
        with self._file() as file:
            async for data in self._drops(tenant).stream(name):
                size += len(data)
                if size > self._max_bytes:
                    raise PermanentError(
                        f"the dropped object is larger than {self._max_bytes:,} bytes", code="too_large"
                    )
                digest.update(data)
                file.write(data)
            file.flush()
            yield Content(Path(file.name), size, digest.hexdigest())

    async def keep(self, content: Content, upload_id: str) -> None:
        """Store the bytes for good; again under the same id overwrites them."""
        await self._documents.put(upload_id, _blocks(content.path))

    async def discard(self, tenant: str, name: str) -> None:
        """Remove a dropped object, if it is still there."""
        await self._drops(tenant).delete(name)

    def _file(self) -> "tempfile._TemporaryFileWrapper[bytes]":
        return tempfile.NamedTemporaryFile(prefix="rag-ingest-", dir=self._directory)


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_BLOCK):
            yield data
