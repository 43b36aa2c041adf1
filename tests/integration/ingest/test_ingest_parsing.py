"""Real files through the real parser process."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import docx
import psutil
import pytest
from ingest_files import archive, bomb_docx, handbook_docx, pdf, saved, unpacked

from rag_common.errors import BadDocument, TransientError
from rag_ingest.adapters.parser import FileParser
from rag_ingest.adapters.splitter import PhraseSplitter
from rag_ingest.adapters.worker_pool import WorkerPool
from rag_ingest.adapters.worker_process import Limits
from rag_ingest.domain.documents import ParsedDocument, Source
from rag_ingest.domain.size import ChunkSize, Window
from rag_ingest.domain.splitting import split_document

STARVED = """
import os, sys
import rag_ingest.adapters.worker as worker
os.environ["TMPDIR"] = sys.argv.pop(1)
worker.MAX_FILE_BYTES = 1000
worker.main()
"""
HOSTILE = (sys.executable, str(Path(__file__).with_name("hostile_worker.py")))


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool()
    yield pool
    await pool.close()


class Reader:
    """Writes bytes to a file and parses it, as a job does."""

    def __init__(self, pool: WorkerPool, directory: Path) -> None:
        self._parser = FileParser(pool, max_characters=1_000_000)
        self._directory = directory

    async def read(self, data: bytes, name: str, media_type: str | None = None) -> ParsedDocument:
        path = self._directory / "upload"
        path.write_bytes(data)
        return await self._parser.parse(Source(path, name, media_type))

    async def refusal(self, data: bytes, name: str) -> BadDocument:
        with pytest.raises(BadDocument) as caught:
            await self.read(data, name)
        return caught.value


@pytest.fixture
def reader(pool: WorkerPool, tmp_path: Path) -> Reader:
    return Reader(pool, tmp_path)


async def test_pdf_pages_have_exact_spans(reader: Reader) -> None:
    pages = [["The first page.", "It has two lines."], [], ["The same words."], ["The same words."]]
    parsed = await reader.read(pdf(pages, title="Three pages"), "report.pdf")
    assert parsed.media_type == "application/pdf"
    assert parsed.title == "Three pages"
    found = [(part.place.page, parsed.text[part.start : part.end]) for part in parsed.parts]
    assert found == [(no, "\n".join(lines)) for no, lines in enumerate(pages, 1)]
    chunks = split_document(parsed, PhraseSplitter(), ChunkSize(100, 1500, Window(256, ("en",))))
    assert [(chunk.place.page, chunk.text) for chunk in chunks] == [
        (no, words) for no, words in found if words
    ]
    assert all(parsed.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)


async def test_docx_keeps_headings_tables_tabs_and_every_character(reader: Reader) -> None:
    parsed = await reader.read(handbook_docx(), "handbook.docx")
    assert parsed.title == "Handbook & rules"
    assert [(heading.level, heading.title) for heading in parsed.headings] == [
        (1, "Leave"),
        (2, "Sick leave"),
        (1, "Pay"),
    ]
    for heading in parsed.headings:
        assert parsed.text[heading.start : heading.end] == heading.title
    assert parsed.text == (
        'Leave\n\nЕжегодный отпуск — 28 дней. Ask R&D if 5 < 6 & "why".\n\nSick leave\n\n'
        "Call\tyour manager\n\nGrade\tDays\nA|B\t14\n\nPay\n\nPaid monthly."
    )


async def test_docx_character_references_are_decoded(reader: Reader) -> None:
    document = docx.Document()
    document.add_paragraph("PLACEHOLDER")
    members = unpacked(saved(document))
    xml = members["word/document.xml"]
    members["word/document.xml"] = xml.replace(
        b"PLACEHOLDER", b"&#8211;&#x416;&#0;&#55296;&quot;&apos;&amp;amp; a > b"
    )
    parsed = await reader.read(archive(members), "references.docx")
    assert parsed.text == "–Ж  \"'&amp; a > b"


async def test_html_gives_its_words_its_headings_and_its_title(reader: Reader) -> None:
    source = (
        "<!doctype html><html><head><title>Hand&shy;book &amp; more</title>"
        '<meta name="description" content="not part of the text"><script>alert(1)</script></head><body>'
        '<nav><a href="/">Home</a></nav><h1>Отпуск</h1><p>Everyone <b>has</b> <a href="/x">28 days</a>.</p>'
        "<h2>Sick&nbsp;leave</h2><blockquote>Call.</blockquote><div>R&amp;D &lt;first&gt;</div></body></html>"
    )
    parsed = await reader.read(source.encode(), "page.html")
    assert parsed.title == "Hand\u00adbook & more"
    assert [(heading.level, heading.title) for heading in parsed.headings] == [
        (1, "Отпуск"),
        (2, "Sick leave"),
    ]
    assert "Everyone has 28 days." in parsed.text
    assert "Call." in parsed.text
    assert "R&D <first>" in parsed.text
    assert not any(word in parsed.text for word in ("Home", "alert", "not part", "<h1>", "/x"))


async def test_markdown_is_verbatim(reader: Reader) -> None:
    text = "\ufeff# Отпуск\r\n\r\nEveryone *has* 28 days 👍🏽.\r\n"
    parsed = await reader.read(text.encode(), "leave.md")
    assert parsed.text == text.removeprefix("\ufeff")
    assert parsed.title == "Отпуск"


async def test_text_of_any_encoding_becomes_what_was_meant(reader: Reader) -> None:
    text = "Ежегодный оплачиваемый отпуск составляет двадцать восемь календарных дней."
    assert (await reader.read(text.encode("cp1251"), "отпуск.txt")).text == text
    page = f"<html><meta charset=koi8-r><p>{text}</p></html>"
    assert (await reader.read(page.encode("koi8-r"), "page.html")).text == text
    assert (await reader.read("Тула".encode("cp866"), "a.txt", "text/plain; charset=cp866")).text == "Тула"
    mended = await reader.read(page.encode().decode("mac_roman").encode(), "page.html")
    assert mended.text == text
    assert "UTF-8 was read as Mac Roman" in mended.warnings[0]


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"", "empty.txt", "empty_file"),
        (b"", "empty.pdf", "empty_file"),
        (b" \r\n\t\n", "blank.txt", "no_text"),
        (b"<html><body> <p></p></body></html>", "blank.html", "no_text"),
        (pdf([[]]), "scan.pdf", "no_text"),
        (saved(docx.Document()), "blank.docx", "no_text"),
        (pdf([["Secret."]], password="secret"), "secret.pdf", "password_protected"),
        (handbook_docx()[:5000], "cut.docx", "damaged_file"),
        (pdf([["Words."]])[:300], "cut.pdf", "damaged_file"),
        (random.Random(3).randbytes(4000), "noise.txt", "not_text"),
        (random.Random(3).randbytes(4000), "noise.pdf", "damaged_file"),
        (b"\xef\xbb\xbfCaf\xe9 au lait", "latin.txt", "invalid_utf8"),
        (b"\xef\xbb\xbf<html>Caf\xe9 au lait", "latin.html", "invalid_utf8"),
        (archive({"xl/workbook.xml": b"<workbook/>"}), "sheet.xlsx", "damaged_file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "picture.txt", "damaged_file"),
    ],
)
async def test_bad_files_are_refused_with_a_code(reader: Reader, data: bytes, name: str, code: str) -> None:
    error = await reader.refusal(data, name)
    assert error.code == code
    assert error.message.endswith((".", "read."))
    # The process, if one was needed, is there for the next file.
    assert (await reader.read(b"<html><p>fine", "next.html")).text == "fine"


async def test_a_lying_extension_does_not_hide_what_a_file_is(reader: Reader) -> None:
    assert (await reader.read(pdf([["Words."]]), "notes.txt")).media_type == "application/pdf"
    assert (await reader.read(handbook_docx(), "report.pdf")).media_type.endswith("document")
    assert (await reader.read(b"just words", "letter.docx")).media_type == "text/plain"


async def test_a_pdf_that_anybody_may_read_needs_no_password(reader: Reader) -> None:
    parsed = await reader.read(pdf([["Printing is not allowed."]], password=""), "restricted.pdf")
    assert parsed.text == "Printing is not allowed."


async def test_a_bomb_is_not_unpacked(reader: Reader) -> None:
    error = await reader.refusal(bomb_docx(300), "bomb.docx")
    assert error.code == "too_much_text"
    assert (await reader.read(handbook_docx(), "fine.docx")).headings


async def test_many_small_parts_make_a_bomb_as_well(reader: Reader) -> None:
    parts = {f"word/{number}.xml": bytes(64 * 1024**2) for number in range(5)}
    error = await reader.refusal(archive({"word/document.xml": b"<w:document/>"} | parts), "bomb.docx")
    assert error.code == "too_much_text"


@pytest.fixture
async def hostile(tmp_path: Path) -> AsyncIterator[Reader]:
    limits = Limits(cpu_seconds=1, wall_seconds=2, max_characters=1000)
    pool = WorkerPool(limits=limits, command=HOSTILE)
    yield Reader(pool, tmp_path)
    await pool.close()


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ("allocate", "parse_memory"),
        ("abort", "parse_memory"),
        ("spin", "parse_timeout"),
        ("sleep", "parse_timeout"),
        ("crash", "parser_crashed"),
        ("refuse", "damaged_file"),
        ("write", "parser_crashed"),
        ("write a book", "too_much_text"),
        ("lie", "too_much_text"),
    ],
)
async def test_a_hostile_file_takes_down_its_process_and_nothing_else(
    hostile: Reader, order: str, code: str
) -> None:
    assert (await hostile.refusal(f"<html>{order}".encode(), "bad.html")).code == code
    assert (await hostile.read(b"<html>next", "good.html")).text.startswith("next by")


async def test_a_shortage_of_the_system_is_not_the_files_fault(hostile: Reader) -> None:
    with pytest.raises(TransientError, match="No space left"):
        await hostile.read(b"<html>shortage", "good.html")
    assert (await hostile.read(b"<html>next", "good.html")).text.startswith("next by")


async def test_no_room_for_the_pdf_library_is_not_the_files_fault(tmp_path: Path) -> None:
    pool = WorkerPool(command=(sys.executable, "-c", STARVED, str(tmp_path)))
    with pytest.raises(TransientError, match="bundled"):
        await Reader(pool, tmp_path).read(pdf([["Words."]]), "good.pdf")
    await pool.close()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("/nowhere/python",), "No such file"),
        ((sys.executable, "-c", "raise SystemExit('no room for a library')"), "no room for a library"),
    ],
)
async def test_a_process_that_cannot_be_started_is_not_the_files_fault(
    tmp_path: Path, command: tuple[str, ...], reason: str
) -> None:
    pool = WorkerPool(command=command)
    with pytest.raises(TransientError, match=reason):
        await Reader(pool, tmp_path).read(b"<html>good", "good.html")
    await pool.close()


async def test_a_crash_tells_what_the_process_said_last(hostile: Reader) -> None:
    assert "double free" in (await hostile.refusal(b"<html>crash", "bad.html")).message


async def test_what_a_library_prints_is_no_answer(hostile: Reader) -> None:
    assert (await hostile.read(b"<html>chatter", "loud.html")).text.startswith("chatter by")


async def test_one_process_reads_one_file_after_the_other(hostile: Reader) -> None:
    texts = {(await hostile.read(b"<html>file", "a.html")).text for _ in range(3)}
    assert len(texts) == 1


async def test_a_cancelled_file_leaves_no_answer_behind(hostile: Reader) -> None:
    task = asyncio.create_task(hostile.read(b"<html>sleep", "slow.html"))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await hostile.read(b"<html>next", "good.html")).text.startswith("next by")


async def test_an_idle_process_is_stopped_and_started_again(tmp_path: Path) -> None:
    pool = WorkerPool(idle_seconds=0.05, command=HOSTILE)
    reader = Reader(pool, tmp_path)
    first = (await reader.read(b"<html>file", "a.html")).text
    pid = int(first.split()[-1])
    while psutil.pid_exists(pid):  # noqa: ASYNC110 - the end of a process is no event here
        await asyncio.sleep(0.02)
    assert (await reader.read(b"<html>file", "a.html")).text != first
    await pool.close()


async def test_closing_leaves_no_process(tmp_path: Path) -> None:
    pool = WorkerPool(size=2, command=HOSTILE)
    text = (await Reader(pool, tmp_path).read(b"<html>file", "a.html")).text
    await pool.close()
    assert not psutil.pid_exists(int(text.split()[-1]))
