import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_common.contracts import Leg, SearchMode
from rag_common.languages import reads, script_of
from rag_retriever.domain.fusion import FULL_COVERAGE, fuse, term_coverage
from rag_retriever.domain.index import ChunkKey, point_id, scope_filter
from rag_retriever.domain.legs import choose_legs
from rag_retriever.domain.metadata import indexable

DOCUMENT = str(uuid.UUID(int=1))


def key(no: int) -> ChunkKey:
    return ChunkKey(DOCUMENT, 1, no)


@pytest.mark.parametrize(
    ("mode", "question", "languages", "has_terms", "legs"),
    [
        ("hybrid", "How do I rotate the keys?", ("en",), True, ("dense", "sparse")),
        ("hybrid", "Как сменить ключи?", ("en",), True, ("sparse",)),
        ("hybrid", "Как сменить ключи?", ("en", "ru"), True, ("dense", "sparse")),
        ("hybrid", "Как сменить ключи?", ("*",), True, ("dense", "sparse")),
        ("hybrid", "Что такое NATS?", ("en",), True, ("sparse",)),
        ("hybrid", "what is it", ("en",), False, ("dense",)),
        ("hybrid", "что это", ("en",), False, ("sparse",)),
        ("hybrid", "404", ("en",), True, ("dense", "sparse")),
        ("dense", "Как сменить ключи?", ("en",), True, ("dense",)),
        ("sparse", "How do I rotate the keys?", ("en",), True, ("sparse",)),
    ],
)
def test_a_leg_takes_part_where_it_can_know_something(
    mode: SearchMode, question: str, languages: tuple[str, ...], has_terms: bool, legs: tuple[Leg, ...]
) -> None:
    assert choose_legs(mode, question, languages, has_terms=has_terms) == legs


def test_a_russian_model_does_not_read_latin_script() -> None:
    assert not reads(("ru",), "How do I rotate the keys?")
    assert reads(("ru",), "Как?")
    assert reads(("de",), "Wie?")
    assert not reads(("en",), "全文検索")


def test_script_of_most_letters() -> None:
    assert script_of("NATS и JetStream") == "LATIN"
    assert script_of("перезапуск NATS") == "CYRILLIC"
    assert script_of("12 + 7") is None


DENSE = [(key(1), 0.9), (key(2), 0.85), (key(4), 0.8)]
SPARSE = [(key(2), 8.0), (key(3), 6.0)]


def test_fusion_adds_the_shares_of_the_legs() -> None:
    hits = fuse({"dense": DENSE, "sparse": SPARSE}, limit=10)
    assert [hit.key.no for hit in hits] == [2, 1, 3, 4]
    assert hits[0].ranks == {"dense": 2, "sparse": 1}
    assert [hit.leg_scores for hit in hits] == [
        {"dense": 0.85, "sparse": 8.0},
        {"dense": 0.9},
        {"sparse": 6.0},
        {"dense": 0.8},
    ]
    assert [hit.score for hit in hits] == pytest.approx([(0.5 + 1) / 2, 1 / 2, 0.75 / 2, 0])


def test_the_lexical_leg_counts_as_much_as_it_can_match() -> None:
    hits = fuse({"dense": DENSE, "sparse": SPARSE}, limit=10, coverage=0.1 * FULL_COVERAGE)
    assert [hit.key.no for hit in hits] == [1, 2, 3, 4]
    assert [hit.score for hit in hits] == pytest.approx([1 / 1.1, 0.6 / 1.1, 0.075 / 1.1, 0])


def test_coverage_is_the_share_of_the_best_hit() -> None:
    assert term_coverage([1, 2, 3, 4], [[1, 9], [2, 3, 4, 7], [1, 2]]) == 0.75
    assert term_coverage([1, 2], []) == 0
    assert term_coverage([], [[1]]) == 0


legs = st.lists(st.floats(-1, 30, allow_nan=False), max_size=12).map(
    lambda scores: [(key(no), score) for no, score in enumerate(sorted(scores, reverse=True))]
)


@given(dense=legs, sparse=legs, coverage=st.floats(0, 1), limit=st.integers(1, 15))
def test_fused_scores_are_shares_and_descend(
    dense: list[tuple[ChunkKey, float]], sparse: list[tuple[ChunkKey, float]], coverage: float, limit: int
) -> None:
    lexical = [(found, abs(score)) for found, score in reversed(sparse)]
    lexical.sort(key=lambda scored: -scored[1])
    hits = fuse({"dense": dense, "sparse": lexical}, limit, coverage=coverage)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in scores)
    assert len(hits) == min(limit, max(len(dense), len(lexical)))


def test_one_hit_of_a_leg_is_its_best() -> None:
    assert [hit.score for hit in fuse({"dense": [(key(1), 0.2)], "sparse": []}, limit=3, coverage=0)] == [1]


def test_equal_scores_are_ordered_by_chunk() -> None:
    hits = fuse({"dense": [(key(9), 0.9)], "sparse": [(key(2), 7.0)]}, limit=1)
    assert [hit.key.no for hit in hits] == [2]


def test_one_leg_keeps_its_scores() -> None:
    hits = fuse({"sparse": [(key(5), 7.0), (key(1), 5.0)]}, limit=1)
    assert [(hit.key.no, hit.score, hit.ranks) for hit in hits] == [(5, 7.0, {"sparse": 1})]
    assert hits[0].leg_scores == {"sparse": 7.0}
    assert fuse({}, limit=3) == []


def test_there_is_no_scope_without_tenant_and_principals() -> None:
    with pytest.raises(ValueError, match="tenant"):
        scope_filter("", ["user:alice"])
    with pytest.raises(ValueError, match="principal"):
        scope_filter("acme", [])
    scope = scope_filter("acme", ["user:alice", "user:alice"], ["b", "a"])
    assert scope.principals == ("*", "user:alice")
    assert scope.collections == ("a", "b")


def test_a_chunk_always_has_the_same_point() -> None:
    assert point_id(DOCUMENT, "s", 1, 2) == uuid.uuid5(uuid.UUID(DOCUMENT), "s:1:2")
    points = {
        point_id(DOCUMENT, space, generation, no) for space in "ab" for generation in (1, 2) for no in (1, 2)
    }
    assert len(points) == 8


def test_equal_numbers_look_equal_in_the_index() -> None:
    metadata: dict[str, Any] = {
        "a": 5.0,
        "b": [1.0, 2.5, True],
        "c": {"d": 10**30, "e": -(10**400)},
        "f": 1e300,
        "g": None,
    }
    assert indexable(metadata) == {
        "a": 5,
        "b": [1, 2.5, True],
        "c": {"d": 1e30, "e": -1.7976931348623157e308},
        "f": 1e300,
        "g": None,
    }
    assert isinstance(indexable(metadata)["a"], int)
    assert isinstance(indexable({"a": 10**30})["a"], float)
