"""Markers in an answer while it is streamed."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from passage_examples import passage

from rag_common.contracts import Citation
from rag_generator.domain.citing import MAX_HELD, MarkerFilter, without_markers

PASSAGES = (
    passage("Paris is the capital of France. It has two million inhabitants. Lyon is smaller.", "fr", 1000),
    passage(
        "Столица России — Москва. Санкт-Петербург был столицей до 1918 г. и сегодня второй город.", "ru", 50
    ),
    passage("The Seine flows through Paris.", "fr", 5000),
)
FRAGMENTS = (
    *("[", "]", "[[", "]]", "【", "】", "［", "］", "(", ")", "1", "2", "7", "0", "12", "2026", "passage "),
    *(
        " ",
        "  ",
        "      ",
        "\n",
        "\t",
        "\u00a0",
        "`",
        "``",
        "```",
        "~~~",
        "~",
        "^",
        ",",
        "-",
        "–",
        ";",
        " и ",
    ),
    *(
        "[1]",
        "[7]",
        " [7]",
        "[1, 7]",
        "[1-3]",
        "†",
        "a",
        "Paris",
        "Москва",
        ".",
        ". ",
        ":",
        "x" * 60,
        "`" * 20,
    ),
)
answers = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)


def filtered(*pieces: str) -> tuple[str, list[Citation]]:
    markers = MarkerFilter(PASSAGES)
    parts = [*map(markers.feed, pieces), markers.finish()]
    return "".join(part.text for part in parts), [cited for part in parts for cited in part.citations]


@pytest.mark.parametrize(
    ("written", "shown", "cited"),
    [
        ("Paris [1].", "Paris [1].", [1]),
        ("Paris[1].", "Paris[1].", [1]),
        ("Paris [1, 2].", "Paris [1][2].", [1, 2]),
        ("Paris [1,2; 3].", "Paris [1][2][3].", [1, 2, 3]),
        ("Paris [1][2].", "Paris [1][2].", [1, 2]),
        ("Paris [1-3].", "Paris [1][2][3].", [1, 2, 3]),
        ("Paris [1–2].", "Paris [1][2].", [1, 2]),
        ("Paris [2 and 1].", "Paris [2][1].", [2, 1]),
        ("Париж [1 и 2].", "Париж [1][2].", [1, 2]),
        ("Paris [^1].", "Paris [1].", [1]),
        ("Paris 【1】.", "Paris [1].", [1]),
        ("Paris 【1†source】.", "Paris [1].", [1]),
        ("Paris ［2］.", "Paris [2].", [2]),
        ("Paris [[1]].", "Paris [1].", [1]),
        ("Paris [ 1 ].", "Paris [1].", [1]),
        ("Paris [Passage 1].", "Paris [1].", [1]),
        ("Париж [фрагмент 2].", "Париж [2].", [2]),
        ("Paris [1], twice [1].", "Paris [1], twice [1].", [1]),
        ("Paris [7].", "Paris.", []),
        ("Paris [4].", "Paris.", []),
        ("Paris [0].", "Paris.", []),
        ("Paris [999], Lyon.", "Paris, Lyon.", []),
        ("Paris\u00a0[7].", "Paris.", []),
        ("Paris [1, 7].", "Paris [1].", [1]),
        ("Paris [2-7].", "Paris [2][3].", [2, 3]),
        ("The dose is [5-10] mg [2].", "The dose is [5-10] mg [2].", [2]),
        ("It was [4–6, 8] then [4, 8].", "It was [4–6, 8] then.", []),
        ("Paris [1, 5-10].", "Paris [1].", [1]),
        ("Paris [7][1].", "Paris [1].", [1]),
        ("Paris [7] [1].", "Paris [1].", [1]),
        ("Paris [[7]].", "Paris.", []),
        ("[7] Paris", "Paris", []),
        ("- a\n  [7] Paris", "- a\n  Paris", []),
        ("in [2026] and [1999-2001]", "in [2026] and [1999-2001]", []),
        ("array[0] of [0, 1]", "array[0] of [0, 1]", []),
        ("[Иванов] and [Smith 2020]", "[Иванов] and [Smith 2020]", []),
        ("[text](http://a.b) [ ] [x] []", "[text](http://a.b) [ ] [x] []", []),
        ("open [1", "open [1", []),
        ("open [", "open [", []),
        ("Paris [1](http://a.b)", "Paris [1] (http://a.b)", [1]),
        ("\n[1]: http://a.b", "\n[1] : http://a.b", [1]),
        ("as `x[7]` says [7]", "as `x[7]` says", []),
        ("as ``x[7]`[1]`` says [1]", "as ``x[7]`[1]`` says [1]", [1]),
        ("a lone ` says [7] this", "a lone ` says this", []),
        ("a lone ` says [7]\n` this", "a lone ` says\n` this", []),
        ("```py\nx[7]\n```\nso [7].", "```py\nx[7]\n```\nso.", []),
        ("```py\nx[7]\n``` no\n[7]", "```py\nx[7]\n``` no\n[7]", []),
        ("~~~\nx[7]\n~~~\nso [7].", "~~~\nx[7]\n~~~\nso.", []),
        ("```x[7]``` so [7].", "```x[7]``` so.", []),
        ("not ~~~ a block [7]", "not ~~~ a block", []),
        ("[[7]1]", "[…1]", []),
        ("[1[9]2]", "[1…2]", []),
    ],
)
def test_what_is_shown_of_a_marker(written: str, shown: str, cited: list[int]) -> None:
    text, citations = filtered(written)

    assert text == shown
    assert [citation.n for citation in citations] == cited


@given(answers, st.lists(st.integers(0, 200), max_size=20))
def test_the_cuts_between_pieces_change_nothing(answer: str, cuts: list[int]) -> None:
    places = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    pieces = [answer[start:end] for start, end in itertools.pairwise(places)]

    assert filtered(*pieces) == filtered(answer) == filtered(*answer)


@given(answers)
def test_no_unknown_marker_survives_outside_code_and_every_known_one_is_cited_once(answer: str) -> None:
    prose = re.sub("[`~]", "", answer)

    text, citations = filtered(prose)

    shown = [int(number) for number in re.findall(r"\[(\d{1,3})\]", re.sub(r"\w\[0\]", "", text))]
    assert set(shown) <= {1, 2, 3}
    numbers = [citation.n for citation in citations]
    assert sorted(numbers) == sorted(set(shown))


@given(st.text(alphabet=st.characters(exclude_categories=["Nd", "Cs"]), max_size=300))
def test_text_without_markers_is_unchanged(answer: str) -> None:
    assert filtered(answer) == (answer, [])


@given(answers)
def test_what_is_held_back_is_bounded(answer: str) -> None:
    markers = MarkerFilter(PASSAGES)
    for piece in answer:
        markers.feed(piece)
        assert len(markers._pending) <= MAX_HELD


@given(answers)
def test_filtering_twice_changes_nothing_more(answer: str) -> None:
    once = filtered(re.sub("[`~]", "", answer))[0]

    assert filtered(once)[0] == once


@given(answers)
def test_a_quote_is_what_stands_at_its_offsets(answer: str) -> None:
    for citation in filtered(answer)[1]:
        cited = PASSAGES[citation.n - 1]
        assert citation.quote
        assert cited.text[citation.start - cited.start : citation.end - cited.start] == citation.quote


@pytest.mark.parametrize(
    ("answer", "quotes"),
    [
        ("Two million inhabitants live there [1].", ["It has two million inhabitants."]),
        ("Lyon is smaller. [1]", ["Lyon is smaller."]),
        (
            "The capital is Paris [1]. It lies on the river Seine [3].",
            [None, "The Seine flows through Paris."],
        ),
        (
            "Сегодня это второй по величине город [2].",
            ["Санкт-Петербург был столицей до 1918 г. и сегодня второй город."],
        ),
        (
            "The capital [1] is called Paris, with inhabitants of two million.",
            ["Paris is the capital of France."],
        ),
        ("Two million inhabitants [3][1].", [None, "It has two million inhabitants."]),
        ("Nothing alike whatsoever [1].", ["Paris is the capital of France."]),
        ("[2]", ["Столица России — Москва."]),
    ],
)
def test_the_quote_is_the_sentence_that_supports_the_claim(answer: str, quotes: list[str | None]) -> None:
    found = [citation.quote for citation in filtered(answer)[1]]

    assert len(found) == len(quotes)
    assert all(quote in (None, quoted) for quote, quoted in zip(quotes, found, strict=True))


def test_a_citation_names_the_place() -> None:
    on_page = PASSAGES[0].model_copy(update={"page": 4})
    cited = MarkerFilter([on_page]).feed("Paris [1].").citations[0]

    assert (cited.document_id, cited.title, cited.source_uri, cited.page) == ("fr", "Report", "file:///fr", 4)
    assert (cited.start, cited.end) == (1000, 1000 + len("Paris is the capital of France."))


def test_an_answer_loses_its_markers_as_history() -> None:
    assert without_markers("Paris [1][2]. Lyon [3] too, `a[1]`.") == "Paris. Lyon too, `a[1]`."
