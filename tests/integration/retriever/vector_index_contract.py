"""What every vector index promises, stated once; each adapter's tests inherit it."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from rag_common.contracts import And, Eq, Exists, Filter, In, Not, Or, Range
from rag_retriever.domain.bm25_unit import Bm25Unit
from rag_retriever.domain.index import (
    GenerationKey,
    Hit,
    IndexRefused,
    Payload,
    Point,
    Scope,
    SearchSpec,
    SparseVector,
    VectorIndex,
    point_id,
    scope_filter,
)
from rag_retriever.domain.metadata import indexable

SPACE = "test-space"
DIMENSION = 8
DOCUMENTS = [str(uuid.UUID(int=number)) for number in range(1, 200)]
FILTERS: TypeAdapter[Filter] = TypeAdapter(Filter)
COMMON = 1_000_000
SHARED_TEST = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
"""The test empties the index by itself, and several adapters inherit it."""
TIMES = ("2024-01-01T00:00:00Z", "2024-06-01T12:00:00+03:00", "2025-03-01T00:00:00Z")


def direction(number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A unit vector; the nearer two numbers, the more alike their vectors."""
    angle = number / 20
    vector = np.zeros(DIMENSION, np.float32)
    vector[:2] = np.cos(angle), np.sin(angle)
    return vector


def terms(*indices: int) -> SparseVector:
    return SparseVector(np.array(sorted(indices), np.uint32), np.ones(len(indices), np.float32))


def make_point(number: int = 0, **changes: Any) -> Point:
    """Chunk ``number`` of the first document, with the terms ``number`` and ``COMMON``."""
    fields: dict[str, Any] = {
        "tenant": "acme",
        "collection_id": "handbook",
        "document_id": DOCUMENTS[0],
        "generation": 1,
        "no": number,
        "acl": ("*",),
        "meta": {},
    }
    fields |= changes
    identity = point_id(fields["document_id"], SPACE, fields["generation"], fields["no"])
    return Point(identity, direction(number), terms(number, COMMON), Payload(**fields))


def search(
    scope: Scope | None = None, *, dense: int | None = 0, sparse: int | None = COMMON, limit: int = 50
) -> SearchSpec:
    return SearchSpec(
        space=SPACE,
        scope=scope or scope_filter("acme", ["user:alice"]),
        limit=limit,
        dense=None if dense is None else direction(dense),
        sparse=None if sparse is None else terms(sparse),
    )


def keys(hits: Sequence[Hit]) -> list[tuple[int, int]]:
    """Position of the document in ``DOCUMENTS``, and chunk number."""
    return [(DOCUMENTS.index(hit.key.document_id), hit.key.no) for hit in hits]


async def found(index: VectorIndex, spec: SearchSpec) -> set[tuple[int, int]]:
    return set(keys((await index.query_batch([spec]))[0]))


async def matching(index: VectorIndex, condition: Filter) -> set[int]:
    """Documents that pass a metadata filter, in every mode alike."""
    scope = scope_filter("acme", ["user:alice"], (), condition)
    per_mode = [
        {document for document, _ in await found(index, spec)}
        for spec in (search(scope), search(scope, dense=None), search(scope, sparse=None))
    ]
    assert per_mode[0] == per_mode[1] == per_mode[2]
    return per_mode[0]


def values_at(metadata: Any, path: str) -> list[Any]:
    """The values that a field's conditions are tried on: an array's elements, or the value itself."""
    for name in path.split("."):
        if not isinstance(metadata, dict) or name not in metadata:
            return []
        metadata = metadata[name]
    return metadata if isinstance(metadata, list) else [metadata]


