"""How full the index is."""

import asyncio

import structlog
from prometheus_client import CollectorRegistry, Gauge

from rag_common.errors import RagError
from rag_retriever.domain.index import VectorIndex

REPORT_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class PointsReport:
    """The gauge ``rag_index_points{space}``, brought up to date every :data:`REPORT_SECONDS`."""

    def __init__(self, index: VectorIndex, registry: CollectorRegistry) -> None:
        self._index = index
        self._points = Gauge("rag_index_points", "Points of a space.", ["space"], registry=registry)

    async def run(self) -> None:
        """Until it is cancelled; an index that does not answer is asked again."""
        while True:
            try:
                for space in await self._index.spaces():
                    self._points.labels(space).set(await self._index.count(space))
            except RagError as error:
                _log.warning("points_not_counted", code=error.code, reason=error.message)
            await asyncio.sleep(REPORT_SECONDS)
