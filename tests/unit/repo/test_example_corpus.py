"""The committed PDF and DOCX files say what their sources say; every format is there in both languages."""

import re
from pathlib import Path

import pytest
from kreuzberg import extract_file_sync

from examples.build_corpus import SOURCES, Block, parse

CORPUS = SOURCES.with_name("corpus")
BUILT = sorted(SOURCES.rglob("*.md"))


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def texts(block: Block) -> list[str]:
    if block.kind == "table":
        return [cell for row in block.rows for cell in row]
    # Word numbers the lines of a numbered list by itself.
    return [re.sub(r"^\d+\. ", "", block.text)] if block.kind == "number" else [block.text]


@pytest.mark.parametrize("source", BUILT, ids=lambda path: path.stem)
def test_a_built_file_holds_the_text_of_its_source(source: Path) -> None:
    file = CORPUS / source.relative_to(SOURCES).with_suffix("")
    content = one_line(extract_file_sync(file).content)
    blocks = list(parse(source.read_text(encoding="utf-8")))
    missing = [text for block in blocks for text in texts(block) if one_line(text) not in content]
    assert missing == [], "run: make corpus"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_format_is_there_in_both_languages(language: str) -> None:
    formats = {file.suffix for file in (CORPUS / language).iterdir()}
    assert formats == {".md", ".html", ".txt", ".pdf", ".docx"}


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
