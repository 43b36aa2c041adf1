"""Spaces of the registry, remembered: they are asked for by every query and every batch."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from rag_retriever.domain.ports import Space

S_co = TypeVar("S_co", bound=Space, covariant=True)
ACTIVE_SECONDS = 5.0
"""How long the pointer to the active space may be out of date."""


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
        self._reading = asyncio.Lock()

    async def active(self) -> Space:
        """See :class:`rag_retriever.domain.ports.Spaces`."""
        async with self._reading:
            if self._active is None or self._clock() >= self._until:
                self._active = await self._registry.active()
                self._until = self._clock() + ACTIVE_SECONDS
            return self._active

    async def get(self, name: str) -> Space:
        """See :class:`rag_retriever.domain.ports.Spaces`."""
        if name not in self._known:
            self._known[name] = await self._registry.get(name)
        return self._known[name]
