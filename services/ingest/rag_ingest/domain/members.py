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
_NAMED = 20
"""Members that one warning names; it counts the others."""
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

    A ``!/`` of that path is written ``!%2F``, so that it cannot be the name of a member of a member.
    One that would be longer than a ``source_uri`` may be is cut, and told apart by a digest.
    """
    # first the mark of the escape itself, so that no two names become one
    escaped = name.replace("!%", "!%25").replace(SEPARATOR, "!%2F")
    source = f"{container}{SEPARATOR}{escaped}"
    if len(source) <= _MAX_CHARACTERS and len(source.encode()) <= MAX_SOURCE_URI_BYTES:
        return source
    digest = hashlib.sha256(source.encode()).hexdigest()[:32]
    room = MAX_SOURCE_URI_BYTES - len(digest) - 1
    kept = source[: _MAX_CHARACTERS - len(digest) - 1].encode()[:room].decode(errors="ignore")
    return f"{kept}~{digest}"


def shortened(names: list[str]) -> str:
    """The names in one line, as a warning lists them."""
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown}, … (+{len(names) - _NAMED})"
