"""The vector index on a Qdrant server or cluster."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from pydantic import JsonValue
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from rag_retriever.adapters.conditions import document_condition, scope_condition
from rag_retriever.adapters.payloads import (
    GENERATION_FIELDS,
    KEY_FIELDS,
    chunk_key,
    generation_key,
    to_object,
)
from rag_retriever.adapters.planning import Answers, LegQuery, plan
from rag_retriever.adapters.qdrant_dialect import QdrantDialect
from rag_retriever.domain.fusion import COVERAGE_HITS
from rag_retriever.domain.index import (
    GenerationKey,
    Hit,
    IndexFault,
    IndexRefused,
    IndexUnavailable,
    Point,
    SearchSpec,
    SparseVector,
)

SCROLL_PAGE = 1000
_MENDED_LATER = (401, 403, 404, 408, 429)
_STAMP = "installation"
_DIALECT = QdrantDialect()
_SPARSE = {"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)}
_KEYWORD = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
_PAYLOAD_INDEXES: dict[str, models.PayloadSchemaParams] = {
    "tenant": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    "collection_id": _KEYWORD,
    "acl": _KEYWORD,
    "document_id": _KEYWORD,
    "generation": models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=False),
}


class QdrantIndex:
    """A :class:`~rag_retriever.domain.index.VectorIndex`; one Qdrant collection ``{prefix}_{space}`` each."""

    def __init__(self, client: AsyncQdrantClient, prefix: str) -> None:
        """``prefix``: lets several installations share a server."""
        self._client = client
        self._prefix = prefix
        self._dimensions: dict[str, int] = {}
        self._seen: set[str] = set()

    async def claim(self, installation_id: str) -> None:
        name = f"{self._prefix}__{_STAMP}"
        with self._translated():
            if not await self._client.collection_exists(name):
                if await self._spaces():
                    raise IndexRefused(f"the index {self._prefix!r} names no installation, but has spaces")
                await self._create(name, {})
            stamps, _ = await self._client.scroll(name, limit=1, with_payload=True)
            if not stamps:
                stamp = models.PointStruct(id=1, vector={}, payload={_STAMP: installation_id})
                await self._client.upsert(name, [stamp], wait=True)
                stamps, _ = await self._client.scroll(name, limit=1, with_payload=True)
        found = (stamps[0].payload or {}).get(_STAMP)
        if found != installation_id:
            raise IndexRefused(
                f"the index {self._prefix!r} belongs to installation {found}, the registry to "
                f"{installation_id}: one of the two addresses is wrong"
            )

    async def ensure_space(self, space: str, dimension: int) -> None:
        if self._dimensions.get(space) == dimension:
            return
        name = self._name(space)
        with self._translated():
            if not await self._client.collection_exists(name):
                dense = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
                await self._create(name, {"dense": dense}, sparse_vectors_config=_SPARSE)
            # also for a collection that exists: its creator may have been killed before the indexes
            for field, schema in _PAYLOAD_INDEXES.items():
                await self._client.create_payload_index(name, field, schema, wait=True)
            info = await self._client.get_collection(name)
        vectors = info.config.params.vectors
        found = vectors["dense"].size if isinstance(vectors, dict) and "dense" in vectors else None
        if found != dimension:
            raise IndexRefused(f"the space {space!r} has vectors of dimension {found}, not {dimension}")
        self._dimensions[space] = dimension

    async def _create(
        self,
        name: str,
        vectors: dict[str, models.VectorParams],
        sparse_vectors_config: dict[str, models.SparseVectorParams] | None = None,
    ) -> None:
        try:
            await self._client.create_collection(
                name, vectors_config=vectors, sparse_vectors_config=sparse_vectors_config
            )
        except UnexpectedResponse as error:
            # another retriever was first
            if error.status_code != 409:
                raise

    async def spaces(self) -> tuple[str, ...]:
        with self._translated():
            return await self._spaces()

    async def _spaces(self) -> tuple[str, ...]:
        start = f"{self._prefix}_"
        names = [item.name for item in (await self._client.get_collections()).collections]
        return tuple(
            sorted(
                name[len(start) :]
                for name in names
                if name.startswith(start) and not name.startswith(start + "_")
            )
        )

    async def upsert(self, space: str, points: Sequence[Point]) -> None:
        with self._translated():
            await self._client.upsert(self._name(space), [_struct(point) for point in points], wait=True)

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
        if not await self._exists(space):
            return
        chosen = _document(tenant, document_id, ())
        payload = {"collection_id": collection_id, "acl": list(acl), "meta": dict(meta)}
        with self._translated():
            await self._client.set_payload(self._name(space), payload, points=chosen, wait=True)

    async def delete_points(self, space: str, ids: Sequence[UUID]) -> None:
        if await self._exists(space):
            with self._translated():
                await self._client.delete(self._name(space), [str(point) for point in ids], wait=True)

    async def delete_document(
        self, space: str, tenant: str, document_id: str, generations: tuple[int, ...] = ()
    ) -> None:
        if await self._exists(space):
            chosen = models.FilterSelector(filter=_document(tenant, document_id, generations))
            with self._translated():
                await self._client.delete(self._name(space), chosen, wait=True)

    async def count_document(
        self, space: str, tenant: str, document_id: str, generations: tuple[int, ...] = ()
    ) -> int:
        return await self._count(space, _document(tenant, document_id, generations))

    async def count(self, space: str) -> int:
        return await self._count(space, None)

    async def _count(self, space: str, chosen: models.Filter | None) -> int:
        if not await self._exists(space):
            return 0
        with self._translated():
            return (await self._client.count(self._name(space), count_filter=chosen, exact=True)).count

    async def generations(self, space: str) -> dict[GenerationKey, int]:
        counted: Counter[GenerationKey] = Counter()
        if not await self._exists(space):
            return {}
        offset: models.ExtendedPointId | None = None
        while True:
            with self._translated():
                records, offset = await self._client.scroll(
                    self._name(space), limit=SCROLL_PAGE, offset=offset, with_payload=GENERATION_FIELDS
                )
            counted.update(generation_key(record.payload) for record in records)
            if offset is None:
                return dict(counted)

    async def query_batch(self, specs: Sequence[SearchSpec]) -> list[list[Hit]]:
        answers = Answers(specs)
        for space, queries in plan(specs).items():
            if not await self._exists(space):
                continue
            requests = [_request(query) for query in queries]
            with self._translated():
                found = await self._client.query_batch_points(self._name(space), requests)
            for query, answer in zip(queries, found, strict=True):
                hits = [(chunk_key(point.payload), point.score) for point in answer.points]
                best = answer.points[:COVERAGE_HITS] if query.with_terms else ()
                answers.add(query, hits, map(_terms, best))
        return answers.fused()

    async def close(self) -> None:
        await self._client.close()

    async def _exists(self, space: str) -> bool:
        """Asked once per space, and again after a 404: the server has lost the collection."""
        if space not in self._seen:
            with self._translated():
                if not await self._client.collection_exists(self._name(space)):
                    return False
            self._seen.add(space)
        return True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What a later try may mend is :class:`IndexUnavailable`, what it cannot :class:`IndexFault`.

        An operator mends refused credentials (a key was rotated) and a missing collection (the server
        was restored from an older copy) without knowing which jobs have met them, so those wait.
        """
        try:
            yield
        except ResourceExhaustedResponse as error:
            raise IndexUnavailable(
                f"qdrant is overloaded: {error}", retry_after=max(1.0, error.retry_after_s)
            ) from error
        except UnexpectedResponse as error:
            status = error.status_code or 500
            if status == 404:
                self._seen.clear()
                self._dimensions.clear()
            if status in _MENDED_LATER or status >= 500:
                raise IndexUnavailable(f"qdrant answers {status} {error.reason_phrase}") from error
            raise IndexFault(f"qdrant refuses the operation: {error}") from error
        except (ResponseHandlingException, ApiException, QdrantException) as error:
            raise IndexUnavailable(f"qdrant does not answer: {error}") from error

    def _name(self, space: str) -> str:
        return f"{self._prefix}_{space}"


