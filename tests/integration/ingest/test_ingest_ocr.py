"""Pictures and scanned pages through the real tesseract: right, refused or named, never garbage."""

import shutil
import struct
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from ingest_files import pdf
from PIL import Image
from scanned_files import ENGLISH, FONTS, RUSSIAN, blurred, saved_as, scan, scanned_pdf

from rag_common.errors import BadDocument
from rag_ingest.adapters.ocr_options import OcrOptions
from rag_ingest.adapters.parser import FileParser
from rag_ingest.adapters.worker_pool import DEFAULT_COMMAND, WorkerPool
from rag_ingest.adapters.worker_process import Limits
from rag_ingest.domain.documents import ParsedDocument, Source

pytestmark = [
    pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed"),
    pytest.mark.skipif(not Path(FONTS[1]).exists(), reason="no font with Cyrillic letters is installed"),
]


class Reader:
    def __init__(
        self, directory: Path, options: OcrOptions | None = None, limits: Limits | None = None
    ) -> None:
        command = (*DEFAULT_COMMAND, options.as_json()) if options else DEFAULT_COMMAND
        self._path = directory / "upload"
        self.pool = WorkerPool(command=command, limits=limits)

    async def read(self, data: bytes, name: str) -> ParsedDocument:
        self._path.write_bytes(data)
        return await FileParser(self.pool, max_characters=1_000_000).parse(Source(self._path, name, None))

    async def refusal(self, data: bytes, name: str) -> BadDocument:
        with pytest.raises(BadDocument) as caught:
            await self.read(data, name)
        return caught.value


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    await reader.pool.close()


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"])
async def test_pictures_of_every_kind(reader: Reader, form: str) -> None:
    parsed = await reader.read(saved_as(scan(RUSSIAN), form), f"scan.{form.lower()}")
    assert words(parsed.text) == words(RUSSIAN)
    assert parsed.media_type == f"image/{form.lower()}"
    assert parsed.parts == ()
    assert parsed.warnings == ()


