"""What a file is, by content first; and text, decoded verbatim or refused with a reason."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_common.errors import BadDocument
from rag_ingest.domain.documents import ParsedDocument, require_text
from rag_ingest.domain.formats import SUPPORTED, Format, detect_format
from rag_ingest.domain.text import decode_text, parse_text


@pytest.mark.parametrize(
    ("head", "file_name", "media_type", "expected"),
    [
        (b"plain words", "notes.txt", None, "text"),
        (b"plain words", None, None, "text"),
        (b"# Title", "README.MD", None, "markdown"),
        (b"# Title", None, "text/markdown; charset=utf-8", "markdown"),
        (b"# Title", "notes.txt", "text/markdown", "text"),
        (b"<!DOCTYPE html><p>", "page.txt", "text/plain", "html"),
        (b"\xef\xbb\xbf \n<html lang=ru>", None, None, "html"),
        (b"<p>fragment", "page.html", None, "html"),
        (b"%PDF-1.7\n", "report.txt", "text/plain", "pdf"),
        (b"junk before\n%PDF-1.4", "report.pdf", None, "pdf"),
        (b"PK\x03\x04rest", "letter.pdf", None, "zip"),
        (b"words in fact", "lying.pdf", "application/pdf", "text"),
        (b"words in fact", "lying.docx", None, "text"),
        (b"words in fact", "lying.pptx", None, "text"),
        (b"{\\rtf1 hello}", "letter.txt", None, "rtf"),
        (b"a;b", "table.CSV", None, "csv"),
        (b"a\tb", "table.tsv", None, "csv"),
        (b"{}", "data", "application/json; charset=utf-8", "json"),
        (b"{}", "lines.jsonl", None, "json"),
        (b'<?xml version="1.0"?><note/>', "note.txt", None, "xml"),
        (b"<note/>", "note.xml", None, "xml"),
        (b'<?xml version="1.0"?><html>', "page.xml", None, "html"),
        (b"GIF8 is how a picture begins.", "notes.txt", None, "text"),
        (b"BM is how another begins.", "notes.txt", None, "text"),
        (b"\x89PNG\r\n\x1a\n\x00", "scan.pdf", None, "image"),
        (b"\xff\xd8\xff\xe0", "photo", None, "image"),
        (b"GIF89a\x00\x00\x01", "notes.txt", None, "image"),
        (b"II*\x00\x08", None, None, "image"),
        (b"RIFF\x00\x00\x01\x02WEBPVP8 ", None, None, "image"),
        (b"BM\x36\x00\x03\x00\x00\x00\x00\x00", None, None, "image"),
        (b"words in fact", "lying.png", "image/png", "text"),
    ],
)
def test_detection(head: bytes, file_name: str | None, media_type: str | None, expected: Format) -> None:
    assert detect_format(head, file_name=file_name, media_type=media_type) == expected


@pytest.mark.parametrize(
    ("head", "file_name", "code", "words"),
    [
        (b"RIFF\x00\x00\x01\x02WAVE", "notes.txt", "unsupported_format", "RIFF"),
        (b"\x7fELF\x02\x01", None, "unsupported_format", "program"),
        (b"\x78\x9f\x3e\x22\x01", "winmail.dat", "unsupported_format", "winmail.dat"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "secret.docx", "password_protected", "password"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "secret.XLSX", "password_protected", "password"),
        (bytes(range(256)), "report.pdf", "damaged_file", "damaged"),
    ],
)
def test_what_cannot_be_read_is_named(head: bytes, file_name: str | None, code: str, words: str) -> None:
    with pytest.raises(BadDocument) as caught:
        detect_format(head, file_name=file_name, media_type=None)
    assert caught.value.code == code
    assert words in caught.value.message


def test_unsupported_formats_name_the_supported_ones() -> None:
    with pytest.raises(BadDocument, match=re.escape(SUPPORTED)):
        detect_format(b"OggS\x00", file_name="song.ogg", media_type=None)


characters = st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("\r\n\t")


@given(st.text(characters, min_size=1).filter(lambda text: not text.startswith("\ufeff")))
@settings(deadline=None, max_examples=100)
def test_text_is_decoded_verbatim(text: str) -> None:
    assert decode_text(text.encode()) == text
    assert decode_text(b"\xef\xbb\xbf" + text.encode()) == text


def test_line_ends_and_inner_marks_stay_as_they_are() -> None:
    assert decode_text("a\r\nb\rc\n\ufeffd".encode()) == "a\r\nb\rc\n\ufeffd"


def refused(data: bytes) -> BadDocument:
    with pytest.raises(BadDocument) as caught:
        decode_text(data)
    return caught.value


def test_an_empty_file_is_refused() -> None:
    assert refused(b"").code == "empty_file"


def test_invalid_utf8_names_the_byte_of_the_file_and_the_cure() -> None:
    error = refused(b"\xef\xbb\xbfcaf\xe9 au lait")
    assert error.code == "invalid_utf8"
    assert "at byte 6 (0xe9)" in error.message
    assert "Save the file as UTF-8" in error.message


def test_an_encoding_that_is_not_certain_is_not_guessed() -> None:
    error = refused(b"caf\xe9 au lait")
    assert error.code == "unknown_encoding"
    assert "Save the file as UTF-8" in error.message


@pytest.mark.parametrize("seed", range(5))
def test_binary_noise_is_not_text(seed: int) -> None:
    assert refused(random.Random(seed).randbytes(5000)).code == "not_text"


def test_noise_without_nul_is_not_text() -> None:
    noise = bytes(byte for byte in random.Random(1).randbytes(5000) if byte)
    assert refused(noise).code == "not_text"


def test_a_few_control_characters_do_not_make_text_noise() -> None:
    assert decode_text(b"page one\x0cpage two" + b" words" * 20 + b"\x01") != ""


def test_markdown_has_headings_and_plain_text_has_none() -> None:
    assert parse_text(b"# Title\n", "markdown").title == "Title"
    assert parse_text(b"# Title\n", "markdown").headings
    assert not parse_text(b"# Title\n", "text").headings


@pytest.mark.parametrize("text", ["", " \n\t\r\n", "\u200b\ufeff \u00ad"])
def test_whitespace_alone_is_no_text(text: str) -> None:
    with pytest.raises(BadDocument) as caught:
        require_text(ParsedDocument(text, "text/plain"), limit=100)
    assert caught.value.code == "no_text"


def test_too_much_text_is_refused_with_the_limit() -> None:
    with pytest.raises(BadDocument, match="1,000 characters") as caught:
        require_text(ParsedDocument("x" * 1001, "text/plain"), limit=1000)
    assert caught.value.code == "too_much_text"


@pytest.mark.parametrize(
    ("head", "file_name", "kind"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old.doc", "msg"),
        (b"Received: by x\r\n\tfor y\r\nFrom: a@b\r\n\r\nReceived", None, "eml"),
        (b"From: a@b\nMIME-Version: 1.0\nX-Cut: in the mid", "mail.txt", "eml"),
        (b"From: a@b\nTo: all\nSubject: lunch\n\nWe meet at 12.", None, "text"),
        (b"From: a@b\nReceived by mistake\nMIME-Version: 1.0\n\nx", None, "text"),
        (b"From: a@b\nMIME-Version: 1.0\n\nx", "how-mails-look.md", "markdown"),
        (b"anything", "mail.eml", "eml"),
    ],
)
def test_mails_are_known_by_their_headers(head: bytes, file_name: str | None, kind: str) -> None:
    assert detect_format(head, file_name=file_name, media_type=None) == kind
