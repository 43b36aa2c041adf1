"""Every supported format: a real file, written by another program than its reader, keeps its words."""

import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import format_files as files
import pytest

from rag_common.contracts import Place
from rag_ingest.adapters.parser import FileParser
from rag_ingest.adapters.splitter import PhraseSplitter
from rag_ingest.adapters.worker_pool import WorkerPool
from rag_ingest.domain.documents import ParsedDocument, Source
from rag_ingest.domain.formats import MEDIA_TYPES, Format
from rag_ingest.domain.size import ChunkSize, Window
from rag_ingest.domain.splitting import split_document

LEAST_F1 = 0.95
SECTIONS = files.words_of_sections()
ROWS = files.words_of_rows()
HEADINGS = [(1, heading) for heading, _ in files.SECTIONS]
LIBRE_OFFICE_RTF = Path(__file__).with_name("files") / "libreoffice.rtf"


class Case(NamedTuple):
    """A file, the words that are in it, and what the reader must know besides."""

    format: Format
    name: str
    write: Callable[[Path], bytes]
    words: str
    title: str | None = None
    headings: list[tuple[int, str]] | None = None
    places: list[Place] | None = None
    rows: list[tuple[int, ...]] | None = None
    table: bool = False


def slides(count: int) -> list[Place]:
    return [Place(slide=number) for number in range(1, count + 1)]


def pages(count: int) -> list[Place]:
    return [Place(page=number) for number in range(1, count + 1)]


def named(title: str, section: str, paragraphs: str) -> str:
    """The sections, each part of them under the name that it has in the file."""
    lines = (
        f"{section}.heading: {heading}\n{section}.{paragraphs}: " + "\n".join(texts)
        for heading, texts in files.SECTIONS
    )
    return "\n".join((f"{title}: {files.TITLE}", *lines))


SHEETS = [Place(sheet="Ставки & grades"), Place(sheet="Тексты")]
SHEET_ROWS = [(3, 4, 6), tuple(range(1, 7))]
TEXTS = [
    Case("text", "handbook.txt", lambda _: files.text(), SECTIONS),
    Case("markdown", "handbook.md", lambda _: files.markdown(), SECTIONS, HEADINGS[0][1], HEADINGS),
    Case("html", "handbook.html", lambda _: files.html(), SECTIONS, files.TITLE, HEADINGS),
    Case("epub", "handbook.epub", files.epub, SECTIONS, files.TITLE, HEADINGS),
    Case("json", "handbook.json", lambda _: files.json(), named("title", "sections", "paragraphs")),
    Case("xml", "handbook.xml", lambda _: files.xml(), named("handbook.title", "section", "para")),
]
PAGED = [
    Case("pdf", "handbook.pdf", lambda _: files.pdf(), SECTIONS, files.TITLE, places=pages(2)),
    Case(
        *("pptx", "handbook.pptx", lambda _: files.pptx_file(), f"{SECTIONS}\n{files.NOTE}\n{ROWS}"),
        *(files.TITLE, [*HEADINGS, (1, "")], slides(3)),
        table=True,
    ),
    Case("odp", "handbook.odp", lambda _: files.odp(), SECTIONS, files.TITLE, places=slides(2)),
]
OFFICE = [
    Case(
        *("docx", "handbook.docx", lambda _: files.docx_file(), f"{SECTIONS}\n{ROWS}", files.TITLE, HEADINGS),
        table=True,
    ),
    Case(
        *("odt", "handbook.odt", lambda _: files.odt(), f"{SECTIONS}\n{ROWS}", files.TITLE, HEADINGS),
        table=True,
    ),
    Case(
        *("rtf", "handbook.rtf", lambda _: LIBRE_OFFICE_RTF.read_bytes(), f"{SECTIONS}\n{ROWS}"),
        *(files.TITLE, HEADINGS),
        table=True,
    ),
]
TABLES = [
    Case(
        *("xlsx", "handbook.xlsx", lambda _: files.xlsx(), f"{ROWS}\n{SECTIONS}", files.TITLE),
        places=SHEETS,
        rows=SHEET_ROWS,
        table=True,
    ),
    Case(
        *("ods", "handbook.ods", lambda _: files.ods(), f"{ROWS}\n{SECTIONS}", files.TITLE),
        places=SHEETS,
        rows=SHEET_ROWS,
        table=True,
    ),
    Case(
        *("csv", "handbook.csv", lambda _: files.csv(), f"{ROWS}\n{SECTIONS}"),
        places=[Place()],
        rows=[tuple(range(1, 10))],
        table=True,
    ),
]
CASES = [*TEXTS, *PAGED, *OFFICE, *TABLES]
LIBRE_OFFICE = [
    Case(
        *("rtf", "docx", lambda path: files.by_libre_office(files.docx_file(), "docx", "rtf", path)),
        *(f"{SECTIONS}\n{ROWS}", files.TITLE, HEADINGS),
        table=True,
    ),
    Case(
        *("odt", "docx", lambda path: files.by_libre_office(files.docx_file(), "docx", "odt", path)),
        *(f"{SECTIONS}\n{ROWS}", files.TITLE, HEADINGS),
        table=True,
    ),
    Case(
        *("odp", "pptx", lambda path: files.by_libre_office(files.pptx_file(), "pptx", "odp", path)),
        f"{SECTIONS}\n{files.NOTE}\n{ROWS}",
        places=slides(3),
        table=True,
    ),
    Case(
        *("ods", "xlsx", lambda path: files.by_libre_office(files.xlsx(), "xlsx", "ods", path)),
        f"{ROWS}\n{SECTIONS}".replace("1250.50", "1,250.50"),
        places=SHEETS,
        rows=SHEET_ROWS,
    ),
]


