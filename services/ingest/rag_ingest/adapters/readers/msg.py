"""MSG: a mail as Outlook saves it, its text and its attachments."""

import errno
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from email.header import Header
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime
from pathlib import Path

from olefile import OleFileIO
from olefile.olefile import OleFileError

from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers.mail import MailText, Text, Versions, header_text, mail_extracted
from rag_ingest.adapters.readers.members import MemberFiles, MemberRefused, one_line
from rag_ingest.adapters.readers.msg_properties import Properties, is_message
from rag_ingest.adapters.readers.msg_rtf import rtf_text
from rag_ingest.adapters.readers.packages import damaged
from rag_ingest.domain.documents import is_blank
from rag_ingest.domain.formats import Format, unsupported
from rag_ingest.domain.members import MAX_DEPTH, Room

# [MS-OXPROPS], by the names there without PidTag
_SUBJECT, _BODY, _HTML, _RTF_COMPRESSED = 0x0037, 0x1000, 0x1013, 0x1009
_SENDER_NAME, _SENDER_SMTP, _SENDER_ADDRESS = 0x0C1A, 0x5D01, 0x0C1F
_TRANSPORT_HEADERS, _CLIENT_SUBMIT_TIME, _DELIVERY_TIME = 0x007D, 0x0039, 0x0E06
_DISPLAY_NAME, _RECIPIENT_TYPE, _RECIPIENT_SMTP, _RECIPIENT_ADDRESS = 0x3001, 0x0C15, 0x39FE, 0x3003
_DATA, _LONG_NAME, _SHORT_NAME, _MIME_TYPE, _CONTENT_ID = 0x3701, 0x3707, 0x3704, 0x370E, 0x3712
_TO, _CC = 1, 2


def read(path: Path, kind: Format, room: Room | None) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    with _opened(path, kind) as ole:
        message = Properties(ole)
        plain, html = _texts_of(message)
        mail = MailText(_headers_of(message), [Versions([Text(plain)], [Text(html, is_html=True)])])
        files = MemberFiles(room)
        names = []
        for attachment in _attachments(message, html):
            names.append(attachment.name)
            files.add(attachment.name, attachment.blocks(), attachment.media_type)
    return mail_extracted(mail, kind, names, files)


_SHIFTS_AT = 30
_SECTOR_SIZES = (struct.pack("<HH", 9, 6), struct.pack("<HH", 12, 6))
"""Of a sector and of a mini sector, as powers of two (MS-CFB 2.2)."""


@contextmanager
def _opened(path: Path, kind: Format) -> Iterator[OleFileIO]:
    with path.open("rb") as file:
        header = file.read(_SHIFTS_AT + 4)
    # olefile allocates whatever the file says: 2^35 bytes for one wrong bit
    if header[_SHIFTS_AT:] not in _SECTOR_SIZES:
        raise damaged(kind)
    try:
        with OleFileIO(path) as ole:
            if not is_message(ole):
                raise unsupported("a Microsoft Office file of the old binary kind (.doc, .xls, .ppt)")
            yield ole
    except OSError as error:
        # its own error, or a place that no file has; whatever else fails is not the file's fault
        if not isinstance(error, OleFileError) and error.errno != errno.EINVAL:
            raise
        raise damaged(kind) from error
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, struct.error) as error:
        # olefile trusts some numbers of the file
        raise damaged(kind) from error


def _headers_of(message: Properties) -> dict[str, str]:
    travelled = message_from_string(message.string(_TRANSPORT_HEADERS))
    return {
        "From": _address(message, _SENDER_NAME, _SENDER_SMTP, _SENDER_ADDRESS)
        or header_text(str(travelled["From"] or "")),
        "To": _recipients(message, _TO),
        "Cc": _recipients(message, _CC),
        "Date": header_text(str(travelled["Date"] or "")) or _date(message),
        "Subject": one_line(message.string(_SUBJECT)),
    }


