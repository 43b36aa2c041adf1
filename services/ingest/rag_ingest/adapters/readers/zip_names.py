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
_RUSSIAN = re.compile("[а-яёА-ЯЁ«»–—…№]")
_LEAST_RUSSIAN = 0.8
"""Share of the characters that are not ASCII; in the wrong page, or of Chinese names, fewer look Russian."""
_INSIDE = re.compile("(?<=[а-яёА-ЯЁ])(?=[а-яёА-ЯЁ])")
_BETWEEN_SCRIPTS = re.compile("(?<=[A-Za-z])(?=[а-яёА-ЯЁ])|(?<=[а-яёА-ЯЁ])(?=[A-Za-z])")


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
    """What all the names together are likeliest in: a single one may hold anything."""
    try:
        names.decode()
    except UnicodeDecodeError:
        texts = {page: names.decode(page, "replace") for page in _CODE_PAGES}
        russian = {page: likelihood(text) for page, text in texts.items() if _may_be_russian(text)}
        return max(russian, key=lambda page: russian[page], default="cp437")
    return "utf-8"


def _may_be_russian(text: str) -> bool:
    """Letters with accents in Western words become single Russian letters between Latin ones."""
    foreign = sum(not character.isascii() for character in text)
    between = len(_BETWEEN_SCRIPTS.findall(text))
    return len(_RUSSIAN.findall(text)) >= _LEAST_RUSSIAN * foreign and (
        not between or between < len(_INSIDE.findall(text))
    )