async def test_pages_of_a_tiff_keep_their_numbers(reader: Reader) -> None:
    pages = [scan(RUSSIAN), scan(ENGLISH)]
    data = saved_as(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    parsed = await reader.read(data, "scans.tif")
    found = [(part.place.page, words(parsed.text[part.start : part.end])) for part in parsed.parts]
    assert found == [(1, words(RUSSIAN)), (2, words(ENGLISH))]


async def test_only_the_pages_of_a_pdf_without_text_are_recognised(reader: Reader) -> None:
    parsed = await reader.read(
        scanned_pdf(["Words of a text layer.", scan(RUSSIAN), "The end."]), "mixed.pdf"
    )
    found = [(part.place.page, words(parsed.text[part.start : part.end])) for part in parsed.parts]
    assert found == [
        (1, ["Words", "of", "a", "text", "layer."]),
        (2, words(RUSSIAN)),
        (3, ["The", "end."]),
    ]


async def test_a_page_on_its_side_and_a_transparent_one(reader: Reader) -> None:
    on_its_side = scan(f"{ENGLISH} {RUSSIAN} " * 5).rotate(90, expand=True)
    assert words((await reader.read(saved_as(on_its_side, "PNG"), "side.png")).text)[:3] == words(ENGLISH)[:3]
    letters = scan(ENGLISH).point(lambda value: 255 - value)
    layered = Image.new("RGBA", letters.size, (0, 0, 0, 0))
    layered.putalpha(letters)
    assert words((await reader.read(saved_as(layered, "PNG"), "layered.png")).text) == words(ENGLISH)


async def test_what_nobody_can_read_does_not_go_live(reader: Reader) -> None:
    error = await reader.refusal(saved_as(blurred(RUSSIAN), "PNG"), "blurred.png")
    assert error.code == "ocr_unreadable"
    assert "200 dots per inch" in error.message
    assert (await reader.refusal(scanned_pdf([blurred(RUSSIAN)]), "blurred.pdf")).code == "ocr_unreadable"


async def test_pages_that_cannot_be_read_are_named(reader: Reader) -> None:
    parsed = await reader.read(scanned_pdf([scan(ENGLISH), blurred(RUSSIAN)]), "half.pdf")
    assert words(parsed.text) == words(ENGLISH)
    assert parsed.warnings == ("Page 2: left out: the text could not be read with enough confidence.",)


async def test_pages_without_any_words_are_named(reader: Reader) -> None:
    parsed = await reader.read(scanned_pdf([scan(ENGLISH), Image.linear_gradient("L"), "End."]), "sky.pdf")
    assert parsed.warnings == ("Page 2: no text was recognised in the picture.",)


async def test_a_picture_without_text_has_none(reader: Reader) -> None:
    white = saved_as(Image.new("RGB", (800, 600), "white"), "PNG")
    assert (await reader.refusal(white, "white.png")).code == "no_text"
    assert (await reader.refusal(saved_as(Image.linear_gradient("L"), "JPEG"), "sky.jpg")).code == "no_text"


def huge_png(width: int, height: int) -> bytes:
    """A correct header and next to no data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_000, 100_000, 2_000_000])
async def test_huge_pictures_are_refused_before_they_are_decoded(reader: Reader, side: int) -> None:
    assert (await reader.refusal(huge_png(side, side), "huge.png")).code == "image_too_large"


async def test_damaged_pictures(reader: Reader) -> None:
    for form in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"):
        data = saved_as(scan(ENGLISH), form)
        assert (await reader.refusal(data[: len(data) // 3], "cut.png")).code == "damaged_file", form


@pytest.mark.parametrize(
    ("options", "words_of_message"),
    [
        (OcrOptions(program=None), ("tesseract is not installed", "apt-get install tesseract-ocr")),
        (OcrOptions(program="/nowhere/tesseract"), ("tesseract is not installed",)),
        (OcrOptions(languages="eng+tlh"), ("data for tlh", "tesseract-ocr-tlh")),
    ],
)
async def test_without_tesseract_the_cure_is_named(
    tmp_path: Path, options: OcrOptions, words_of_message: tuple[str, ...]
) -> None:
    reader = Reader(tmp_path, options)
    error = await reader.refusal(saved_as(scan(ENGLISH), "PNG"), "scan.png")
    assert error.code == "ocr_unavailable"
    assert all(each in error.message for each in words_of_message)
    parsed = await reader.read(scanned_pdf(["Words.", scan(ENGLISH)]), "mixed.pdf")
    assert parsed.text.strip() == "Words."
    assert parsed.warnings[0].startswith("Page 2: left out: ")
    await reader.pool.close()


async def test_switched_off(tmp_path: Path) -> None:
    reader = Reader(tmp_path, OcrOptions(enabled=False))
    assert (await reader.refusal(saved_as(scan(ENGLISH), "PNG"), "scan.png")).code == "unsupported_format"
    error = await reader.refusal(scanned_pdf([scan(ENGLISH)]), "scan.pdf")
    assert (error.code, "RAG_OCR" in error.message) == ("no_text", True)
    assert (await reader.read(pdf([["Words."], []]), "words.pdf")).text.strip() == "Words."
    await reader.pool.close()


async def test_a_confidence_that_no_line_reaches(tmp_path: Path) -> None:
    reader = Reader(tmp_path, OcrOptions(least_confidence=100))
    assert (await reader.refusal(saved_as(scan(ENGLISH), "PNG"), "scan.png")).code == "ocr_unreadable"
    await reader.pool.close()


async def test_recognition_that_hangs_dies_with_its_worker(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    mark = tmp_path / "pid"
    slow.write_text(
        f"#!{sys.executable}\nimport os, sys, time\n"
        "if '--list-langs' in sys.argv:\n    sys.exit(print('List:\\neng\\nrus'))\n"
        f"open({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )
    slow.chmod(0o755)
    reader = Reader(tmp_path, OcrOptions(program=str(slow)), Limits(wall_seconds=4))
    error = await reader.refusal(saved_as(scan(ENGLISH), "PNG"), "scan.png")
    assert error.code == "parse_timeout"
    await reader.pool.close()
    assert not mark.exists() or not psutil.pid_exists(int(mark.read_text()))
