"""Keeping the index as the registry wants it: updates, purges, orphans."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

from rag_common.errors import PermanentError
from rag_retriever.domain.index import GenerationKey, IndexUnavailable, VectorIndex
from rag_retriever.domain.metadata import indexable
from rag_retriever.domain.ports import IndexRegistry, Objects, Plan

MAX_ORPHANS = 0.01
"""Above this share of the points of all spaces the registry itself is the suspect. It is one for all of them:
of a small space many points may be orphans, but what looks wrong in all is removed from none."""


class TooManyOrphans(PermanentError):
    """So much of the index is unknown to the registry that they may not belong together."""

    code = "too_many_orphans"


@dataclass(frozen=True, slots=True)
class UpdateDocument:
    """Bring a document's points to the registry's ACL, collection and metadata."""

    index: VectorIndex
    registry: IndexRegistry[Any]

    async def __call__(self, tenant: str, document_id: str) -> None:
        """Returns when the index has the version that the registry had last."""
        applied = False
        while not applied:
            source = await self.registry.update_source(tenant, document_id)
            if source is None:
                return
            for space in await self.index.spaces():
                await self.index.set_access(
                    space,
                    tenant,
                    document_id,
                    collection_id=source.collection_id,
                    acl=source.acl,
                    meta=indexable(source.metadata),
                )
            applied = await self.registry.updated(tenant, document_id, source.acl_version)


@dataclass(frozen=True, slots=True)
class Purge(Generic[Plan]):
    """Remove what the registry, asked again, gives up: points first, then objects, then the receipt."""

    index: VectorIndex
    registry: IndexRegistry[Plan]
    objects: Objects

    async def __call__(self, tenant: str, document_id: str, asked: tuple[int, ...] = ()) -> int:
        """How many points went. ``asked``: the generations; none: the whole, tombstoned document.

        :raises IndexUnavailable: points are still there after the delete; nothing is recorded.
        """
        plan = await self.registry.purge_plan(tenant, document_id, asked)
        if plan is None:
            return 0
        generations = () if plan.whole else plan.generations
        points = 0
        for space in await self.index.spaces():
            document = (space, tenant, document_id, generations)
            points += await self.index.count_document(*document)
            await self.index.delete_document(*document)
            left = await self.index.count_document(*document)
            if left:
                raise IndexUnavailable(f"{left} points are left in the space {space!r} after a delete")
        for name in plan.upload_ids:
            await self.objects.delete(name)
        await self.registry.purged(tenant, plan, points=points, objects=len(plan.upload_ids))
        return points


@dataclass(frozen=True, slots=True)
class RemoveOrphans:
    """Remove the points of generations that the registry has purged or never had."""

    index: VectorIndex
    registry: IndexRegistry[Any]

    async def __call__(self) -> int:
        """How many points went.

        :raises TooManyOrphans: above :data:`MAX_ORPHANS` of all points; none is removed.
        """
        orphans: dict[str, dict[GenerationKey, int]] = {}
        total = 0
        for space in await self.index.spaces():
            counted = await self.index.generations(space)
            orphans[space] = await self._orphans(counted)
            total += sum(counted.values())
        points = sum(sum(found.values()) for found in orphans.values())
        if points > MAX_ORPHANS * total:
            raise TooManyOrphans(
                f"{points} of {total} points in the index are of documents unknown to the registry; nothing"
                " is removed: check that index and registry belong together"
            )
        for space, found in orphans.items():
            for key in found:
                await self.index.delete_document(space, key.tenant, key.document_id, (key.generation,))
        return points

    async def _orphans(self, counted: Mapping[GenerationKey, int]) -> dict[GenerationKey, int]:
        if not counted:
            return {}
        unknown = set(
            await self.registry.unknown_generations([(key.document_id, key.generation) for key in counted])
        )
        return {key: n for key, n in counted.items() if (key.document_id, key.generation) in unknown}
