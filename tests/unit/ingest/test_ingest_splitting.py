"""Chunks: exact offsets, whatever the text; pages, sections and lengths are respected."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_common.contracts import Place
from rag_ingest.adapters.splitter import PhraseSplitter
from rag_ingest.domain.documents import Chunk, Heading, ParsedDocument, Part, is_blank
from rag_ingest.domain.markdown import markdown_headings
from rag_ingest.domain.size import CONTEXT_TOKENS, ChunkSize, Window
from rag_ingest.domain.splitting import MAX_GAP, SECTION_LEVEL, split_document

MAX_CHARACTERS = 200
SIZE = ChunkSize(10, MAX_CHARACTERS, Window(256, ("en",)))

# Small alphabets make repetitions likely, which is where offsets that are searched for go wrong.
TRICKY = [
    *("a", "b", "Ж", "ё", " ", "  ", "\n", "\n\n", "\r\n", "\r\n\r\n", "\t", ". ", "! ", "…"),
    *(
        "\ufeff",
        "\u200b",
        "e\u0301",
        "👩\u200d👩\u200d👧",
        "👍🏽",
        "# a\n",
        "## b\n",
        "```\n",
        "---\n",
        "===\n",
        "\x0b",
        "\x85",
        "\u2028",
    ),
]
texts = st.lists(st.sampled_from(TRICKY), max_size=400).map("".join) | st.text(max_size=300).filter(
    lambda text: "\x00" not in text
)


def split(parsed: ParsedDocument) -> tuple[Chunk, ...]:
    return split_document(parsed, PhraseSplitter(), SIZE)


def paged(pages: list[str]) -> ParsedDocument:
    spans, position = [], 0
    for no, page in enumerate(pages, 1):
        spans.append(Part(position, position + len(page), Place(page=no)))
        position += len(page) + 2
    return ParsedDocument("\n\n".join(pages), "application/pdf", parts=tuple(spans))


@given(text=texts)
@settings(deadline=None, max_examples=150)
def test_every_chunk_is_its_span_of_the_text(text: str) -> None:
    parsed = ParsedDocument(text, "text/markdown", headings=markdown_headings(text))
    chunks = split(parsed)
    assert [chunk.no for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert parsed.text[chunk.start : chunk.end] == chunk.text
        assert len(chunk.text) <= MAX_CHARACTERS
        assert not is_blank(chunk.text)


@given(text=texts)
@settings(deadline=None, max_examples=150)
def test_chunks_ascend_and_leave_out_nothing_that_can_be_seen(text: str) -> None:
    chunks = split(ParsedDocument(text, "text/plain"))
    position = 0
    for chunk in chunks:
        assert chunk.start >= position
        assert is_blank(text[position : chunk.start])
        position = chunk.end
    assert is_blank(text[position:])


@given(pages=st.lists(texts, max_size=5))
@settings(deadline=None, max_examples=100)
def test_no_chunk_crosses_a_page(pages: list[str]) -> None:
    parsed = paged(pages)
    spans = {part.place.page: part for part in parsed.parts}
    for chunk in split(parsed):
        page = spans[chunk.place.page]
        assert page.start <= chunk.start < chunk.end <= page.end


@given(text=texts)
@settings(deadline=None, max_examples=100)
def test_pieces_of_the_splitter_join_to_the_text(text: str) -> None:
    assert "".join(PhraseSplitter().split(text, SIZE)) == text


def test_repeated_lines_keep_their_own_offsets() -> None:
    text = "the same line again\n" * 500
    chunks = split(ParsedDocument(text, "text/plain"))
    assert len(chunks) == 250
    assert [chunk.start for chunk in chunks] == [40 * no for no in range(250)]


def test_splitting_is_deterministic() -> None:
    parsed = ParsedDocument("One two three. " * 300, "text/plain")
    assert split(parsed) == split(parsed)


def test_a_chunk_holds_about_the_words_it_may() -> None:
    size = ChunkSize(100, 1500, Window(256, ("en",)))
    parsed = ParsedDocument("word and longer-words follow here. " * 1000, "text/plain")
    chunks = split_document(parsed, PhraseSplitter(), size)
    counts = [len(chunk.text.split()) for chunk in chunks]
    assert max(counts) <= 100
    assert min(counts[:-1]) >= 80


def test_a_line_without_spaces_is_cut_by_length() -> None:
    chunks = split(ParsedDocument("x" * 100_000, "text/plain"))
    assert len(chunks) == 100_000 / MAX_CHARACTERS
    assert {len(chunk.text) for chunk in chunks} == {MAX_CHARACTERS}


def test_the_cut_of_a_long_line_leaves_composed_characters_whole() -> None:
    family = "👩\u200d👩\u200d👧"
    for chunk in split(ParsedDocument("x" + family * 200, "text/plain")):
        assert not chunk.text.startswith(("\u200d", "\ufe0f"))
        assert not chunk.text.endswith("\u200d")
    for chunk in split(ParsedDocument("x" + "e\u0301" * 500, "text/plain")):
        assert not chunk.text.startswith("\u0301")


def test_each_section_begins_a_chunk_and_knows_its_headings() -> None:
    text = "Preface.\n\n# Handbook\n\n## Leave\n\n28 days.\n\n### Sick\n\nCall.\n\n## Pay\n\nMonthly.\n"
    chunks = split(ParsedDocument(text, "text/markdown", headings=markdown_headings(text)))
    assert [(chunk.text.split("\n")[0], chunk.heading) for chunk in chunks] == [
        ("Preface.", ()),
        ("# Handbook", ("Handbook", "Leave")),
        ("## Pay", ("Handbook", "Pay")),
    ]


def test_a_chunk_of_a_deeper_section_has_the_whole_path() -> None:
    text = "# A\n\n## B\n\n### C\n\n" + "words of it " * 40
    chunks = split(ParsedDocument(text, "text/markdown", headings=markdown_headings(text)))
    assert len(chunks) > 1
    assert {chunk.heading for chunk in chunks} == {("A", "B", "C")}


def test_blank_text_has_no_chunks() -> None:
    assert split(ParsedDocument(" \n\u200b\t\ufeff\r\n", "text/plain")) == ()


def test_a_document_never_holds_nul() -> None:
    with pytest.raises(ValueError, match="NUL"):
        ParsedDocument("a\x00b", "text/plain")


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("# One\n", [(0, 5, 1, "One")]),
        ("## Two ##\r\n", [(0, 9, 2, "Two")]),
        ("   ### *Three*", [(0, 14, 3, "Three")]),
        ("Title\n=====\ntext\n\nSub\n---\n", [(0, 11, 1, "Title"), (18, 25, 2, "Sub")]),
        ("#hashtag\n\n####### seven\n\n    # code\n", []),
        ("```sh\n# comment\n```\n# Real\n", [(20, 26, 1, "Real")]),
        ("~~~~\n~~~\n# no\n~~~~\n", []),
        ("---\ntitle: x\n---\n\n# Real\n", [(18, 24, 1, "Real")]),
        ("a\n\n---\n\nb\n", []),
        ("- item\n---\n", []),
        ("#\n# C#\n", [(2, 6, 1, "C#")]),
        ("", []),
    ],
)
def test_markdown_headings(text: str, headings: list[tuple[int, int, int, str]]) -> None:
    assert markdown_headings(text) == tuple(Heading(*heading) for heading in headings)


def lengths(chunks: tuple[Chunk, ...]) -> list[int]:
    return [len(chunk.text.split()) for chunk in chunks]


@given(text=texts)
@settings(deadline=None, max_examples=150)
def test_neighbours_are_joined_exactly_by_the_gap(text: str) -> None:
    parsed = ParsedDocument(text, "text/markdown", headings=markdown_headings(text))
    chunks = split(parsed)
    for previous, chunk in pairwise(chunks):
        if chunk.gap is not None:
            assert previous.text + chunk.gap + chunk.text == text[previous.start : chunk.end]
    if not any(heading.level <= SECTION_LEVEL for heading in parsed.headings):
        assert all(chunk.gap is not None for chunk in chunks[1:])
    assert not chunks or chunks[0].gap is None


def test_a_gap_is_kept_within_a_section_and_a_part_only() -> None:
    text = "# A\n\n" + "One two three four. " * 5 + "\n\n# B\n\nText.\n"
    parsed = ParsedDocument(text, "text/markdown", headings=markdown_headings(text))
    assert [chunk.gap for chunk in split(parsed)] == [None, " ", " ", None]
    assert [chunk.gap for chunk in split(paged(["One.", "Two."]))] == [None, None]


def test_a_gap_that_is_too_long_is_not_kept() -> None:
    for blank, kept in (MAX_GAP, True), (MAX_GAP + 1, False):
        chunks = split(ParsedDocument("a" * 150 + " " * blank + "b" * 150, "text/plain"))
        assert (chunks[-1].gap is not None) is kept


def test_a_heading_is_never_left_alone_at_the_end_of_a_chunk() -> None:
    for words in range(1, 30):
        text = f"# A\n\n{'word ' * words}.\n\n### Deeper\n\n#### Still\n\nSome words stand under it.\n"
        chunks = split(ParsedDocument(text, "text/markdown", headings=markdown_headings(text)))
        for chunk in chunks:
            assert not chunk.text.rstrip().endswith(("### Deeper", "#### Still")), words


def test_sentences_and_list_items_stay_whole() -> None:
    sentences = [f"Item {no} has exactly six words." for no in range(30)]
    for text in (" ".join(sentences), "\n".join(f"- {each}" for each in sentences)):
        for chunk in split(ParsedDocument(text, "text/plain")):
            assert chunk.text.endswith(".")
            assert chunk.text.lstrip("- ").startswith("Item")


def test_the_chunks_of_a_paragraph_are_of_about_the_same_length() -> None:
    text = "One two three. " * 7
    assert sorted(lengths(split(ParsedDocument(text, "text/plain")))) == [6, 6, 9]


def test_a_paragraph_is_not_torn_where_another_cut_is_as_good() -> None:
    text = "One two three four. Five six seven.\n\nOne two three four. Five six seven.\n"
    assert lengths(split(ParsedDocument(text, "text/plain"))) == [7, 7]


def test_rows_of_a_table_stay_whole_and_its_header_has_a_row() -> None:
    rows = "".join(f"|part {no}|{no * 7}|\n" for no in range(20))
    chunks = split(ParsedDocument(f"Prices are these.\n\n|name|price|\n|---|---|\n{rows}", "text/plain"))
    for chunk in chunks[1:]:
        assert chunk.text.startswith("|")
        assert chunk.text.endswith("|")
    header = next(chunk for chunk in chunks if "|name|price|" in chunk.text)
    assert "|part 0|" in header.text


def test_code_is_cut_between_lines() -> None:
    lines = [f"call_{no}(argument, another)" for no in range(40)]
    text = "Words.\n\n```python\n" + "\n".join(lines) + "\n```\n"
    whole = {"Words.", "```python", "```", *lines}
    for chunk in split(ParsedDocument(text, "text/markdown")):
        assert whole.issuperset(line for line in chunk.text.split("\n") if line)


def test_chunks_of_a_sheet_name_their_rows() -> None:
    lines = [f"row {no} value" for no in (1, 2, 4, 7)] + ["w " * 30 + "end"] + ["last row"]
    numbers = (1, 2, 4, 7, 8, 11)
    text = "\n".join(lines)
    sheet = ParsedDocument(
        f"before\n\n{text}",
        "text/csv",
        parts=(Part(8, 8 + len(text), Place(sheet="S"), numbers),),
    )
    by_number = dict(zip(numbers, lines, strict=True))
    chunks = split(sheet)
    for chunk in chunks:
        assert chunk.place.rows is not None
        first, last = chunk.place.rows
        assert chunk.text.split("\n")[0] in by_number[first]
        assert chunk.text.split("\n")[-1] in by_number[last]
    assert chunks[0].place.rows == (1, 4)
    assert sum(chunk.place.rows == (8, 8) for chunk in chunks) >= 2


ENGLISH = "The quick brown fox jumps over the lazy dog near the river bank. "
RUSSIAN = "Съешь ещё этих мягких французских булок, да выпей же крепкого чаю. "
FIGURES = "| 1,234.56 | 7,890.12 | 3,456.78 | 9,012.34 |\n"


@pytest.mark.parametrize("text", [ENGLISH, RUSSIAN])
def test_a_model_that_reads_the_language_has_chunks_that_fit_its_window(text: str) -> None:
    words = ChunkSize(300, 5000, Window(128, ("*",)))
    window = words.window
    chunks = split_document(ParsedDocument(text * 60, "text/plain"), PhraseSplitter(), words)
    assert len(chunks) > 5
    assert all(window.estimate(chunk.text) <= 128 - CONTEXT_TOKENS for chunk in chunks)


def test_a_language_that_the_model_does_not_read_is_sized_in_words() -> None:
    english_only = ChunkSize(100, 1500, Window(64, ("en",)))
    for text, at_least in (RUSSIAN, 85), (ENGLISH, 0):
        chunks = split_document(ParsedDocument(text * 60, "text/plain"), PhraseSplitter(), english_only)
        assert min(lengths(chunks)[:-1]) >= at_least
        assert (max(lengths(chunks)) > 60) is bool(at_least)


def test_figures_take_more_of_the_window_than_words() -> None:
    window = Window(256, ("en",))
    assert window.estimate(FIGURES) > 2.5 * len(FIGURES.split())
    assert window.estimate(ENGLISH) < 1.5 * len(ENGLISH.split())
    assert window.estimate("中文") == 0
    assert Window(256, ("zh",)).estimate("中文") > 1
