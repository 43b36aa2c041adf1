"""The members of archives and mails: what a reader hands over, within which bounds, and their sources."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from rag_common.contracts.base import MAX_SOURCE_URI_BYTES

MAX_DEPTH = 3
"""Documents inside documents inside documents inside a document; what lies deeper is named, not read."""
MAX_MEMBER_BYTES = 64 * 1024**2
"""Bytes of one member, unpacked."""
SEPARATOR = "!/"
_MAX_CHARACTERS = 2000
"""Of a ``source_uri``."""


class Room(NamedTuple):
    """What a container may unpack: so many members and bytes into a directory, made when it is needed."""

    directory: Path
    members: int
    size: int


class Member(NamedTuple):
    """An unpacked file. ``name`` is its path in the container, one line, of no other member."""

    path: Path
    name: str
    media_type: str | None
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The last component of the name."""
        return self.name.rsplit("/", 1)[-1]


def member_source(container: str, name: str) -> str:
    """The ``source_uri`` of a member: that of its container, ``!/``, its path there.

    One that would be longer than a ``source_uri`` may be is cut, and told apart by a digest.
    """
    source = f"{container}{SEPARATOR}{name}"
    if len(source) <= _MAX_CHARACTERS and len(source.encode()) <= MAX_SOURCE_URI_BYTES:
        return source
    digest = hashlib.sha256(source.encode()).hexdigest()[:32]
    room = MAX_SOURCE_URI_BYTES - len(digest) - 1
    kept = source[: _MAX_CHARACTERS - len(digest) - 1].encode()[:room].decode(errors="ignore")
    return f"{kept}~{digest}"
