import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_edge import Bm25, Bm25Config

from rag_retriever.adapters.sparse import AVERAGE_LENGTH, K1, B, Bm25Encoder

ENGLISH = ("en",)
ENCODER = Bm25Encoder()


def terms(text: str, languages: tuple[str, ...] = ENGLISH) -> set[int]:
    return set(ENCODER.encode_query(text, languages).indices.tolist())


def weights(text: str) -> dict[int, float]:
    (vector,) = ENCODER.encode_documents([text], ENGLISH)
    return dict(zip(vector.indices.tolist(), vector.values.tolist(), strict=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("running shoes", "run shoe"),
        ("договоры аренды", "договор аренда"),
        ("ещё ёлка", "еще елка"),
        ("Ёлки", "елка"),
        ("МОСКВА Paris", "москва paris"),
        ("全文検索", "検索"),
    ],
)
def test_forms_of_a_word_share_a_term(one: str, other: str) -> None:
    assert terms(one) & terms(other)
    assert terms(other) <= terms(one)


def test_each_run_has_the_stemmer_of_its_script() -> None:
    mixed = terms("Сервер NATS перезапускается при running migrations")
    assert terms("run migration серверы") <= mixed


def test_a_number_is_one_term_beside_every_script() -> None:
    number = terms("2024")
    assert len(number) == 1
    for text in ("in 2024", "в 2024 году", "2024年の検索"):
        assert number <= terms(text)


def test_words_of_different_scripts_do_not_collide() -> None:
    # the first three letters of each word look alike
    assert not terms("COP cop") & terms("СОР сор")


def test_a_question_of_stop_words_has_no_terms() -> None:
    assert len(ENCODER.encode_query("what is it and the", ENGLISH)) == 0
    assert len(ENCODER.encode_query("и в на", ENGLISH)) == 0
    assert len(ENCODER.encode_query("?!", ENGLISH)) == 0


def test_the_latin_stemmer_is_the_space_s_language() -> None:
    assert terms("Häuser", ("de",)) == terms("Haus", ("de",))
    assert terms("Häuser", ("de", "en")) != terms("Haus", ("de", "en"))
    assert terms("running", ("xx",)) == terms("runs", ("xx",))


def test_weights_of_one_script_are_those_of_the_engine() -> None:
    text = "the quick brown fox jumps over the lazy dog, and the dog sleeps; foxes run " * 3
    engine = Bm25(Bm25Config(language="english", k=K1, b=B, avg_len=AVERAGE_LENGTH)).embed_document(text)
    ours = weights(text)
    assert ours.keys() == set(engine.indices)
    for index, value in zip(engine.indices, engine.values, strict=True):
        assert ours[index] == pytest.approx(value, rel=1e-4)


def test_length_is_that_of_the_whole_text() -> None:
    """A word weighs the same whichever script its neighbours are written in."""
    (term,) = terms("server")
    english = "server " + "alpha beta gamma delta " * 10
    russian = "server " + "альфа бета гамма дельта " * 10
    assert weights(english)[term] == pytest.approx(weights(russian)[term])
    assert weights(russian)[term] < weights("server альфа")[term]


def test_a_frequent_term_keeps_its_count() -> None:
    (term,) = terms("cat")
    length_ratio = 900 / AVERAGE_LENGTH
    expected = 900 * (K1 + 1) / (900 + K1 * (1 - B + B * length_ratio))
    assert weights("cat " * 900)[term] == pytest.approx(expected, rel=1e-4)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_sorted_distinct_positive_weights(text: str) -> None:
    (vector,) = ENCODER.encode_documents([text], ENGLISH)
    assert (np.diff(vector.indices.astype(np.int64)) > 0).all()
    assert (vector.values > 0).all()
    assert np.isfinite(vector.values).all()
    assert set(ENCODER.encode_query(text, ENGLISH).indices.tolist()) == set(vector.indices.tolist())