def same(value: Any, wanted: bool | int | str) -> bool:
    """JSON equality: ``true`` is not 1, ``5.0`` is 5."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, int | float) and isinstance(wanted, int):
        return bool(value == wanted)
    return isinstance(value, str) and value == wanted


def within(value: Any, node: Range) -> bool:
    tests = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}
    bounds = node.bounds
    if any(isinstance(bound, datetime) for bound in bounds.values()):
        if not isinstance(value, str) or value not in TIMES:
            return False
        value = datetime.fromisoformat(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return False
    else:
        value = float(value)
    return all(getattr(value, tests[name])(bound) for name, bound in bounds.items())


def evaluate(node: Filter, metadata: Any) -> bool:
    """The filter language as one reads it: the oracle of the property test."""
    match node:
        case And():
            return all(evaluate(child, metadata) for child in node.filters)
        case Or():
            return any(evaluate(child, metadata) for child in node.filters)
        case Not():
            return not evaluate(node.filter, metadata)
        case Eq():
            return any(same(value, node.value) for value in values_at(metadata, node.field))
        case In():
            return any(
                same(value, wanted) for value in values_at(metadata, node.field) for wanted in node.values
            )
        case Exists():
            return any(value is not None for value in values_at(metadata, node.field))
        case Range():
            return any(within(value, node) for value in values_at(metadata, node.field))


numbers = st.integers(-3, 3)
words = st.sampled_from(["", "ru", "en", "Ё", "a.b", *TIMES])
scalars = st.one_of(numbers, st.sampled_from([0.5, 1.0, -2.0, 2.5, 10**30]), st.booleans(), words)
members = st.one_of(scalars, st.none(), st.lists(scalars, max_size=3))
metadatas = st.dictionaries(
    st.sampled_from(["a", "b-c", "_d"]),
    st.one_of(members, st.dictionaries(st.sampled_from(["x", "y"]), members, max_size=2)),
    max_size=3,
)
fields = st.sampled_from(["a", "b-c", "_d", "a.x", "b-c.y", "absent"])
bounds = st.sampled_from(["gt", "gte", "lt", "lte"])
ranges = st.builds(
    lambda field, limits: Range(field=field, **limits),
    fields,
    st.one_of(
        st.dictionaries(
            bounds, st.one_of(numbers.map(float), st.sampled_from([0.5, 2.5])), min_size=1, max_size=2
        ),
        st.dictionaries(bounds, st.sampled_from(TIMES).map(datetime.fromisoformat), min_size=1, max_size=2),
    ),
)
leaves = st.one_of(
    st.builds(Eq, field=fields, value=st.one_of(numbers, st.booleans(), words, st.just(2**63 - 1))),
    st.builds(
        In, field=fields, values=st.lists(st.one_of(numbers, words), min_size=1, max_size=3).map(tuple)
    ),
    st.builds(Exists, field=fields),
    ranges,
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda nodes: And(filters=tuple(nodes)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda nodes: Or(filters=tuple(nodes)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda node: Not(filter=node), inner),
    ),
    max_leaves=6,
)


class VectorIndexContract:
    """Subclasses give an ``index`` fixture: an empty index in which ``SPACE`` exists."""

    @pytest.fixture
    async def index(self) -> VectorIndex:
        raise NotImplementedError

    async def test_a_written_point_is_found_by_either_leg(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(1), make_point(2)])
        hybrid, dense, sparse = await index.query_batch(
            [search(dense=1, sparse=2), search(dense=1, sparse=None), search(dense=None, sparse=2)]
        )
        assert keys(dense) == [(0, 1), (0, 2)]
        assert dense[0].score == pytest.approx(1.0, abs=1e-3)
        assert [hit.ranks for hit in dense] == [{"dense": 1}, {"dense": 2}]
        assert keys(sparse) == [(0, 2)]
        assert sparse[0].ranks == {"sparse": 1}
        assert {hit.key.no: hit.ranks for hit in hybrid} == {1: {"dense": 1}, 2: {"dense": 2, "sparse": 1}}
        assert [hit.score for hit in hybrid] == pytest.approx([0.5, 0.5])

    async def test_a_hit_has_the_own_score_of_each_leg(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(1), make_point(2), make_point(15)])
        hybrid, dense, sparse = await index.query_batch(
            [search(dense=1, sparse=2), search(dense=1, sparse=None), search(dense=None, sparse=2)]
        )
        cosines = {no: float(direction(1) @ direction(no)) for no in (1, 2, 15)}
        assert {hit.key.no: hit.leg_scores for hit in dense} == {
            no: {"dense": pytest.approx(cosine, abs=1e-3)} for no, cosine in cosines.items()
        }
        bm25 = sparse[0].score
        assert bm25 > 0
        assert sparse[0].leg_scores == {"sparse": bm25}
        assert {hit.key.no: hit.leg_scores for hit in hybrid} == {
            1: {"dense": pytest.approx(cosines[1], abs=1e-3)},
            2: {"dense": pytest.approx(cosines[2], abs=1e-3), "sparse": pytest.approx(bm25)},
            15: {"dense": pytest.approx(cosines[15], abs=1e-3)},
        }

    async def test_the_lexical_leg_counts_as_much_as_it_can_match(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(1), make_point(2)])
        (hits,) = await index.query_batch([replace(search(dense=1), sparse=terms(2, 998, 999))])
        assert keys(hits) == [(0, 1), (0, 2)]
        assert [hit.score for hit in hits] == pytest.approx([2 / 3, 1 / 3])

    async def test_a_rare_term_weighs_more_than_a_common_one(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(number) for number in range(10)])
        spec = SearchSpec(SPACE, scope_filter("acme", ["user:alice"]), 10, sparse=terms(7, COMMON))
        (hits,) = await index.query_batch([spec])
        assert hits[0].key.no == 7
        assert hits[0].score > 2 * hits[1].score

    async def test_a_term_of_one_chunk_scores_one_unit(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(number) for number in range(12)])
        ((hit,),) = await index.query_batch([search(dense=None, sparse=7)])
        assert hit.score == pytest.approx(await Bm25Unit(index.count)(SPACE, 1), rel=1e-4)

    async def test_a_point_without_terms_is_written_and_found_densely(self, index: VectorIndex) -> None:
        point = make_point(1)
        await index.upsert(SPACE, [Point(point.id, point.dense, terms(), point.payload)])
        assert await found(index, search(sparse=None)) == {(0, 1)}
        assert await found(index, search(dense=None)) == set()

    async def test_no_more_than_limit(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(number) for number in range(9)])
        (hits,) = await index.query_batch([search(dense=4, limit=3)])
        assert len(hits) == 3

    async def test_a_batch_answers_in_its_order(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(number) for number in range(16)])
        specs = [search(dense=number, sparse=None, limit=1) for number in reversed(range(16))]
        assert [hits[0].key.no for hits in await index.query_batch(specs)] == list(reversed(range(16)))

    async def test_a_search_without_a_leg_finds_nothing(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(1)])
        assert await index.query_batch([search(dense=None, sparse=None)]) == [[]]

    async def test_tenants_do_not_see_each_other(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(1), make_point(2, tenant="other", document_id=DOCUMENTS[1])])
        assert await found(index, search()) == {(0, 1)}
        assert await found(index, search(scope_filter("other", ["user:alice"]))) == {(1, 2)}
        assert await found(index, search(scope_filter("nobody", ["user:alice"]))) == set()

    async def test_only_admitted_principals_find_a_point(self, index: VectorIndex) -> None:
        await index.upsert(
            SPACE,
            [
                make_point(1, acl=("user:alice",)),
                make_point(2, acl=("group:hr", "user:bob")),
                make_point(3, acl=("*",)),
            ],
        )
        assert await found(index, search(scope_filter("acme", ["user:alice"]))) == {(0, 1), (0, 3)}
        assert await found(index, search(scope_filter("acme", ["user:eve", "group:hr"]))) == {(0, 2), (0, 3)}
        assert await found(index, search(scope_filter("acme", ["*"]))) == {(0, 3)}

    async def test_named_collections_only(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(n, collection_id=f"c{n}") for n in range(3)])
        assert await found(index, search(scope_filter("acme", ["user:alice"], ["c0", "c2"]))) == {
            (0, 0),
            (0, 2),
        }
        assert len(await found(index, search())) == 3

    async def test_writing_twice_is_writing_once(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(1, meta={"old": 1}), make_point(2)])
        await index.upsert(SPACE, [make_point(1, meta={"new": 1})])
        assert await index.count(SPACE) == 2
        assert await matching(index, Exists(field="old")) == set()
        assert await matching(index, Exists(field="new")) == {0}

    async def test_set_access_replaces_the_filter_fields_of_one_document(self, index: VectorIndex) -> None:
        await index.upsert(
            SPACE,
            [
                make_point(1, meta={"gone": 1, "kept": 1}),
                make_point(2, generation=2),
                make_point(3, document_id=DOCUMENTS[1], meta={"gone": 1}),
            ],
        )
        await index.set_access(
            SPACE, "acme", DOCUMENTS[0], collection_id="moved", acl=("group:hr",), meta={"kept": 2}
        )
        assert await found(index, search()) == {(1, 3)}
        assert await found(index, search(scope_filter("acme", ["group:hr"], ["moved"]))) == {(0, 1), (0, 2)}
        hr = scope_filter("acme", ["group:hr"], ["moved"], Exists(field="gone"))
        assert await found(index, search(hr)) == set()

    async def test_delete_points(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(1), make_point(2)])
        await index.delete_points(SPACE, [make_point(1).id, make_point(9).id])
        assert await found(index, search()) == {(0, 2)}

    async def test_delete_named_generations_or_all(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(n, generation=n) for n in (1, 2, 3)])
        await index.upsert(SPACE, [make_point(5, document_id=DOCUMENTS[1])])
        await index.delete_document(SPACE, "other", DOCUMENTS[0])
        assert await index.count_document(SPACE, "acme", DOCUMENTS[0]) == 3
        await index.delete_document(SPACE, "acme", DOCUMENTS[0], (1, 3))
        assert await index.count_document(SPACE, "acme", DOCUMENTS[0]) == 1
        assert await index.count_document(SPACE, "acme", DOCUMENTS[0], (1, 3)) == 0
        await index.delete_document(SPACE, "acme", DOCUMENTS[0])
        assert await index.count_document(SPACE, "acme", DOCUMENTS[0]) == 0
        assert await index.count(SPACE) == 1

    async def test_generations_are_counted_over_several_pages(self, index: VectorIndex) -> None:
        await index.upsert(SPACE, [make_point(number) for number in range(1100)])
        await index.upsert(SPACE, [make_point(1, generation=2), make_point(1, document_id=DOCUMENTS[1])])
        assert await index.generations(SPACE) == {
            GenerationKey("acme", DOCUMENTS[0], 1): 1100,
            GenerationKey("acme", DOCUMENTS[0], 2): 1,
            GenerationKey("acme", DOCUMENTS[1], 1): 1,
        }

    async def test_a_space_that_does_not_exist_is_empty(self, index: VectorIndex) -> None:
        spec = SearchSpec("absent", scope_filter("acme", ["*"]), 5, dense=direction(0))
        assert await index.query_batch([spec, search()]) == [[], []]
        assert await index.count("absent") == 0
        assert await index.generations("absent") == {}
        await index.delete_document("absent", "acme", DOCUMENTS[0])
        await index.delete_points("absent", [make_point(0).id])
        assert await index.spaces() == (SPACE,)

    async def test_a_space_keeps_its_dimension(self, index: VectorIndex) -> None:
        await index.ensure_space(SPACE, DIMENSION)
        with pytest.raises(IndexRefused):
            await index.ensure_space(SPACE, DIMENSION + 1)

    async def test_an_index_belongs_to_one_installation(self, index: VectorIndex) -> None:
        await index.claim("one")
        await index.claim("one")
        with pytest.raises(IndexRefused, match="one"):
            await index.claim("two")

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ({"op": "eq", "field": "lang", "value": "ru"}, {0, 3}),
            ({"op": "eq", "field": "pages", "value": 5}, {0, 1}),
            ({"op": "eq", "field": "final", "value": True}, {1}),
            ({"op": "eq", "field": "author.name", "value": "Ann"}, {2}),
            ({"op": "in", "field": "lang", "values": ["ru", "en"]}, {0, 1, 3}),
            ({"op": "in", "field": "pages", "values": [9, 5, "x"]}, {0, 1, 2}),
            ({"op": "range", "field": "pages", "gt": 5, "lte": 9}, {2}),
            (
                {"op": "range", "field": "day", "gte": "2024-01-01T00:00:00Z", "lt": "2025-01-01T00:00:00Z"},
                {1},
            ),
            ({"op": "exists", "field": "lang"}, {0, 1, 3}),
            ({"op": "not", "filter": {"op": "exists", "field": "lang"}}, {2, 4}),
            (
                {
                    "op": "and",
                    "filters": [
                        {"op": "eq", "field": "lang", "value": "ru"},
                        {"op": "exists", "field": "pages"},
                    ],
                },
                {0},
            ),
            (
                {
                    "op": "or",
                    "filters": [
                        {"op": "eq", "field": "lang", "value": "en"},
                        {"op": "range", "field": "pages", "gte": 9},
                    ],
                },
                {1, 2},
            ),
            ({"op": "eq", "field": "big", "value": 2**63 - 1}, {3}),
            ({"op": "range", "field": "huge", "gte": 1e30}, {3}),
        ],
    )
    async def test_each_operator(self, index: VectorIndex, condition: Any, expected: set[int]) -> None:
        metadata: list[dict[str, Any]] = [
            {"lang": "ru", "pages": 5},
            {"lang": "en", "pages": 5.0, "final": True, "day": "2024-06-01T12:00:00+03:00"},
            {"pages": 9, "author": {"name": "Ann"}, "day": "2025-01-01T00:00:00Z", "lang": None},
            {"lang": ["ru", "de"], "big": 2**63 - 1, "huge": 10**30},
            {"lang": [], "final": 1},
        ]
        await index.upsert(
            SPACE,
            [
                make_point(n, document_id=DOCUMENTS[n], meta=indexable(meta))
                for n, meta in enumerate(metadata)
            ],
        )
        assert await matching(index, FILTERS.validate_python(condition)) == expected

    @settings(max_examples=20, deadline=None, suppress_health_check=SHARED_TEST)
    @given(
        metadata=st.lists(metadatas, min_size=1, max_size=12),
        tried=st.lists(conditions, min_size=1, max_size=6),
    )
    async def test_a_filter_finds_what_reading_it_says(
        self, index: VectorIndex, metadata: list[dict[str, Any]], tried: list[Filter]
    ) -> None:
        for document in DOCUMENTS[:12]:
            await index.delete_document(SPACE, "acme", document)
        await index.upsert(
            SPACE,
            [
                make_point(n, document_id=DOCUMENTS[n], meta=indexable(meta))
                for n, meta in enumerate(metadata)
            ],
        )
        for condition in tried:
            expected = {n for n, meta in enumerate(metadata) if evaluate(condition, indexable(meta))}
            assert await matching(index, condition) == expected, condition
