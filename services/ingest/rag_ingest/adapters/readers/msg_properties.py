"""The properties of Outlook's mails: MS-OXMSG (storages and streams), MS-OXPROPS (numbers of properties)."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from olefile import OleFileIO

from rag_ingest.adapters.readers.mail import text_of

_PROPERTIES = "__properties_version1.0"
_ENTRY = struct.Struct("<HHI8s")
_CHILD_HEADER_BYTES = 8
_MESSAGE_CODEPAGE, _INTERNET_CODEPAGE = 0x3FFD, 0x3FDE
_UNICODE, _STRING8, _BINARY, _STORAGE = "001F", "001E", "0102", "000D"
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_CODECS = {
    20127: "ascii",
    20866: "koi8-r",
    21866: "koi8-u",
    10007: "mac_cyrillic",
    65001: "utf-8",
    936: "gbk",
}
_CODECS |= {50220: "iso2022_jp", 50221: "iso2022_jp", 50222: "iso2022_jp", 51932: "euc_jp", 51949: "euc_kr"}
_CODECS |= {28590 + part: f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15)}


def is_message(ole: OleFileIO) -> bool:
    """Whether the file is a mail, and not another one in the same container."""
    return bool(ole.exists(_PROPERTIES))


class Properties:
    """Those of a message, a recipient or an attachment: one storage of the file."""

    def __init__(
        self, ole: OleFileIO, path: tuple[str, ...] = (), *, header: int = 32, codec: str | None = None
    ) -> None:
        self._ole = ole
        self._path = path
        data = self._stream(_PROPERTIES) or b""
        whole = len(data) - (len(data) - header) % _ENTRY.size
        self._fixed = {
            number: value for _, number, _, value in _ENTRY.iter_unpack(data[header : max(header, whole)])
        }
        self._codec = codec or self._codec_of(_MESSAGE_CODEPAGE) or self._codec_of(_INTERNET_CODEPAGE)
        self._body_codec = self._codec_of(_INTERNET_CODEPAGE) or self._codec

    def string(self, number: int, *, body: bool = False) -> str:
        """Empty if there is none."""
        unicode = self._stream(f"__substg1.0_{number:04X}{_UNICODE}")
        if unicode is not None:
            return unicode.decode("utf-16-le", "replace").rstrip("\x00")
        encoded = self._stream(f"__substg1.0_{number:04X}{_STRING8}") or b""
        return text_of(encoded.rstrip(b"\x00"), self._body_codec if body else self._codec)[0]

    def text(self, number: int) -> str:
        """A property that is binary or a string: HTML is either."""
        found = self.binary(number)
        return text_of(found, self._body_codec)[0] if found else self.string(number, body=True)

    def binary(self, number: int) -> bytes | None:
        return self._stream(f"__substg1.0_{number:04X}{_BINARY}")

    def integer(self, number: int) -> int | None:
        value = self._fixed.get(number)
        return int.from_bytes(value[:4], "little") if value is not None else None

    def time(self, number: int) -> datetime | None:
        value = self._fixed.get(number)
        if value is None:
            return None
        try:
            return _EPOCH + timedelta(microseconds=int.from_bytes(value, "little") // 10)
        except OverflowError:
            return None

    def children(self, prefix: str) -> Iterator["Properties"]:
        """The storages of attachments or recipients, in the order of their numbers."""
        depth = len(self._path)
        names = {
            each[depth]
            for each in self._ole.listdir(streams=True)
            if len(each) > depth + 1 and tuple(each[:depth]) == self._path and each[depth].startswith(prefix)
        }
        for name in sorted(names):
            yield Properties(self._ole, (*self._path, name), header=_CHILD_HEADER_BYTES, codec=self._codec)

    def message_inside(self, number: int) -> "Properties | None":
        """The message that is the value of an attachment's property."""
        path = (*self._path, f"__substg1.0_{number:04X}{_STORAGE}")
        if not self._ole.exists([*path, _PROPERTIES]):
            return None
        return Properties(self._ole, path, header=24)

    def _stream(self, name: str) -> bytes | None:
        path = [*self._path, name]
        if self._ole.get_type(path) != 2:
            return None
        with self._ole.openstream(path) as stream:
            content: bytes = stream.read()
        return content

    def _codec_of(self, number: int) -> str | None:
        page = self.integer(number)
        return _CODECS.get(page, f"cp{page}") if page else None
