"""Plain text and Markdown: decoded, mended where that is certain, and otherwise verbatim."""

import codecs

from rag_common.errors import BadDocument
from rag_ingest.domain.documents import ParsedDocument
from rag_ingest.domain.encodings import Detector, decode_guessed, decode_marked, decode_utf_16
from rag_ingest.domain.formats import MEDIA_TYPES, Format, looks_like_text
from rag_ingest.domain.markdown import markdown_headings
from rag_ingest.domain.mojibake import Mender, mend

_INTACT_FOR_EACH_DAMAGED = 10
"""So many good UTF-8 sequences for a bad one, and the text is damaged UTF-8 and nothing else."""


def is_utf8(data: bytes) -> bool:
    """Whether :func:`decode_text` has nothing to guess."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\x00" not in data


def decode_text(data: bytes, *, declared: str | None = None, detector: Detector | None = None) -> str:
    """The text, verbatim; a byte order mark at the beginning is not part of it.

    UTF-8, or UTF-16 with a mark or where it is certain; else the code page that content, ``declared`` and
    ``detector`` agree on. Without a detector only Cyrillic code pages are recognised.

    :raises BadDocument: ``empty_file``, ``not_text``, ``invalid_utf8``, ``damaged_encoding`` or
        ``unknown_encoding``.
    """
    if not data:
        raise BadDocument("The file is empty.", code="empty_file")
    marked = decode_marked(data)
    if marked is not None:
        return _printable(marked)
    if not looks_like_text(data):
        text = decode_utf_16(data)
        if text is None:
            raise _not_text()
        return text
    try:
        return data[len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0 :].decode()
    except UnicodeDecodeError as error:
        offset = len(data) - len(error.object)
        return _not_utf8(data, error.start + offset, declared, detector)


def _not_utf8(data: bytes, position: int, declared: str | None, detector: Detector | None) -> str:
    if data.startswith(codecs.BOM_UTF8) or _is_damaged_utf8(data):
        raise BadDocument(
            f"The text is not valid UTF-8 at byte {position} (0x{data[position]:02x})."
            " Save the file as UTF-8 and send it again.",
            code="invalid_utf8",
        )
    text = decode_guessed(data, declared, detector)
    if text is None:
        raise BadDocument(
            "The text is not UTF-8, and it is not certain which encoding it has instead."
            " Save the file as UTF-8 and send it again.",
            code="unknown_encoding",
        )
    return text


def _is_damaged_utf8(data: bytes) -> bool:
    read = data.decode(errors="replace")
    damaged = read.count("\ufffd")
    intact = len(read) - damaged - len(read.encode("ascii", "ignore"))
    return intact >= _INTACT_FOR_EACH_DAMAGED * damaged


def _printable(text: str) -> str:
    if not looks_like_text(text.encode(errors="replace")):
        raise _not_text()
    return text


def _not_text() -> BadDocument:
    return BadDocument("The file is not text: it holds NUL or control characters.", code="not_text")


def read_text(
    data: bytes,
    *,
    declared: str | None = None,
    detector: Detector | None = None,
    mender: Mender | None = None,
) -> tuple[str, tuple[str, ...]]:
    """The text, mended where that is certain, and a warning if it was.

    :raises BadDocument: as :func:`decode_text`.
    """
    text = decode_text(data, declared=declared, detector=detector)
    mended = mend(text, mender) if mender is not None else None
    if mended is None:
        return text, ()
    return mended.text, (
        f"The text had been decoded wrongly before it was sent ({mended.cause}); it was mended.",
    )


def parse_text(
    data: bytes,
    kind: Format,
    *,
    declared: str | None = None,
    detector: Detector | None = None,
    mender: Mender | None = None,
) -> ParsedDocument:
    """Plain text, or Markdown with its headings.

    :raises BadDocument: as :func:`decode_text`.
    """
    text, warnings = read_text(data, declared=declared, detector=detector, mender=mender)
    headings = markdown_headings(text) if kind == "markdown" else ()
    title = next((heading.title for heading in headings if heading.level == 1), None)
    return ParsedDocument(text, MEDIA_TYPES[kind], headings=headings, title=title, warnings=warnings)
