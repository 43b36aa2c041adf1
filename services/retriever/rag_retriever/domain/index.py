"""The vector index as the domain sees it. The index proposes; the registry decides.

:class:`VectorIndex` has two adapters, held to one contract test suite. A search cannot be
written without a :class:`Scope`, and only :func:`scope_filter` builds one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from rag_common.contracts import EVERYONE, Filter, Leg
from rag_common.errors import PermanentError, TransientError

Vector = NDArray[np.float32]


class IndexRefused(PermanentError):
    """The index belongs to another installation, or a space to another model."""

    code = "index_refused"


class IndexFault(PermanentError):
    """The engine refuses the operation itself."""

    code = "index_fault"


class IndexUnavailable(TransientError):
    """The index cannot be reached or is held by another process."""

    code = "index_unavailable"


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term indices, ascending and distinct, and their weights."""

    indices: NDArray[np.uint32]
    values: Vector

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, slots=True)
class Payload:
    """What a point carries for filtering. Text stays in the registry."""

    tenant: str
    collection_id: str
    document_id: str
    generation: int
    no: int
    acl: tuple[str, ...]
    meta: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Point:
    """One chunk of one generation in one space. ``dense`` has the space's dimension."""

    id: UUID
    dense: Vector
    sparse: SparseVector
    payload: Payload


def point_id(document_id: str, space: str, generation: int, no: int) -> UUID:
    """The same chunk always has the same point: writing twice is writing once.

    :raises ValueError: ``document_id`` is not a UUID.
    """
    return uuid5(UUID(document_id), f"{space}:{generation}:{no}")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller may see at all, narrowed by what it asked for. Built by :func:`scope_filter`."""

    tenant: str
    principals: tuple[str, ...]
    collections: tuple[str, ...]
    """Collection ids; empty: every collection of the tenant."""
    condition: Filter | None


def scope_filter(
    tenant: str,
    principals: Iterable[str],
    collections: Iterable[str] = (),
    condition: Filter | None = None,
) -> Scope:
    """The access filter that every prefetch carries.

    ``"*"`` is added to the principals, since every caller of a tenant has it.

    :raises ValueError: no tenant, or no principal.
    """
    principals = tuple(sorted({*principals}))
    if not tenant or not principals:
        raise ValueError("a search needs a tenant and at least one principal")
    return Scope(tenant, tuple(sorted({*principals, EVERYONE})), tuple(sorted({*collections})), condition)


@dataclass(frozen=True, slots=True)
class SearchSpec:
    """One search of one space: a leg takes part when its vector is given."""

    space: str
    scope: Scope
    limit: int
    dense: Vector | None = None
    sparse: SparseVector | None = None


class ChunkKey(NamedTuple):
    """The primary key of a chunk in the registry."""

    document_id: str
    generation: int
    no: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that the index proposes.

    ``ranks``: from 1, in each leg that found it; ``leg_scores``: the cosine or the BM25 score there.
    """

    key: ChunkKey
    score: float
    ranks: dict[Leg, int] = field(default_factory=dict)
    leg_scores: dict[Leg, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GenerationKey:
    """One generation of a document, as points name it."""

    tenant: str
    document_id: str
    generation: int


class VectorIndex(Protocol):
    """Vectors, ids and filter fields. Everything it raises is ``TransientError`` or ``PermanentError``.

    A space that does not exist is empty to readers and to deletes; writers need :meth:`ensure_space`.
    """

    async def claim(self, installation_id: str) -> None:
        """Stamp an empty index with the installation, or compare the stamp.

        :raises IndexRefused: the stamp is another's, or an index with points has none.
        """

    async def ensure_space(self, space: str, dimension: int) -> None:
        """Create the space with its payload indexes, unless it exists.

        :raises IndexRefused: it exists with another dimension.
        """

    async def spaces(self) -> tuple[str, ...]:
        """Names of the spaces that exist."""

    async def upsert(self, space: str, points: Sequence[Point]) -> None:
        """Write points; those that exist are replaced. Durable against a kill of the process."""

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
        """Replace the filter fields of every point of a document."""

    async def delete_points(self, space: str, ids: Sequence[UUID]) -> None:
        """Remove points; absent ones are no error."""

    async def delete_document(
        self, space: str, tenant: str, document_id: str, generations: tuple[int, ...] = ()
    ) -> None:
        """Remove a document's points of these generations; of all when none is named."""

    async def count_document(
        self, space: str, tenant: str, document_id: str, generations: tuple[int, ...] = ()
    ) -> int:
        """Points of a document in these generations; in all when none is named. Exact."""

    async def count(self, space: str) -> int:
        """Points of the space. Exact."""

    async def generations(self, space: str) -> dict[GenerationKey, int]:
        """Number of points of every generation in the space, by a paged scroll: for the orphan check."""

    async def query_batch(self, specs: Sequence[SearchSpec]) -> list[list[Hit]]:
        """Best hits of each search, in the order of ``specs``.

        Two legs are fused by :func:`rag_retriever.domain.fusion.fuse`; with one leg the score is
        that leg's own (cosine similarity, or BM25).
        """

    async def close(self) -> None:
        """Make everything durable and release the index. Idempotent."""
