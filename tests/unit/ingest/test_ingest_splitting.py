"""Chunks: exact offsets, whatever the text; pages, sections and lengths are respected."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_common.contracts import Place
from rag_ingest.adapters.splitter import PhraseSplitter
from rag_ingest.domain.documents import Chunk, Heading, ParsedDocument, Part, is_blank
from rag_ingest.domain.markdown import markdown_headings
from rag_ingest.domain.size import ChunkSize, Window
from rag_ingest.domain.splitting import split_document

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
