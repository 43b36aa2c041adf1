"""Qdrant Edge shards of one directory, synchronously: what :class:`EdgeIndex` runs in its thread."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import qdrant_edge as edge
from pydantic import JsonValue

from rag_retriever.adapters.conditions import document_condition, scope_condition
from rag_retriever.adapters.edge_dialect import EdgeDialect
from rag_retriever.adapters.payloads import (
    GENERATION_FIELDS,
    KEY_FIELDS,
    chunk_key,
    generation_key,
    to_object,
)
from rag_retriever.adapters.planning import Answers, LegQuery, plan
from rag_retriever.domain.fusion import COVERAGE_HITS
from rag_retriever.domain.index import (
    GenerationKey,
    Hit,
    IndexFault,
    IndexRefused,
    IndexUnavailable,
    Point,
    Scope,
    SearchSpec,
    SparseVector,
)

_SPACE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DIALECT = EdgeDialect()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # qdrant_edge raises nothing narrower; the text tells the kinds apart
        if type(error) is not Exception:
            raise
        if str(error).startswith("Service runtime error"):
            raise IndexUnavailable(f"the index cannot be used: {error}") from error
        if str(error).startswith("Vector dimension error"):
            raise IndexRefused(f"the vectors are of another model than the space's: {error}") from error
        raise IndexFault(str(error)) from error


def _payload_indexes() -> dict[str, edge.PayloadSchemaType | edge.KeywordIndexParams]:
    keyword = edge.PayloadSchemaType.Keyword
    return {
        "tenant": edge.KeywordIndexParams(is_tenant=True),
        "collection_id": keyword,
        "acl": keyword,
        "document_id": keyword,
        "generation": edge.PayloadSchemaType.Integer,
    }


class EdgeShards:
    """One shard per space in ``<directory>/spaces``; ``<directory>/installation`` says whose they are."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._shards: dict[str, edge.EdgeShard] = {}

    def load(self) -> None:
        """Open every space. :raises IndexUnavailable: another process holds one."""
        spaces = self._directory / "spaces"
        spaces.mkdir(parents=True, exist_ok=True)
        for path in sorted(spaces.iterdir()):
            with _translated():
                self._shards[path.name] = edge.EdgeShard.load(str(path))

    def claim(self, installation_id: str) -> None:
        stamp = self._directory / "installation"
        if stamp.exists():
            found = stamp.read_text().strip()
            if found != installation_id:
                raise IndexRefused(
                    f"the index in {self._directory} belongs to installation {found}, the registry to "
                    f"{installation_id}: one of the two addresses is wrong"
                )
        elif self._shards:
            raise IndexRefused(f"the index in {self._directory} names no installation, but has spaces")
        else:
            draft = stamp.with_suffix(".new")
            draft.write_text(installation_id)
            draft.replace(stamp)

    def names(self) -> tuple[str, ...]:
        return tuple(self._shards)

    def ensure_space(self, space: str, dimension: int) -> None:
        if not _SPACE.fullmatch(space):
            raise IndexRefused(f"not a space name: {space!r}")
        with _translated():
            if space not in self._shards:
                self._shards[space] = self._create(space, dimension)
            probe = edge.Query.Nearest([1.0] * dimension, using="dense")
            self._shards[space].query(edge.QueryRequest(limit=1, query=probe))

    def _create(self, space: str, dimension: int) -> edge.EdgeShard:
        """Built aside and then moved into place, so that a kill leaves no half-made space."""
        draft, final = self._directory / "draft", self._directory / "spaces" / space
        shutil.rmtree(draft, ignore_errors=True)
        shard = edge.EdgeShard.create(
            str(draft),
            edge.EdgeConfig(
                vectors={"dense": edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Cosine)},
                sparse_vectors={"sparse": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
            ),
        )
        for field, schema in _payload_indexes().items():
            shard.update(edge.UpdateOperation.create_field_index(field, schema))
        shard.close()
        draft.replace(final)
        return edge.EdgeShard.load(str(final))

    def upsert(self, space: str, points: Sequence[Point]) -> None:
        if space not in self._shards:
            raise IndexFault(f"there is no space {space!r}")
        self._update(space, edge.UpdateOperation.upsert_points([_edge_point(point) for point in points]))

    def set_access(
        self,
        space: str,
        tenant: str,
        document_id: str,
        collection_id: str,
        acl: tuple[str, ...],
        meta: Mapping[str, JsonValue],
    ) -> None:
        chosen = _document(tenant, document_id, ())
        payload = {"collection_id": collection_id, "acl": list(acl), "meta": dict(meta)}
        self._update(space, edge.UpdateOperation.set_payload_by_filter(chosen, payload))

    def delete_points(self, space: str, ids: Sequence[UUID]) -> None:
        self._update(space, edge.UpdateOperation.delete_points(list(ids)))

    def delete_document(
        self, space: str, tenant: str, document_id: str, generations: tuple[int, ...]
    ) -> None:
        chosen = _document(tenant, document_id, generations)
        self._update(space, edge.UpdateOperation.delete_points_by_filter(chosen))

    def _update(self, space: str, operation: edge.UpdateOperation) -> None:
        shard = self._shards.get(space)
        if shard is not None:
            with _translated():
                shard.update(operation)

    def count_document(self, space: str, tenant: str, document_id: str, generations: tuple[int, ...]) -> int:
        return self._count(space, _document(tenant, document_id, generations))

    def count(self, space: str) -> int:
        return self._count(space, None)

    def _count(self, space: str, chosen: edge.Filter | None) -> int:
        shard = self._shards.get(space)
        if shard is None:
            return 0
        with _translated():
            return shard.count(edge.CountRequest(exact=True, filter=chosen))

    def scroll(
        self, space: str, offset: "edge.PointId | None", limit: int
    ) -> "tuple[list[GenerationKey], edge.PointId | None]":
        """Up to ``limit`` points' generations, and where to go on; ``None`` at the end."""
        shard = self._shards.get(space)
        if shard is None:
            return [], None
        with _translated():
            records, following = shard.scroll(
                edge.ScrollRequest(
                    offset=offset, limit=limit, with_payload=GENERATION_FIELDS, with_vector=False
                )
            )
        return [generation_key(record.payload) for record in records], following

    def query_batch(self, specs: Sequence[SearchSpec]) -> list[list[Hit]]:
        answers = Answers(specs)
        for space, queries in plan(specs).items():
            shard = self._shards.get(space)
            if shard is None:
                continue
            scopes = {query.spec.scope: _scope(query.spec.scope) for query in queries}
            batch = edge.QueryBatchRequest([_request(query, scopes[query.spec.scope]) for query in queries])
            with _translated():
                found = shard.query_batch(batch)
            for query, points in zip(queries, found, strict=True):
                hits = [(chunk_key(point.payload), point.score) for point in points]
                answers.add(query, hits, map(_terms, points[:COVERAGE_HITS]) if query.with_terms else ())
        return answers.fused()

    def flush(self) -> None:
        for shard in self._shards.values():
            with _translated():
                shard.flush()

    def close(self) -> None:
        """Idempotent."""
        while self._shards:
            _, shard = self._shards.popitem()
            with _translated():
                shard.close()


