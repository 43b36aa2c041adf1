"""Which files a command means, and what it knows about them."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def find_files(paths: Sequence[Path]) -> list[SourceFile]:
    """The files themselves and all files below the directories, in a stable order, each once.

    Hidden files and directories below a given directory are left out; a named one is taken.

    :raises CommandError: a path does not exist, or there is no file at all.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise CommandError(f"there is no {path}")
        for file in [path] if path.is_file() else _files_below(path):
            found[file.resolve()] = None
    if not found:
        raise CommandError("there are no files to ingest")
    return [SourceFile(path) for path in found]


def _files_below(directory: Path) -> Iterator[Path]:
    for root, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                yield path


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
