"""Which format a file has: by its content first, by its name and declared type second."""

import re
from pathlib import PurePosixPath
from typing import Literal

from rag_common.errors import BadDocument

Format = Literal[
    "text",
    "markdown",
    "html",
    "pdf",
    "docx",
    "pptx",
    "xlsx",
    "odt",
    "ods",
    "odp",
    "rtf",
    "epub",
    "csv",
    "json",
    "xml",
    "eml",
    "msg",
    "zip",
    "image",
]

MEDIA_TYPES: dict[Format, str] = {
    "text": "text/plain",
    "markdown": "text/markdown",
    "html": "text/html",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "rtf": "application/rtf",
    "epub": "application/epub+zip",
    "csv": "text/csv",
    "json": "application/json",
    "xml": "application/xml",
    "eml": "message/rfc822",
    "msg": "application/vnd.ms-outlook",
    "zip": "application/zip",
    "image": "image/png",
}
SUPPORTED = (
    "plain text, Markdown, HTML, XML, JSON, CSV, PDF, RTF, EPUB, mails (EML, MSG), ZIP archives,"
    " the files of Office (DOCX, PPTX, XLSX) and those of LibreOffice (ODT, ODP, ODS),"
    " scans and pictures with text (PNG, JPEG, TIFF, WebP, BMP, GIF)"
)
MARKED: frozenset[Format] = frozenset(
    {"pdf", "docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "rtf", "msg", "zip", "image"}
)
"""Formats whose files begin with a mark of their own; a file without it is none of them."""
HEAD_BYTES = 4096
"""How much of a file's beginning :func:`detect_format` wants to see."""

_EXTENSIONS: dict[str, Format] = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    ".xlsx": "xlsx",
    ".odt": "odt",
    ".ods": "ods",
    ".odp": "odp",
    ".rtf": "rtf",
    ".epub": "epub",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".geojson": "json",
    ".xml": "xml",
    ".eml": "eml",
    ".msg": "msg",
    ".zip": "zip",
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif"), "image"),
}
_DECLARED: dict[str, Format] = {media_type: name for name, media_type in MEDIA_TYPES.items()}
_DECLARED |= {
    "text/x-markdown": "markdown",
    "application/xhtml+xml": "html",
    "text/rtf": "rtf",
    "text/tab-separated-values": "csv",
    "application/x-ndjson": "json",
    "application/jsonl": "json",
    "application/geo+json": "json",
    "text/xml": "xml",
    **dict.fromkeys(("image/jpeg", "image/tiff", "image/webp", "image/bmp", "image/gif"), "image"),
}

_PROTECTABLE = {".docx", ".docm", ".pptx", ".pptm", ".xlsx", ".xlsm"}
"""Office wraps these into a container of the old kind when they get a password."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"RIFF", "a RIFF media file"),
    (b"OggS", "an Ogg media file"),
    (b"ID3", "an MP3 file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"%!PS", "a PostScript file"),
    (b"\x78\x9f\x3e\x22", "a winmail.dat of Outlook, which its sender can avoid by mails in HTML"),
)
_IMAGE = re.compile(
    # PNG, JPEG, GIF, TIFF, WebP, BMP: two reserved words of a BMP are zero
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|II\*\x00|MM\x00\*|RIFF.{4}WEBP|BM.{4}\x00{4}",
    re.DOTALL,
)
_HEADER = re.compile(rb"(?:([!-9;-~]+):|[ \t]|From )")
_TRAVELLED = {b"message-id", b"received", b"mime-version"}
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml\s")
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?<(?:!doctype\s+html|html)[\s>]", re.I)


def unsupported(found: str) -> BadDocument:
    """The error for a file that was recognised and cannot be read."""
    return BadDocument(f"The file is {found}; {SUPPORTED} can be read.", code="unsupported_format")


def misnamed(declared: Format) -> BadDocument:
    """The error for a file that is neither what it is called nor text."""
    return BadDocument(
        f"The file is called {declared.upper()}, but its content is not; it may be damaged.",
        code="damaged_file",
    )


def detect_format(head: bytes, *, file_name: str | None, media_type: str | None) -> Format:
    """The format of a file that begins with ``head``.

    A ZIP archive of any kind is ``zip``, an OLE file ``msg``: what is inside is seen when it is opened.

    :raises BadDocument: ``unsupported_format``, ``password_protected`` or ``damaged_file``.
    """
    declared = declared_format(file_name, media_type)
    if head.startswith(b"%PDF-") or (b"%PDF-" in head[:1024] and declared == "pdf"):
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"{\\rtf"):
        return "rtf"
    if head.startswith(_OLE):
        if PurePosixPath(file_name or "").suffix.lower() in _PROTECTABLE:
            raise BadDocument(
                "The document is protected by a password. Remove the password and send it again.",
                code="password_protected",
            )
        return "msg"
    if _IMAGE.match(head):
        return "image"
    for magic, found in _FOREIGN:
        if head.startswith(magic) and not (magic.isalnum() and looks_like_text(head)):
            raise unsupported(found)
    if _HTML.match(head):
        return "html"
    if _XML.match(head):
        return "xml"
    if declared in MARKED:
        if looks_like_text(head):
            return "text"
        raise misnamed(declared)
    if declared in (None, "text") and _is_mail(head):
        return "eml"
    return declared or "text"


def declared_format(file_name: str | None, media_type: str | None) -> Format | None:
    """What the name says, or else the media type; ``None`` where neither is known."""
    extension = PurePosixPath(file_name or "").suffix.lower()
    if extension in _EXTENSIONS:
        return _EXTENSIONS[extension]
    return _DECLARED.get((media_type or "").partition(";")[0].strip().lower())


def _is_mail(head: bytes) -> bool:
    """Headers of a mail that has travelled; a memo may well begin with From and To."""
    block, end, _ = head.replace(b"\r\n", b"\n").partition(b"\n\n")
    # without an end the last line may be cut
    lines = [_HEADER.match(line) for line in block.split(b"\n")[: None if end else -1]]
    names = {(line.group(1) or b"").lower() for line in lines if line}
    return None not in lines and b"from" in names and not names.isdisjoint(_TRAVELLED)


_CONTROLS = bytes(sorted((set(range(32)) - {*b"\t\n\v\f\r\b\x1b"}) | {127}))
CONTROL_SHARE = 0.02
"""Text holds next to no control characters; random bytes hold about 10%."""


def looks_like_text(data: bytes) -> bool:
    """No NUL byte, and at most ``CONTROL_SHARE`` of the bytes are control characters."""
    controls = len(data) - len(data.translate(None, _CONTROLS))
    return b"\x00" not in data and controls <= len(data) * CONTROL_SHARE
