"""EML: a mail as it travels (RFC 5322), its text and its attachments."""

import mimetypes
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32
from pathlib import Path

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers.mail import (
    SHOWN_HEADERS,
    Body,
    MailText,
    Text,
    Versions,
    header_text,
    mail_extracted,
    raw_bytes,
    says_nothing,
    text_of,
)
from rag_ingest.adapters.readers.members import MemberFiles
from rag_ingest.domain.cyrillic import guess_cyrillic
from rag_ingest.domain.formats import Format
from rag_ingest.domain.members import Room

_KNOWN = {"from", "to", "subject", "date", "received", "message-id", "mime-version", "content-type"}
_MAX_DEPTH = 100
"""Parts in parts; mails that were forwarded for years have ten."""


class _RawHeaders(Compat32):
    """Hands headers out as they stand in the file: how they are decoded is decided here."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


_POLICY = _RawHeaders(mangle_from_=False)


def read(path: Path, kind: Format, room: Room | None) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    try:
        with path.open("rb") as file:
            mail = BytesParser(policy=_POLICY).parse(file)
        if _KNOWN.isdisjoint(name.lower() for name in mail):
            raise _damaged()
        parts = _Parts()
        parts.collect(mail)
    except RecursionError as error:
        raise _damaged() from error
    charset = _charset_of_headers(mail, parts)
    files = MemberFiles(room)
    names = [_name(part, charset) for part in parts.attached]
    for name, part in zip(names, parts.attached, strict=True):
        files.add(name, [_content(part)], _media_type(part))
    headers = {name: header_text(mail[name], charset) for name in SHOWN_HEADERS if mail[name]}
    text = MailText(headers, parts.bodies, parts.warnings)
    return mail_extracted(text, kind, names, files)


def _charset_of_headers(mail: Message, parts: "_Parts") -> str | None:
    """What 8-bit headers are in: what the text is in, if that is said, or else by all there is of both."""
    declared = mail.get_content_charset() or parts.charset
    if not says_nothing(declared):
        return declared
    values = [raw_bytes(mail[name]) for name in SHOWN_HEADERS if mail[name]]
    guess = guess_cyrillic(b"\n".join([*values, parts.sample]))
    return guess.encoding if guess is not None and guess.certain else declared


class _Parts:
    """The texts of a mail, and what is attached to it."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []
        self.charset: str | None = None
        self.warnings: list[str] = []
        self.sample = b""
        """The bytes of the first text."""
        self.attached: list[Message] = []

    def collect(self, part: Message, depth: int = 0) -> None:
        kind = part.get_content_type()
        if depth > _MAX_DEPTH:
            raise _damaged()
        if kind == "multipart/alternative":
            self._choose(part, depth)
        elif part.get_content_maintype() == "multipart" and part.is_multipart():
            for inner in _inner(part):
                if not (kind == "multipart/related" and _is_picture(inner)):
                    self.collect(inner, depth + 1)
        elif kind in ("text/plain", "text/html") and not _is_attachment(part):
            self._add_text(kind, part)
        elif part.get_content_maintype() == "multipart":
            # one without a boundary
            self._add_text("text/plain", part)
        elif kind == "message/delivery-status" and part.is_multipart():
            self.bodies.append(Text("\n\n".join(str(block) for block in _inner(part))))
        else:
            _undo_base64(part)
            self.attached.append(part)

    def _choose(self, part: Message, depth: int) -> None:
        """Of versions of one text there is a plain one and one in HTML; what is attached to any stays."""
        versions = Versions([], [])
        for inner in _inner(part):
            if inner.get_content_type() in ("text/plain", "text/html") or inner.is_multipart():
                bodies = self._apart(inner, depth + 1)
                (versions.rich if _has_html(bodies) else versions.plain).extend(bodies)
            elif _is_attachment(inner):
                self.attached.append(inner)
        self.bodies.append(versions)

    def _apart(self, part: Message, depth: int) -> list[Body]:
        """The bodies of a part, which are not yet those of the mail."""
        before, self.bodies = self.bodies, []
        self.collect(part, depth)
        found, self.bodies = self.bodies, before
        return found

    def _add_text(self, kind: str, part: Message) -> None:
        charset = part.get_content_charset()
        content = _content(part)
        self.sample = self.sample or content
        text, warnings = text_of(content, charset)
        self.warnings += warnings
        self.charset = self.charset or charset
        self.bodies.append(Text(text, is_html=kind == "text/html"))


def _has_html(bodies: list[Body]) -> bool:
    return any(body.is_html if isinstance(body, Text) else bool(body.rich) for body in bodies)


def _name(part: Message, charset: str | None) -> str:
    name = header_text(part.get_filename() or "", charset)
    if name:
        return name
    if part.get_content_type() == "message/rfc822" and part.is_multipart():
        subject = header_text(_inner(part)[0]["Subject"] or "", charset)
        return f"{subject.replace('/', '-') or 'mail'}.eml"
    return f"attachment{mimetypes.guess_extension(part.get_content_type()) or ''}"


def _media_type(part: Message) -> str:
    charset = part.get_content_charset()
    return part.get_content_type() + (f"; charset={charset}" if charset and charset.isascii() else "")


def _inner(part: Message) -> list[Message]:
    # Of a part without any the parser would decode the text, in whatever charset it declares.
    payload = part.get_payload() if part.is_multipart() else None
    return [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []


def _undo_base64(part: Message) -> None:
    """Have an encoded mail in the mail parsed, too. RFC 2046 forbids it (section 5.2.1), programs do it."""
    inner = _inner(part)
    encoding = str(part["Content-Transfer-Encoding"] or "").strip().lower()
    # Some declare it of a mail that is not.
    if part.get_content_maintype() == "message" and encoding == "base64" and inner and not inner[0].keys():
        inner[0]["Content-Transfer-Encoding"] = "base64"
        part.set_payload([BytesParser(policy=_POLICY).parsebytes(_content(inner[0]))])


def _is_attachment(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(part.get_filename())


def _is_picture(part: Message) -> bool:
    """An image that an HTML text shows: a logo, a smiley."""
    return part.get_content_maintype() == "image" and part["Content-ID"] is not None


def _content(part: Message) -> bytes:
    if part.is_multipart():
        return b"\n".join(each.as_bytes(policy=_POLICY) for each in _inner(part))
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _damaged() -> BadDocument:
    return BadDocument(
        "The file is called EML, but has not the form of a mail; it may be damaged.", code="damaged_file"
    )
