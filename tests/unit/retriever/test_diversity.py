import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_retriever.domain.diversity import LexicalSimilarity, diversified

KEYS = "the signing keys are rotated by the duty officer every quarter"
AGAIN = "every quarter the duty officer rotates the signing keys"
LUNCH = "lunch is served in the canteen from noon on Fridays"
ОТПУСК = "отпуск предоставляется работникам по графику, утверждённому начальником"
ОТПУСКА = "график отпусков работников утверждается начальником"


def test_what_repeats_the_best_goes_behind() -> None:
    texts = [KEYS, AGAIN, LUNCH]
    assert diversified(texts, [0.9, 0.8, 0.3], 0.0) == [0, 1, 2]
    assert diversified(texts, [0.9, 0.8, 0.3], 0.7) == [0, 2, 1]
    assert diversified(texts, [0.3, 0.8, 0.9], 1.0) == [2, 0, 1]


@pytest.mark.parametrize("scale", [0.001, 1, 1000])
def test_the_scale_of_the_scores_does_not_matter(scale: float) -> None:
    scores = [scale * score - 7 * scale for score in (0.9, 0.8, 0.3)]
    assert diversified([KEYS, AGAIN, LUNCH], scores, 0.2) == [0, 1, 2]
    assert diversified([KEYS, AGAIN, LUNCH], scores, 0.7) == [0, 2, 1]


def test_equal_scores_and_few_texts() -> None:
    assert diversified([KEYS, AGAIN, LUNCH], [1.0, 1.0, 1.0], 0.5) == [0, 2, 1]
    assert diversified([KEYS], [0.0], 0.5) == [0]
    assert diversified([], [], 0.5) == []
    assert diversified(["", "", "a"], [3.0, 2.0, 1.0], 0.5) == [0, 1, 2]


def test_similarity_sees_words_not_their_endings() -> None:
    to_first = LexicalSimilarity([KEYS, AGAIN, LUNCH]).of(0)
    assert to_first[0] == pytest.approx(1)
    assert to_first[1] > 0.7
    assert to_first[2] == 0
    assert LexicalSimilarity([ОТПУСК, ОТПУСКА, LUNCH]).of(1)[0] > 0.5


@given(st.lists(st.tuples(st.text("abcd ", max_size=30), st.integers(-9, 9)), max_size=12), st.floats(0, 1))
def test_every_text_has_one_place_and_the_best_is_first(
    texts: list[tuple[str, int]], diversity: float
) -> None:
    scores = [score for _, score in texts]
    order = diversified([text for text, _ in texts], scores, diversity)
    assert sorted(order) == list(range(len(texts)))
    if texts:
        assert scores[order[0]] == max(scores)
