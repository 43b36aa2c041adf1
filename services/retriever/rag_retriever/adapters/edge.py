"""The vector index in this process: Qdrant Edge, the embedded default.

Measured with version 0.9: calls from several threads do not run in parallel and hold the GIL, so
all go through one thread, which also keeps their order. ``optimize()`` holds the GIL for up to a
minute and is never called here. An update survives a kill of the process at once; it reaches the
disk, and so survives a loss of power, with the next flush.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import UUID

import structlog
from pydantic import JsonValue

from rag_retriever.adapters.edge_shards import EdgeShards
from rag_retriever.domain.index import GenerationKey, Hit, Point, SearchSpec

P = ParamSpec("P")
T = TypeVar("T")
SCROLL_PAGE = 1000

_log = structlog.get_logger(__name__)


class EdgeIndex:
    """A :class:`~rag_retriever.domain.index.VectorIndex` that one process at a time can open."""

    def __init__(self, directory: Path, flush_interval: float) -> None:
        self._shards = EdgeShards(directory)
        self._flush_interval = flush_interval
        self._flush_timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge")
        self._dimensions: dict[str, int] = {}
        self._closed = False

    @classmethod
    async def open(cls, directory: Path, flush_interval: float = 5.0) -> "EdgeIndex":
        """Load every space of the directory, which is created if need be.

        ``flush_interval``: seconds until an update is on the disk.

        :raises IndexUnavailable: another process holds the directory, or it cannot be read.
        """
        index = cls(directory, flush_interval)
        try:
            await index._run(index._shards.load)
        except BaseException:
            await index.close()
            raise
        return index

    async def claim(self, installation_id: str) -> None:
        await self._run(self._shards.claim, installation_id)

    async def ensure_space(self, space: str, dimension: int) -> None:
        if self._dimensions.get(space) != dimension:
            await self._run(self._shards.ensure_space, space, dimension)
            self._dimensions[space] = dimension

    async def spaces(self) -> tuple[str, ...]:
        return await self._run(self._shards.names)

    async def upsert(self, space: str, points: Sequence[Point]) -> None:
        await self._write(self._shards.upsert, space, points)

    async def set_access(
        self,
        space: str,
        tenant: str,
        document_id: str,
        *,
        collection_id: str,
        acl: tuple[str, ...],
        meta: Mapping[str, JsonValue],
    ) -> None:
        await self._write(self._shards.set_access, space, tenant, document_id, collection_id, acl, meta)

    async def delete_points(self, space: str, ids: Sequence[UUID]) -> None:
        await self._write(self._shards.delete_points, space, ids)

    async def delete_document(
        self, space: str, tenant: str, document_id: str, generations: tuple[int, ...] = ()
    ) -> None:
        await self._write(self._shards.delete_document, space, tenant, document_id, generations)

    async def count_document(
        self, space: str, tenant: str, document_id: str, generations: tuple[int, ...] = ()
    ) -> int:
        return await self._run(self._shards.count_document, space, tenant, document_id, generations)

    async def count(self, space: str) -> int:
        return await self._run(self._shards.count, space)

    async def generations(self, space: str) -> dict[GenerationKey, int]:
        counted: Counter[GenerationKey] = Counter()
        # one call per page, so that searches pass between them
        page, offset = await self._run(self._shards.scroll, space, None, SCROLL_PAGE)
        counted.update(page)
        while offset is not None:
            page, offset = await self._run(self._shards.scroll, space, offset, SCROLL_PAGE)
            counted.update(page)
        return dict(counted)

    async def query_batch(self, specs: Sequence[SearchSpec]) -> list[list[Hit]]:
        return await self._run(self._shards.query_batch, specs)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        try:
            await self._run(self._shards.close)
        finally:
            self._thread.shutdown(wait=False)

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: call(*args, **kwargs))

    async def _write(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        await self._run(call, *args, **kwargs)
        if self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(self._flush_interval, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        if not self._closed:
            self._thread.submit(self._shards.flush).add_done_callback(_log_failure)


def _log_failure(flushed: "Future[None]") -> None:
    error = flushed.exception()
    if error is not None:
        _log.error("index_not_flushed", reason=str(error))
