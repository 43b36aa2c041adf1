"""Which files a command means, and what it knows about them."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ragp.errors import CommandError


@dataclass(frozen=True)
class SourceFile:
    """A file to ingest. ``source_uri`` is its identity: the same file again is the same document."""

    path: Path

    @property
    def source_uri(self) -> str:
        return self.path.as_uri()

    @property
    def size(self) -> int:
        """Bytes. :raises OSError: the file is gone."""
        return self.path.stat().st_size


class FoundFiles(NamedTuple):
    """Files to take, and what could not be looked into, with the reason."""

    files: list[SourceFile]
    unreadable: dict[Path, str]


def find_files(paths: Sequence[Path]) -> FoundFiles:
    """The files themselves and all files below the directories, in a stable order, each once.

    Hidden files and directories below a given directory are left out; a named one is taken.

    :raises CommandError: a path does not exist, or there is no file at all.
    """
    found: dict[Path, None] = {}
    unreadable: dict[Path, str] = {}
    for path in paths:
        try:
            if not path.exists():
                raise CommandError(f"there is no {path}")
            files = [path] if path.is_file() else _files_below(path, unreadable)
            for file in files:
                found[file.resolve()] = None
        except OSError as error:
            unreadable[path] = error.strerror or str(error)
    for file in [file for file in found if not _is_text(file.name)]:
        del found[file]
        unreadable[file] = "its name is not UTF-8"
    if not found and not unreadable:
        raise CommandError("there are no files to ingest")
    return FoundFiles([SourceFile(path) for path in found], unreadable)


def _files_below(directory: Path, unreadable: dict[Path, str]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        unreadable[Path(error.filename)] = error.strerror or str(error)

    for root, directories, names in os.walk(directory, onerror=note):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for path in (Path(root, name) for name in sorted(names) if not name.startswith(".")):
            try:
                if path.is_file():
                    yield path
            except OSError as error:
                note(error)


def _is_text(name: str) -> bool:
    """``False`` for a name of bytes that are not UTF-8, which Python holds as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_metadata(pairs: Sequence[str]) -> dict[str, Any]:
    """``["year=2026", "lang=ru"]`` → ``{"year": 2026, "lang": "ru"}``: JSON where it is JSON, else text.

    :raises CommandError: an entry has no ``=`` or no key.
    """
    metadata: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise CommandError(f"--metadata takes key=value, not {pair!r}")
        try:
            metadata[key] = json.loads(value)
        except ValueError:
            metadata[key] = value
    return metadata