def _struct(point: Point) -> models.PointStruct:
    return models.PointStruct(
        id=str(point.id),
        vector={"dense": point.dense.tolist(), "sparse": _sparse(point.sparse)},
        payload=to_object(point.payload),
    )


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())


def _document(tenant: str, document_id: str, generations: tuple[int, ...]) -> models.Filter:
    return models.Filter(must=[document_condition(_DIALECT, tenant, document_id, generations)])


def _request(query: LegQuery) -> models.QueryRequest:
    spec = query.spec
    vector: list[float] | models.SparseVector
    if query.leg == "dense" and spec.dense is not None:
        vector = spec.dense.tolist()
    elif query.leg == "sparse" and spec.sparse is not None:
        vector = _sparse(spec.sparse)
    else:
        raise ValueError(f"the search has no {query.leg} vector")
    return models.QueryRequest(
        query=vector,
        using=query.leg,
        filter=models.Filter(must=[scope_condition(_DIALECT, spec.scope)]),
        limit=spec.limit,
        with_payload=KEY_FIELDS,
        with_vector=["sparse"] if query.with_terms else False,
    )


def _terms(point: models.ScoredPoint) -> list[int]:
    vector = point.vector["sparse"] if isinstance(point.vector, dict) else None
    return vector.indices if isinstance(vector, models.SparseVector) else []
