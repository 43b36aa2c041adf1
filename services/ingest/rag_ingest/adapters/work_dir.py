"""A directory for the files of running jobs that a killed process does not leave behind for ever."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "rag-ingest-"


@contextmanager
def private_directory(parent: Path | None) -> Iterator[Path]:
    """A directory of this process within ``parent`` (the system's own by default), removed at the end.

    Those of processes that were killed are removed first: a living one holds a lock, which the
    system takes from it at its end, whatever that is.

    :raises OSError: nothing can be created in ``parent``.
    """
    parent = parent or Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    # Between its creation and its own lock nobody must take a directory for an abandoned one.
    guard = _lock(parent, wait=True)
    try:
        _remove_abandoned(parent)
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _lock(path)
    finally:
        os.close(guard)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        # In use, of another user, or no directory at all.
        with suppress(OSError):
            lock = _lock(path)
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _lock(directory: Path, *, wait: bool = False) -> int:
    """The descriptor that holds the lock.

    :raises OSError: it cannot be had.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
