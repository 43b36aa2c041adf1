"""Spaces of the registry, remembered: they are asked for by every query and every batch."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import structlog

from rag_common.errors import TransientError
from rag_retriever.domain.ports import Space

S_co = TypeVar("S_co", bound=Space, covariant=True)
ACTIVE_SECONDS = 5.0
"""How long the pointer to the active space may be out of date."""

_log = structlog.get_logger(__name__)


class _Registry(Protocol[S_co]):
    async def active(self) -> S_co: ...
    async def get(self, name: str) -> S_co: ...


class RememberedSpaces:
    """A space never changes, so it is read once; which one is active is read again now and then."""

    def __init__(self, registry: _Registry[Space], clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._known: dict[str, Space] = {}
        self._active: Space | None = None
        self._until = 0.0
        self._reading: asyncio.Task[Space] | None = None

    async def active(self) -> Space:
        """See :class:`rag_retriever.domain.ports.Spaces`.

        Whoever asks while it is read waits for the same answer; a registry that is away leaves the
        pointer as it was.

        :raises TransientError: the registry is away, and was never read.
        """
        if self._active is not None and self._clock() < self._until:
            return self._active
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(_note_outcome)
        # a query that gives up must not take the answer from the others
        return await asyncio.shield(self._reading)

    async def get(self, name: str) -> Space:
        """See :class:`rag_retriever.domain.ports.Spaces`."""
        if name not in self._known:
            self._known[name] = await self._registry.get(name)
        return self._known[name]

    async def _read(self) -> Space:
        try:
            self._active = await self._registry.active()
        except TransientError as error:
            if self._active is None:
                raise
            _log.warning("active_space_not_read", code=error.code, reason=error.message)
        self._until = self._clock() + ACTIVE_SECONDS
        return self._active


def _note_outcome(reading: "asyncio.Task[Space]") -> None:
    """Nobody may be left to see an error, which asyncio would report then."""
    if not reading.cancelled():
        reading.exception()