@pytest.fixture
async def parser() -> AsyncIterator[FileParser]:
    pool = WorkerPool()
    yield FileParser(pool, max_characters=1_000_000)
    await pool.close()


def f1_of_tokens(found: str, expected: str) -> float:
    """Harmonic mean of precision and recall over the words, each as often as it occurs."""
    have, want = (Counter(re.findall(r"\w+", text.lower())) for text in (found, expected))
    return 2 * (have & want).total() / (have.total() + want.total())


def check(parsed: ParsedDocument, case: Case) -> None:
    assert parsed.media_type == MEDIA_TYPES[case.format]
    assert parsed.warnings == ()
    assert f1_of_tokens(parsed.text, case.words) >= LEAST_F1
    assert parsed.title == case.title or (case.title is None and case.headings is None)
    for heading in parsed.headings:
        assert heading.start == heading.end or " ".join(heading.title.split()) in " ".join(
            parsed.text[heading.start : heading.end].replace("\t", " | ").split()
        )
    if case.headings is not None:
        assert [(each.level, each.title) for each in parsed.headings] == case.headings
    if case.places is not None:
        assert [part.place for part in parsed.parts] == case.places
    if case.rows is not None:
        assert [part.rows for part in parsed.parts] == case.rows
    for part in parsed.parts:
        assert not part.rows or len(part.rows) == parsed.text.count("\n", part.start, part.end) + 1
    if case.table:
        assert all("\t".join(row) in parsed.text for row in files.ROWS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.format)
async def test_every_format_keeps_words_order_and_places(
    parser: FileParser, tmp_path: Path, case: Case
) -> None:
    if case.format == "pdf" and not files.FONT.exists():
        pytest.skip("no font with Cyrillic letters: fonts-dejavu-core is not installed")
    path = tmp_path / case.name
    path.write_bytes(case.write(tmp_path))
    check(await parser.parse(Source(path, case.name, None)), case)


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
@pytest.mark.parametrize("case", LIBRE_OFFICE, ids=lambda case: case.format)
async def test_files_of_libre_office(parser: FileParser, tmp_path: Path, case: Case) -> None:
    path = tmp_path / "upload"
    path.write_bytes(case.write(tmp_path))
    check(await parser.parse(Source(path, None, None)), case)


async def test_text_stands_on_its_slide_and_notes_belong_to_it(parser: FileParser, tmp_path: Path) -> None:
    path = tmp_path / "deck.pptx"
    path.write_bytes(files.pptx_file())
    parsed = await parser.parse(Source(path, path.name, None))
    first, second, third = (parsed.text[part.start : part.end] for part in parsed.parts)
    assert first == "\n\n".join((files.SECTIONS[0][0], "\n".join(files.SECTIONS[0][1]), files.NOTE))
    assert second.startswith(files.SECTIONS[1][0])
    assert third == ROWS


async def test_chunks_of_a_sheet_name_their_rows_and_the_header(parser: FileParser, tmp_path: Path) -> None:
    path = tmp_path / "rates.xlsx"
    path.write_bytes(files.xlsx())
    parsed = await parser.parse(Source(path, path.name, None))
    chunks = split_document(parsed, PhraseSplitter(), ChunkSize(12, 500, Window(256, ("en",))))
    heading = ("Ставки & grades", " | ".join(files.ROWS[0]))
    found = [(chunk.place.rows, chunk.heading) for chunk in chunks if chunk.place.sheet == heading[0]]
    assert found == [((3, 4), heading), ((6, 6), heading)]
