"""The committed files of the corpus say what their sources say, as the platform reads them."""

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from examples.build_corpus import SOURCES, VERBATIM
from examples.corpus_blocks import Block, parse
from rag_ingest.adapters.readers import extract
from rag_ingest.domain.formats import HEAD_BYTES, detect_format

CORPUS = SOURCES.with_name("corpus")
BUILT = sorted(SOURCES.rglob("*.md"))
AS_BLOCKS = [
    source for source in BUILT if source.with_suffix("").suffix not in (*VERBATIM, ".eml", ".zip", ".png")
]
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


def built(source: Path) -> Path:
    return CORPUS / source.relative_to(SOURCES).with_suffix("")


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def read(file: Path) -> str:
    """Title, headings and text: the name of a sheet is a heading that the text does not repeat."""
    with file.open("rb") as content:
        kind = detect_format(content.read(HEAD_BYTES), file_name=file.name, media_type=None)
    found = extract(str(file), kind)
    return one_line(" ".join([found["title"] or "", *(row[3] for row in found["headings"]), found["text"]]))


def texts(block: Block) -> list[str]:
    if block.kind == "table":
        return [cell for row in block.rows for cell in row]
    # Word numbers the lines of a numbered list by itself.
    return [re.sub(r"^\d+\. ", "", block.text)] if block.kind == "number" else [block.text]


@pytest.mark.parametrize("source", AS_BLOCKS, ids=lambda path: path.stem)
def test_a_built_file_holds_the_text_of_its_source(source: Path) -> None:
    content = read(built(source))
    blocks = list(parse(source.read_text(encoding="utf-8")))
    # a table as text has no title
    blocks = blocks[1:] if source.with_suffix("").suffix == ".csv" else blocks
    missing = [text for block in blocks for text in texts(block) if one_line(text) not in content]
    assert missing == [], "run: make corpus"


@pytest.mark.parametrize("suffix", VERBATIM)
def test_a_file_that_is_taken_as_it_is(suffix: str) -> None:
    sources = [source for source in BUILT if source.with_suffix("").suffix == suffix]
    assert sources
    for source in sources:
        text = built(source).read_text(encoding=VERBATIM[suffix])
        assert text == source.read_text(encoding="utf-8"), "run: make corpus"


@pytest.mark.parametrize("name", ["en/supplier-delay.eml", "ru/zakazchik-o-srokakh.eml"])
def test_a_mail_says_what_its_source_says(name: str) -> None:
    source = (SOURCES / f"{name}.md").read_text(encoding="utf-8")
    content = read(CORPUS / name)
    for block in list(parse(source.split("\n---\n")[0]))[1:]:
        assert block.text.startswith("Attachment: ") or one_line(block.text) in content, "run: make corpus"


def test_an_archive_holds_its_pages() -> None:
    source = (SOURCES / "ru/protokoly-ispytanij.zip.md").read_text(encoding="utf-8")
    with zipfile.ZipFile(CORPUS / "ru/protokoly-ispytanij.zip") as archive:
        pages = [archive.read(name).decode() for name in archive.namelist()]
    assert [one_line(page) for page in pages] == [
        one_line(page).removeprefix("# ") for page in source.split("\n---\n")
    ], "run: make corpus"


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_the_scan_can_be_read() -> None:
    content = read(CORPUS / "ru/prikaz-o-dezhurstve.png")
    assert "Приказ № 47" in content
    assert "два дня отдыха" in content


def test_the_corpus_has_the_breadth_that_it_promises() -> None:
    assert len(FILES) >= 20
    assert len({file.suffix for file in FILES}) >= 12
    assert all(
        detect_format(file.read_bytes()[:HEAD_BYTES], file_name=file.name, media_type=None) for file in FILES
    )


def test_a_block_is_parsed_by_its_mark() -> None:
    source = (
        "# Title\n\n## Part\n\nText.\n\n- one\n- two\n\n1. first\n\n---\n\n| a | b |\n|---|---|\n| c | d |\n"
    )
    assert list(parse(source)) == [
        Block("title", "Title"),
        Block("heading", "Part"),
        Block("paragraph", "Text."),
        Block("bullet", "one"),
        Block("bullet", "two"),
        Block("number", "1. first"),
        Block("page"),
        Block("table", rows=(("a", "b"), ("c", "d"))),
    ]
