"""What readers of mails share: decoding what is 8-bit, and putting headers, text and attachments together."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header
from itertools import pairwise

from rag_common.errors import BadDocument
from rag_ingest.adapters.decoding import decoded
from rag_ingest.adapters.extracted import Extracted, HeadingRow, TextBuilder
from rag_ingest.adapters.readers.html import read_html
from rag_ingest.adapters.readers.kreuzberg import tidy
from rag_ingest.adapters.readers.members import MemberFiles, one_line
from rag_ingest.domain.documents import is_blank
from rag_ingest.domain.formats import MEDIA_TYPES, Format

SHOWN_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_VAGUE = {"ascii", "iso8859-1", "cp1252", "iso8859-15"}
"""What programs declare that do not know: any bytes, or none, are text in them."""
_STATEFUL = ("iso2022", "utf-7", "hz")
"""Encodings whose text is ASCII to the eye."""
_ALIASES = {"unicode-1-1-utf-7": "utf-7", "x-mac-cyrillic": "mac_cyrillic", "x-sjis": "shift_jis"}
_RAW = re.compile("[\udc80-\udcff]")
_SHORT = 300
"""Characters below which a plain text may only say that there is an HTML one."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text as its sender has written it."""

    text: str
    is_html: bool = False


@dataclass(frozen=True, slots=True)
class Versions:
    """The same twice: in plain text alone, and with HTML. One of them is read."""

    plain: "list[Body]"
    rich: "list[Body]"


Body = Text | Versions


@dataclass(slots=True)
class MailText:
    """The parts of a mail that are its own text."""

    headers: dict[str, str]
    """Names of :data:`SHOWN_HEADERS`, as far as the mail has them, and their decoded values."""
    bodies: list[Body]
    """In their order: a mail may go on after an attachment, or a list may add its own lines."""
    warnings: list[str] = field(default_factory=list)


def mail_extracted(mail: MailText, kind: Format, attached: list[str], files: MemberFiles) -> Extracted:
    """Headers, an empty line, the body; the title is the subject. ``attached``: names of all attachments."""
    built = TextBuilder()
    lines = [f"{name}: {mail.headers[name]}" for name in SHOWN_HEADERS if mail.headers.get(name)]
    if attached:
        lines.append(f"Attachments: {', '.join(map(one_line, attached))}")
    if lines:
        built.add("\n".join(lines))
    warnings = _add_bodies(built, mail.bodies)
    title = mail.headers.get("Subject")
    found = built.extracted(
        MEDIA_TYPES[kind], title=title, warnings=[*mail.warnings, *warnings, *files.warnings]
    )
    return found | {"members": files.rows}


def _add_bodies(built: TextBuilder, bodies: Sequence[Body]) -> list[str]:
    """All of them; returns warnings. Texts of one kind that follow each other are read as one."""
    warnings: list[str] = []
    texts: list[str] = []
    for body, following in pairwise([*bodies, None]):
        if isinstance(body, Versions):
            warnings += _add_better(built, body)
        elif body is not None:
            texts.append(body.text)
            if not isinstance(following, Text) or following.is_html != body.is_html:
                warnings += _add_texts(built, texts, is_html=body.is_html)
                texts.clear()
    return warnings


def _add_texts(built: TextBuilder, texts: Sequence[str], *, is_html: bool) -> list[str]:
    filled = [text for text in texts if not is_blank(text)]
    if not is_html:
        plain = tidy("\n\n".join(filled))
        if not is_blank(plain):
            built.add(plain)
    elif filled:
        page = read_html("\n".join(filled), "html")
        _append(built, page["text"], page["headings"])
        return page["warnings"]
    return []


def _add_better(built: TextBuilder, versions: Versions) -> list[str]:
    """The plain text, unless it is short and the other version says more."""
    chosen = TextBuilder()
    warnings = _add_bodies(chosen, versions.plain)
    if len(chosen.text) < _SHORT:
        rich = TextBuilder()
        warnings_of_rich = _add_bodies(rich, versions.rich)
        if len(rich.text) > len(chosen.text):
            chosen, warnings = rich, warnings_of_rich
    _append(built, chosen.text, chosen.headings)
    return warnings


def _append(built: TextBuilder, text: str, headings: Sequence[HeadingRow]) -> None:
    if text:
        start, _ = built.add(text)
        built.headings += [
            (start + first, start + last, level, words) for first, last, level, words in headings
        ]


def header_text(value: str, declared: str | None = None) -> str:
    """A raw header of :mod:`email`, unfolded and decoded; ``declared``: what 8-bit bytes may be in."""
    text = value
    if raw_bytes(value):
        text, _ = text_of(raw_bytes(value), declared)
    text = text.replace("\r", "").replace("\n", "")
    try:
        pieces = decode_header(text)
    except (HeaderParseError, ValueError):
        # base64 that is none
        return one_line(text)
    texts = [
        text_of(_bytes(piece), charset)[0] if charset else _undeclared(piece) for piece, charset in pieces
    ]
    return one_line("".join(texts))


def raw_bytes(value: str) -> bytes:
    """The bytes of a header that holds more than ASCII, undecoded; empty for any other."""
    return value.encode("utf-8", "surrogateescape") if _RAW.search(value) else b""


def _undeclared(piece: str | bytes) -> str:
    # decode_header gives what stands between encoded words in this form
    return piece if isinstance(piece, str) else piece.decode("raw-unicode-escape", "replace")


def _bytes(piece: str | bytes) -> bytes:
    return piece.encode("utf-8", "surrogateescape") if isinstance(piece, str) else piece


def text_of(data: bytes, declared: str | None) -> tuple[str, tuple[str, ...]]:
    """Decode a header or a body, with warnings; what cannot be decoded is replaced: the rest is good.

    A declared encoding is believed, unless it is one of those that say nothing.
    """
    encoding = _known(declared)
    if encoding and encoding not in _VAGUE and (not data.isascii() or encoding.startswith(_STATEFUL)):
        try:
            return data.decode(encoding), ()
        except UnicodeDecodeError:
            # declared wrongly, or damaged: the content decides
            pass
    try:
        return decoded(data, encoding) if data else ("", ())
    except BadDocument:
        return data.decode(encoding or "utf-8", "replace"), ()


def says_nothing(declared: str | None) -> bool:
    """Whether an encoding is declared that nobody has chosen, or none."""
    encoding = _known(declared)
    return encoding is None or encoding in _VAGUE


def _known(declared: str | None) -> str | None:
    name = (declared or "").strip().strip("\"'").lower()
    try:
        found = codecs.lookup(_ALIASES.get(name, name))
        b"".decode(found.name)
    except (LookupError, ValueError):
        return None
    return found.name
