"""Writes ZIP archives as other programs do, good ones and bad ones (PKWARE's APPNOTE.TXT)."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

STORED, DEFLATED = 0, 8
ENCRYPTED, UTF8 = 1, 0x800
UNIX = 3


@dataclass(frozen=True)
class Entry:
    """A member; its name is as it stands in the file, whatever the flags say of it."""

    name: bytes
    content: bytes = b"Some words."
    flags: int = 0
    method: int = DEFLATED
    mode: int = 0o100644
    extra: bytes = b""
    crc: int | None = None


def zip_file(entries: Sequence[Entry]) -> bytes:
    body, directory = b"", b""
    for entry in entries:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = entry.content
        if entry.method == DEFLATED:
            packed = deflate.compress(entry.content) + deflate.flush()
        crc = zlib.crc32(entry.content) if entry.crc is None else entry.crc
        facts = struct.pack(
            "<HHHHHIIIHH", 20, entry.flags, entry.method, 0, 0x21, crc, len(packed), len(entry.content),
            len(entry.name), len(entry.extra),
        )  # fmt: skip
        directory += struct.pack("<4sH", b"PK\1\2", UNIX << 8 | 20) + facts
        directory += struct.pack("<HHHII", 0, 0, 0, entry.mode << 16, len(body)) + entry.name + entry.extra
        body += b"PK\3\4" + facts + entry.name + entry.extra + packed
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    return body + directory + end


def russian(names: Sequence[str], encoding: str) -> bytes:
    """An archive of a Russian system: the names say nothing of their encoding."""
    return zip_file([Entry(name.encode(encoding)) for name in names])


def unicode_path(raw: bytes, name: str) -> bytes:
    """Info-ZIP's extra field with the right name."""
    data = b"\1" + struct.pack("<I", zlib.crc32(raw)) + name.encode()
    return struct.pack("<HH", 0x7075, len(data)) + data
