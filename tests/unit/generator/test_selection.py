"""Which passages a prompt has room for."""

from hypothesis import given
from hypothesis import strategies as st
from passage_examples import passage

from rag_common.contracts import Passage
from rag_generator.domain.selection import SHORTEST, choose, in_reading_order

SENTENCE = "This sentence has exactly fifty characters in all."


def cost(found: Passage) -> int:
    return 10 + len(found.text)


def words(count: int) -> str:
    return " ".join(["word"] * count)


def test_what_fits_is_chosen_and_what_does_not_is_skipped() -> None:
    found = [passage(words(n), str(n)) for n in (20, 100, 10, 30)]

    chosen = choose(found, cost(found[0]) + cost(found[2]) + 5, cost)

    assert chosen == (found[0], found[2])


def test_the_first_one_is_cut_at_the_end_of_a_sentence() -> None:
    found = passage(" ".join([SENTENCE] * 5), start=700)

    (cut,) = choose([found], 10 + 2 * len(SENTENCE) + 30, cost)

    assert cut.text == f"{SENTENCE} {SENTENCE}"
    assert (cut.start, cut.end) == (700, 700 + len(cut.text))


def test_where_no_sentence_fits_it_is_cut_at_the_end_of_a_word() -> None:
    (cut,) = choose([passage(words(100))], 10 + 58, cost)

    assert cut.text == words(11)


def test_where_no_word_fits_it_is_cut_anywhere() -> None:
    (cut,) = choose([passage("ы" * 500)], 10 + 58, cost)

    assert cut.text == "ы" * 58


def test_nothing_is_chosen_where_too_little_would_be_left() -> None:
    assert choose([passage(words(100))], 10 + SHORTEST - 2, cost) == ()
    assert choose([passage(words(100))], -100, cost) == ()
    assert choose([], 1000, cost) == ()


def test_of_long_passages_no_more_is_weighed_than_the_budget_takes() -> None:
    weighed: list[int] = []

    def tokens(found: Passage) -> int:
        weighed.append(len(found.text))
        return 10 + len(found.text) // 4

    found = [passage(words(60)), *(passage(words(4000), str(no)) for no in range(30))]

    assert choose(found, tokens(found[0]) + 50, tokens) == (found[0],)
    assert sum(weighed) <= 2 * len(found[0].text) + 31 * 8 * 50


def test_a_long_passage_of_little_weight_is_chosen() -> None:
    found = [passage("word"), passage(" " * 9000 + "word", "2")]

    assert choose(found, 40, lambda part: len(part.text.strip())) == tuple(found)


def test_documents_come_by_their_best_passage_and_each_from_its_beginning() -> None:
    late, other, early, last = (
        passage("late", "b", 900),
        passage("other", "a", 50),
        passage("early", "b", 100),
        passage("last", "c", 0),
    )

    assert in_reading_order([late, other, early, last]) == (early, late, other, last)


texts = st.text(alphabet="ab .\nы`[1]", min_size=1, max_size=300)


@given(st.lists(texts, max_size=8), st.integers(-50, 1500))
def test_the_budget_is_kept(contents: list[str], budget: int) -> None:
    found = [passage(text, str(no)) for no, text in enumerate(contents)]

    chosen = choose(found, budget, cost)

    assert sum(map(cost, chosen)) <= max(budget, 0)
    assert all(part.text == whole.text[: len(part.text)] for part in chosen[:1] for whole in found[:1])
    assert all(part in found for part in chosen[1:])