def _edge_point(point: Point) -> edge.Point:
    return edge.Point(
        id=point.id,
        vector={"dense": point.dense, "sparse": _sparse(point.sparse)},  # type: ignore[dict-item]  # takes numpy arrays too
        payload=to_object(point.payload),
    )


def _sparse(vector: SparseVector) -> edge.SparseVector:
    return edge.SparseVector(vector.indices.tolist(), vector.values.tolist())


def _document(tenant: str, document_id: str, generations: tuple[int, ...]) -> edge.Filter:
    return edge.Filter(must=[document_condition(_DIALECT, tenant, document_id, generations)])


def _scope(scope: Scope) -> edge.Filter:
    return edge.Filter(must=[scope_condition(_DIALECT, scope)])


def _request(query: LegQuery, scope: edge.Filter) -> edge.QueryRequest:
    spec = query.spec
    if query.leg == "dense" and spec.dense is not None:
        nearest = edge.Query.Nearest(spec.dense.tolist(), using="dense")
    elif query.leg == "sparse" and spec.sparse is not None:
        nearest = edge.Query.Nearest(_sparse(spec.sparse), using="sparse")
    else:
        raise ValueError(f"the search has no {query.leg} vector")
    return edge.QueryRequest(
        limit=spec.limit,
        query=nearest,
        filter=scope,
        with_payload=KEY_FIELDS,
        with_vector=["sparse"] if query.with_terms else False,
    )


def _terms(point: edge.ScoredPoint) -> list[int]:
    vector = point.vector["sparse"] if isinstance(point.vector, dict) else None
    return vector.indices if isinstance(vector, edge.SparseVector) else []
