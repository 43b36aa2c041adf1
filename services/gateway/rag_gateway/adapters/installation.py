"""The stamp in NATS that says which installation its streams and objects belong to."""

from collections.abc import AsyncIterator

from rag_common.objects import ObjectMissing, ObjectStore
from rag_common.registry import Registry
from rag_gateway.domain.reconciling import STAMP


class StampedInstallation:
    """An object in the bucket ``documents`` that holds the registry's installation id."""

    def __init__(self, registry: Registry, objects: ObjectStore) -> None:
        self._registry = registry
        self._objects = objects

    async def foreign(self) -> str | None:
        """The id in NATS when it is another one. A NATS without a stamp is new, and is stamped."""
        own = (await self._registry.spaces.installation()).id
        try:
            stamped = b"".join([chunk async for chunk in self._objects.stream(STAMP)]).decode()
        except ObjectMissing:
            await self._objects.put(STAMP, _once(own.encode()))
            return None
        return stamped if stamped != own else None


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
