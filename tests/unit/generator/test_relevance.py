"""Whether passages answer a question at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from passage_examples import passage

from rag_common.contracts import Leg, Passage, PassagesFound, SearchMode
from rag_generator.domain.relevance import is_relevant, strongest_evidence

MINILM = "all-minilm-l6-v2"
E5 = "multilingual-e5-small"
UNIT = 10.0
ENGLISH = "How many days of leave does everyone have?"
RUSSIAN = "Сколько дней отпуска у сотрудника?"
ENGLISH_TEXT = "Everyone has 28 days of leave, and it is granted by the office."
RUSSIAN_TEXT = "Отпуск каждого сотрудника длится 28 дней."
GERMAN_TEXT = "Der Urlaub dauert 28 Tage und wird von dem Büro nicht auf das Jahr verteilt."


def scored(text: str, **leg_scores: float) -> Passage:
    legs: dict[Leg, float] = {leg: leg_scores[leg] for leg in ("dense", "sparse") if leg in leg_scores}
    return passage(text).model_copy(update={"leg_scores": legs})


def found(
    *passages: Passage, mode: SearchMode = "hybrid", space: str | None = MINILM, unit: float | None = UNIT
) -> PassagesFound:
    return PassagesFound(query_id="q", passages=passages, mode=mode, space=space, bm25_unit=unit)


def test_nothing_found_is_not_relevant() -> None:
    assert not is_relevant(ENGLISH, found())


@pytest.mark.parametrize(
    ("dense", "sparse", "relevant"),
    [(0.62, 15.0, True), (0.3, 6.0, False), (0.2, 20.0, True), (0.7, 0.0, True), (0.3, 0.0, False)],
)
def test_both_signals_count_together(dense: float, sparse: float, relevant: bool) -> None:
    assert is_relevant(ENGLISH, found(scored(ENGLISH_TEXT, dense=dense, sparse=sparse))) is relevant


@pytest.mark.parametrize(
    ("question", "text"), [(ENGLISH, ENGLISH_TEXT), (RUSSIAN, RUSSIAN_TEXT), ("leave days", ENGLISH_TEXT)]
)
def test_words_alone_decide_without_the_dense_leg(question: str, text: str) -> None:
    assert is_relevant(question, found(scored(text, sparse=15.0), mode="sparse"))
    assert not is_relevant(question, found(scored(text, sparse=4.0), mode="sparse"))


def test_the_best_passage_decides() -> None:
    poor, good = scored(ENGLISH_TEXT, dense=0.1, sparse=1.0), scored(ENGLISH_TEXT, dense=0.7, sparse=15.0)

    assert is_relevant(ENGLISH, found(*[poor] * 9, good))


def test_cosines_of_another_model_mean_something_else() -> None:
    hits = scored(ENGLISH_TEXT, dense=0.81, sparse=4.0)

    assert is_relevant(ENGLISH, found(hits, space=MINILM))
    assert not is_relevant(ENGLISH, found(hits, space=E5))


@pytest.mark.parametrize(
    ("question", "text"), [(ENGLISH, RUSSIAN_TEXT), (RUSSIAN, ENGLISH_TEXT), (ENGLISH, GERMAN_TEXT)]
)
def test_across_languages_missing_words_prove_nothing(question: str, text: str) -> None:
    assert is_relevant(question, found(scored(text, dense=0.83), space=E5))
    assert not is_relevant(question, found(scored(text, dense=0.74), space=E5))


def test_a_passage_that_only_the_lexical_leg_proposed() -> None:
    assert not is_relevant(ENGLISH, found(scored(ENGLISH_TEXT, sparse=9.0), space=E5))
    assert is_relevant(ENGLISH, found(scored(ENGLISH_TEXT, sparse=15.0), space=E5))
    far = scored(ENGLISH_TEXT, dense=0.80, sparse=2.0)
    assert not is_relevant(ENGLISH, found(far, scored(RUSSIAN_TEXT, sparse=9.0), space=E5))


@pytest.mark.parametrize("space", [None, "a-space-of-ones-own", "bge-m3"])
def test_where_nothing_is_known_nothing_is_refused(space: str | None) -> None:
    assert is_relevant(ENGLISH, found(scored(RUSSIAN_TEXT, dense=0.01), space=space))
    assert is_relevant("Πόσες ημέρες άδειας;", found(scored(ENGLISH_TEXT, dense=0.01), space=space))
    assert is_relevant(ENGLISH, found(scored(ENGLISH_TEXT, dense=0.01), space=space, unit=None))


def test_words_are_known_in_any_space() -> None:
    assert not is_relevant(ENGLISH, found(scored(ENGLISH_TEXT, dense=0.9, sparse=1.0), space="bge-m3"))


def test_what_a_model_makes_of_passages_that_it_does_not_read_is_noise() -> None:
    """An English question that has no word in common with a Russian collection got Russian quotes."""
    hit = scored(RUSSIAN_TEXT, dense=0.9)

    assert not is_relevant(ENGLISH, found(hit))
    # a name or a number in common may mean something
    assert is_relevant(ENGLISH, found(hit, scored(RUSSIAN_TEXT, dense=0.01, sparse=2.0)))
    assert not is_relevant(ENGLISH, found(hit, scored(ENGLISH_TEXT, dense=0.3, sparse=5.0)))


def test_a_question_in_an_unknown_language_is_refused_only_when_far_from_everything() -> None:
    question = "Wie viele Tage Urlaub hat der Mitarbeiter und wer ist das?"

    assert is_relevant(question, found(scored(GERMAN_TEXT, dense=0.81, sparse=1.0), space=E5))
    assert not is_relevant(question, found(scored(GERMAN_TEXT, dense=0.75, sparse=1.0), space=E5))
    assert is_relevant(question, found(scored(GERMAN_TEXT, sparse=1.0), mode="sparse"))


SCORES = st.floats(-1, 1)


@given(
    question=st.text(max_size=80),
    texts=st.lists(st.text(max_size=200), max_size=4),
    dense=SCORES,
    sparse=st.floats(0, 1000),
    space=st.sampled_from([None, MINILM, E5, "bge-m3"]),
    unit=st.none() | st.floats(0.1, 100),
)
def test_more_of_either_score_never_makes_passages_less_relevant(
    question: str, texts: list[str], dense: float, sparse: float, space: str | None, unit: float | None
) -> None:
    weak = [scored(text, dense=dense, sparse=sparse) for text in texts]
    strong = [scored(text, dense=dense + 0.1, sparse=sparse + 1) for text in texts]

    before = is_relevant(question, found(*weak, space=space, unit=unit))

    assert not before or is_relevant(question, found(*strong, space=space, unit=unit))


def test_the_evidence_tells_its_signals() -> None:
    evidence = strongest_evidence(ENGLISH, found(scored(ENGLISH_TEXT, dense=0.62, sparse=15.0)))

    assert evidence is not None
    assert evidence.kind == "both"
    assert evidence.value == pytest.approx(2.5)
