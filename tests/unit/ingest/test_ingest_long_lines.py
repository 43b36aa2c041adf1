"""Lines of a megabyte take linear time: any worse, and no test here would end in time."""

import pytest

from rag_ingest.adapters.decoding import decoded, parsed_text
from rag_ingest.adapters.splitter import PhraseSplitter
from rag_ingest.domain.cyrillic import SAMPLE_BYTES, sample_of
from rag_ingest.domain.size import ChunkSize, Window
from rag_ingest.domain.splitting import split_document

SIZE = ChunkSize(250, 2000, Window(256, ("en",)))
LONG = 1_000_000
RUSSIAN = "Ежегодный отпуск составляет двадцать восемь дней"
LINES = {
    "word": "x" * LONG,
    "words": "word " * (LONG // 5),
    "rule": "|" + "-" * LONG + "x",
    "spaces": "x" + " " * LONG + "x",
    "stops": "x" + "." * LONG,
    "quotes": '"' * LONG,
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_lines_of_a_megabyte_are_decoded(line: str) -> None:
    for encoding in ("cp1251", "koi8_r", "utf-16"):
        text = f"{line} {RUSSIAN}"
        assert decoded(text.encode(encoding))[0] == text
    western = f"{line} L'été dernier, nous avons reçu près de cinquante élèves"
    assert decoded(western.encode("cp1252"))[0] == western


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_lines_of_a_megabyte_are_mended(line: str) -> None:
    text = f"{line}\n{RUSSIAN}"
    assert decoded(text.encode().decode("mac_roman").encode())[0] == text
    assert decoded(f"{line} {RUSSIAN}".encode().decode("latin_1").encode())[0] == f"{line} {RUSSIAN}"


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_lines_of_a_megabyte_are_split(line: str) -> None:
    chunks = split_document(parsed_text(line.encode(), "markdown"), PhraseSplitter(), SIZE)
    assert all(line[chunk.start : chunk.end] == chunk.text for chunk in chunks)


def test_a_sample_is_what_is_not_ascii() -> None:
    data = b"x" * LONG + RUSSIAN.encode("cp1251") + b"y" * LONG
    assert sample_of(data).strip(b"xy") == RUSSIAN.encode("cp1251")
    assert len(sample_of(RUSSIAN.encode("cp1251") * 1000)) <= SAMPLE_BYTES
