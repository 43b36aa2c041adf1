"""Unpacks what is inside a container: bounded, under names that harm nothing, and never silently less."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from rag_common.contracts.documents import MEDIA_TYPE_PATTERN
from rag_ingest.adapters.extracted import MemberRow
from rag_ingest.domain.members import MAX_DEPTH, MAX_MEMBER_BYTES, Room, shortened

BLOCK = 128 * 1024
_MAX_NAME = 1000
"""Characters of a member's name."""
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]+")
"""What PostgreSQL refuses, a terminal would obey, or nobody sees."""
_DRIVE = re.compile(r"^[A-Za-z]:(?=/)")
_MEDIA_TYPE = re.compile(MEDIA_TYPE_PATTERN)


class MemberRefused(Exception):
    """A member is not unpacked; the reason ends the sentence "not read, "."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MemberFiles:
    """The members of one container, as files called 0, 1, 2 ... in its room."""

    def __init__(self, room: Room | None) -> None:
        self.rows: list[MemberRow] = []
        self._room = room
        self._names: set[str] = set()
        self._left = room.size if room else 0
        self._refused: dict[str, list[str]] = {}
        self._renamed: list[tuple[str, str]] = []

    def add(self, name: str, blocks: Iterable[bytes], media_type: str | None = None) -> bool:
        """Unpack a member; ``False``: it is only named in the warnings.

        ``blocks`` may raise :class:`MemberRefused`.

        :raises OSError: the system is short of something.
        """
        try:
            room = self._some_room()
            size, digest = self._write(room.directory / str(len(self.rows)), blocks)
        except MemberRefused as refusal:
            self._refused.setdefault(refusal.reason, []).append(one_line(name)[:_MAX_NAME])
            return False
        clean = self._unused(self._clean(name))
        self._names.add(clean)
        self._left -= size
        self.rows.append((clean, _known_media_type(media_type), size, digest))
        return True

    @property
    def warnings(self) -> list[str]:
        """What was not read and why, and what is known under another name."""
        warnings: list[str] = []
        for reason, refused in self._refused.items():
            names = shortened(refused)
            warnings.append(f"{names}: not read, {reason}.")
        if self._renamed:
            names = shortened([f"{before} → {after}" for before, after in self._renamed])
            warnings.append(f"{names}: the path led out of the archive.")
        return warnings

    def _some_room(self) -> Room:
        if self._room is None:
            raise MemberRefused(reason=f"it lies deeper than {MAX_DEPTH} archives or mails in each other")
        if len(self.rows) >= self._room.members:
            raise MemberRefused(reason="there are too many files in the archive or mail; split it")
        self._room.directory.mkdir(mode=0o700, exist_ok=True)
        return self._room

    def _write(self, path: Path, blocks: Iterable[bytes]) -> tuple[int, str]:
        """Size and SHA-256 of what was written."""
        digest, size = hashlib.sha256(), 0
        try:
            with path.open("wb") as file:
                for block in blocks:
                    size += len(block)
                    if size > min(MAX_MEMBER_BYTES, self._left):
                        raise _too_large(size)
                    digest.update(block)
                    file.write(block)
        except MemberRefused:
            path.unlink(missing_ok=True)
            raise
        return size, digest.hexdigest()

    def _clean(self, name: str) -> str:
        given = one_line(name.replace("\\", "/"))
        path = _DRIVE.sub("", given)
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        clean = "/".join(parts)[-_MAX_NAME:].lstrip("/") or "unnamed"
        if path != given or path.startswith("/") or ".." in path.split("/"):
            self._renamed.append((given[:_MAX_NAME], clean))
        return clean

    def _unused(self, name: str) -> str:
        """The name, numbered if there is a member of that name already."""
        path, number = PurePosixPath(name), 1
        while name in self._names:
            number += 1
            name = str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
        return name


def one_line(text: str) -> str:
    """Composed, and without anything that breaks the line or cannot be stored."""
    return " ".join(_HIDDEN.sub(" ", unicodedata.normalize("NFC", text)).split())


def _too_large(size: int) -> MemberRefused:
    if size > MAX_MEMBER_BYTES:
        return MemberRefused(reason=f"it is larger than {MAX_MEMBER_BYTES // 1024**2} MiB")
    return MemberRefused(reason="the archive or mail holds too many bytes when it is unpacked; split it")


def _known_media_type(media_type: str | None) -> str | None:
    known = (media_type or "").lower()
    return known if known != "application/octet-stream" and _MEDIA_TYPE.fullmatch(known) else None
