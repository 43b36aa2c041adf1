"""What is encoded beside a chunk's own text, and what is not."""

from hypothesis import given
from hypothesis import strategies as st

from rag_common.contracts import NOWHERE, Place
from rag_ingest.adapters.splitter import PhraseSplitter
from rag_ingest.domain.context import MAX_CHARACTERS, in_context
from rag_ingest.domain.documents import Chunk, ParsedDocument
from rag_ingest.domain.markdown import markdown_headings
from rag_ingest.domain.size import CONTEXT_TOKENS, ChunkSize, Window
from rag_ingest.domain.splitting import split_document

WINDOW = Window(256, ("en",))


def chunk_of(
    text: str, heading: tuple[str, ...] = (), *, place: Place = NOWHERE, gap: str | None = None
) -> Chunk:
    return Chunk(0, text, 0, len(text), place, heading, gap)


def texts(title: str | None, *chunks: Chunk) -> list[str]:
    return [chunk.in_context for chunk in in_context(title, chunks, WINDOW)]


def test_title_and_headings_stand_before_the_text() -> None:
    assert texts("Handbook", chunk_of("28 days.", heading=("Leave", "How much"))) == [
        "Handbook\nLeave\nHow much\n28 days."
    ]
    assert texts(None, chunk_of("28 days.")) == ["28 days."]


def test_what_the_text_says_itself_is_not_repeated() -> None:
    (text,) = texts("Leave", chunk_of("## Leave\n\n28 days.", heading=("Handbook", "Leave", "Handbook")))
    assert text == "Handbook\n## Leave\n\n28 days."


def test_the_nearest_headings_have_room_first() -> None:
    far = "A heading that is " + "very " * 40 + "long"
    assert texts("Title " * 40, chunk_of("Words.", heading=(far, "Near"))) == ["Near\nWords."]


def test_letters_that_the_model_does_not_read_are_bounded_too() -> None:
    (text,) = texts("Название", chunk_of("Слова.", heading=("Глава " * MAX_CHARACTERS, "Раздел")))
    assert text == "Название\nРаздел\nСлова."


def test_rows_that_follow_have_the_header_of_their_table() -> None:
    table = "|name|price|\n|---|---|\n" + "".join(f"|part {no}|{no}|\n" for no in range(30))
    text = f"Some words.\n\n{table}\nWords after it.\n\n|other|table|\n|---|---|\n|a|b|\n"
    chunks = split_document(
        ParsedDocument(text, "text/markdown"), PhraseSplitter(), ChunkSize(20, 300, WINDOW)
    )
    found = texts(None, *chunks)
    continued = [no for no, chunk in enumerate(chunks) if chunk.text.startswith("|part")]
    assert len(continued) >= 2
    for no, chunk in enumerate(chunks):
        assert found[no] == (f"|name|price|\n{chunk.text}" if no in continued else chunk.text)


def test_cells_may_be_separated_by_tabs() -> None:
    assert texts(
        None, chunk_of("Words.\n\nname\tprice\na\t1"), chunk_of("b\t2\n\nWords.", gap="\n"), chunk_of("c\t3")
    ) == [
        "Words.\n\nname\tprice\na\t1",
        "name\tprice\nb\t2\n\nWords.",
        "c\t3",
    ]


def test_the_header_of_a_sheet_is_among_its_headings_already() -> None:
    place = Place(sheet="Prices", rows=(1, 2))
    rows = [
        chunk_of("name\tprice\na\t1", place=place),
        chunk_of("b\t2", place=place, heading=("name | price",), gap="\n"),
    ]
    assert texts(None, *rows) == ["name\tprice\na\t1", "name | price\nb\t2"]


WORDS = st.text(alphabet="ab1.Я中 |\n#", max_size=300)


@given(title=WORDS, text=WORDS)
def test_a_chunk_in_its_context_fits_the_window(title: str, text: str) -> None:
    window = Window(128, ("*",))
    parsed = ParsedDocument(text, "text/markdown", headings=markdown_headings(text))
    chunks = split_document(parsed, PhraseSplitter(), ChunkSize(10, 200, window))
    for chunk, found in zip(chunks, in_context(title, chunks, window), strict=True):
        assert (found.text, found.start, found.end) == (chunk.text, chunk.start, chunk.end)
        assert found.in_context.endswith(chunk.text)
        assert window.estimate(found.in_context) <= window.tokens
        assert window.estimate(found.context) <= CONTEXT_TOKENS
