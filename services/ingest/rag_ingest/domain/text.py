"""Plain text and Markdown: decoded verbatim, so that offsets are those of the file."""

from rag_common.errors import BadDocument
from rag_ingest.domain.documents import ParsedDocument
from rag_ingest.domain.formats import MEDIA_TYPES, Format, looks_like_text
from rag_ingest.domain.markdown import markdown_headings

_BOM = b"\xef\xbb\xbf"


def decode_text(data: bytes) -> str:
    """UTF-8, verbatim; a byte order mark at the beginning is not part of the text.

    :raises BadDocument: ``empty_file``, ``not_text`` or ``invalid_utf8``.
    """
    if not data:
        raise BadDocument("The file is empty.", code="empty_file")
    if not looks_like_text(data):
        raise BadDocument(
            "The file is not text: it holds NUL or control characters."
            " If it is text in UTF-16, save it as UTF-8 and send it again.",
            code="not_text",
        )
    offset = len(_BOM) if data.startswith(_BOM) else 0
    try:
        return data[offset:].decode()
    except UnicodeDecodeError as error:
        position = error.start + offset
        raise BadDocument(
            f"The text is not valid UTF-8 at byte {position} (0x{data[position]:02x})."
            " Save the file as UTF-8 and send it again.",
            code="invalid_utf8",
        ) from error


def parse_text(data: bytes, kind: Format) -> ParsedDocument:
    """Plain text, or Markdown with its headings.

    :raises BadDocument: as :func:`decode_text`.
    """
    text = decode_text(data)
    headings = markdown_headings(text) if kind == "markdown" else ()
    title = next((heading.title for heading in headings if heading.level == 1), None)
    return ParsedDocument(text, MEDIA_TYPES[kind], headings=headings, title=title)
