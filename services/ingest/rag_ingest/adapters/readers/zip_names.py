"""The names of a ZIP archive's members, which many programs write in the code page of their system."""

import re
import struct
import zipfile
import zlib
from collections.abc import Sequence

from rag_ingest.domain.cyrillic import likelihood

_UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075
"""Extra field of Info-ZIP and WinRAR: version, CRC-32 of the name that it replaces, name in UTF-8."""
_CODE_PAGES = ("cp866", "cp1251")
"""ZIP folders of a Russian Windows write the first, some programs there the second."""
_FOREIGN = re.compile(r"[^\x00-\x7fа-яёА-ЯЁ№]|[A-Za-z][а-яёА-ЯЁ]|[а-яёА-ЯЁ][A-Za-z]")
"""Not in Russian names: other signs, and two alphabets in one word."""


def member_names(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The right name of each member.

    zipfile reads a name without the UTF-8 flag as cp437, from which its bytes can be had back. All such
    names of an archive are in one encoding: that of the program which made it.
    """
    names = [_name(member) for member in members]
    unknown = [name for name in names if isinstance(name, bytes) and not name.isascii()]
    encoding = _encoding_of(b"\n".join(unknown))
    return [name.decode(encoding, "replace") if isinstance(name, bytes) else name for name in names]


def _name(member: zipfile.ZipInfo) -> str | bytes:
    """The name, or its bytes in an unknown encoding."""
    if member.flag_bits & _UTF8_FLAG:
        return member.filename
    raw = member.filename.encode("cp437", "replace")
    return _unicode_path(member.extra, raw) or raw


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    position = 0
    while position + 4 <= len(extra):
        field, size = struct.unpack_from("<HH", extra, position)
        data = extra[position + 4 : position + 4 + size]
        position += 4 + size
        if field == _UNICODE_PATH and data[1:5] == struct.pack("<I", zlib.crc32(raw)):
            return data[5:].decode(errors="replace")
    return None


def _encoding_of(names: bytes) -> str:
    try:
        names.decode()
    except UnicodeDecodeError:
        texts = {page: names.decode(page, "replace") for page in _CODE_PAGES}
        russian = {page: text for page, text in texts.items() if not _FOREIGN.search(text)}
        return max(russian, key=lambda page: likelihood(russian[page]), default="cp437")
    return "utf-8"
