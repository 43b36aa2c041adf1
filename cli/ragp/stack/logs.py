"""Bounded logs: every process appends to a file; the supervisor keeps the files small."""

import os
import shutil
from pathlib import Path

MAX_LOG_BYTES = 10 * 1024 * 1024
KEPT_LOGS = 3


def rotate(log: Path, *, max_bytes: int = MAX_LOG_BYTES, kept: int = KEPT_LOGS) -> bool:
    """Move the content of a log that has outgrown ``max_bytes`` to ``NAME.1``; ``True`` when moved.

    The file itself is emptied, not renamed: its writer holds it open for appending. Lines written
    between the copy and the emptying are lost. Of a huge log only the end is copied.

    :raises OSError: it could not be moved; the log is emptied where that is possible.
    """
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return False
    if size <= max_bytes:
        return False
    try:
        for number in range(kept - 1, 0, -1):
            older = _numbered(log, number)
            if older.exists():
                os.replace(older, _numbered(log, number + 1))
        with open(log, "rb") as source, open(_numbered(log, 1), "wb") as copy:
            source.seek(size - max_bytes)
            shutil.copyfileobj(source, copy)
    finally:
        # Also without a copy: on a full disk a log that grows is the last thing to keep.
        os.truncate(log, 0)
    return True


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log: at most ``count`` lines; empty when there is no log."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.path.getsize(log) - count * 1024))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[len(lines) - min(count, len(lines)) :])


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