def _texts_of(message: Properties) -> tuple[str, str]:
    """The text in plain, and the same in HTML; each may be empty."""
    plain, html = message.string(_BODY, body=True), message.text(_HTML)
    if is_blank(plain) and is_blank(html):
        plain = rtf_text(message.binary(_RTF_COMPRESSED) or b"")
    return plain, html


def _date(message: Properties) -> str:
    sent = message.time(_CLIENT_SUBMIT_TIME) or message.time(_DELIVERY_TIME)
    return format_datetime(sent) if sent else ""


def _recipients(message: Properties, kind: int) -> str:
    return ", ".join(
        _address(each, _DISPLAY_NAME, _RECIPIENT_SMTP, _RECIPIENT_ADDRESS)
        for each in message.children("__recip_version1.0_#")
        if each.integer(_RECIPIENT_TYPE) == kind
    )


def _address(properties: Properties, name: int, *addresses: int) -> str:
    """As mails write it. An address without ``@`` is one of Exchange, which nobody knows."""
    shown = one_line(properties.string(name))
    found = (one_line(properties.string(number)) for number in addresses)
    address = next((each for each in found if "@" in each), "")
    return f"{shown} <{address}>" if shown and address and shown != address else shown or address


class _Attachment:
    def __init__(self, properties: Properties) -> None:
        self._properties = properties
        self.message = properties.message_inside(_DATA)
        self.media_type = "message/rfc822" if self.message else properties.string(_MIME_TYPE)

    @property
    def name(self) -> str:
        if self.message is not None:
            subject = one_line(self.message.string(_SUBJECT)).replace("/", "-")
            return f"{subject or 'mail'}.eml"
        names = (self._properties.string(number) for number in (_LONG_NAME, _SHORT_NAME, _DISPLAY_NAME))
        return next(filter(None, map(one_line, names)), "attachment")

    def content(self) -> bytes | None:
        """A mail in the mail as EML, as it has no file format of its own."""
        if self.message is not None:
            return _as_eml(self.message, 1).as_bytes()
        return self._properties.binary(_DATA)

    def blocks(self) -> Iterator[bytes]:
        """:raises MemberRefused: the content is not in the mail."""
        content = self.content()
        if content is None:
            raise MemberRefused(reason="it is a link or an object of another program")
        yield content

    def is_picture_of(self, html: str) -> bool:
        """Whether the text shows it: a logo, a smiley."""
        content_id = self._properties.string(_CONTENT_ID)
        return bool(content_id) and f"cid:{content_id}" in html


def _attachments(message: Properties, html: str) -> list[_Attachment]:
    found = [_Attachment(each) for each in message.children("__attach_version1.0_#")]
    return [each for each in found if not each.is_picture_of(html)]


def _as_eml(message: Properties, depth: int) -> Message:
    """The same bytes for the same mail, so that it is unchanged when it comes again."""
    plain, html = _texts_of(message)
    # all parts are in base64, which has no hyphens
    whole = MIMEMultipart("mixed", boundary=f"--rag-{depth}")
    for name, value in _headers_of(message).items():
        if value:
            whole[name] = Header(value, "utf-8").encode()
    bodies = MIMEMultipart("alternative", boundary=f"--rag-{depth}-text")
    for text, subtype in ((plain, "plain"), (html, "html")):
        if not is_blank(text):
            bodies.attach(MIMEText(text.encode(errors="replace").decode(), subtype, "utf-8"))
    whole.attach(bodies)
    for attachment in _attachments(message, html):
        whole.attach(_part_of(attachment, depth))
    return whole


def _part_of(attachment: _Attachment, depth: int) -> Message:
    part: Message
    if attachment.message is not None and depth < MAX_DEPTH:
        part = MIMEMessage(_as_eml(attachment.message, depth + 1))
    else:
        # deeper than anything is read: its name is kept
        part = MIMEApplication(b"" if attachment.message else attachment.content() or b"")
    part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", attachment.name))
    return part
