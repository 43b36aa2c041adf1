"""No room on the disk, no file left to open: the job waits, and is not taken for a bad one."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ingest_support import Stage, once

from rag_common.errors import TransientError
from rag_ingest.adapters.contents import ObjectContents

DATA = b"x" * 100_000


@contextmanager
def at_most(limit: int, amount: int) -> Iterator[None]:
    """A limit of the system for this process, so that it meets what a full disk would do."""
    soft, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (amount, hard))
    try:
        yield
    finally:
        resource.setrlimit(limit, (soft, hard))


@pytest.fixture
def contents(stage: Stage, tmp_path: Path) -> ObjectContents:
    return ObjectContents(stage.documents, lambda _: stage.drops, max_bytes=1_000_000, directory=tmp_path)


async def test_bytes_of_a_message_that_cannot_be_written(contents: ObjectContents, tmp_path: Path) -> None:
    with at_most(resource.RLIMIT_FSIZE, 1000), pytest.raises(TransientError):
        async with contents.inline(DATA):
            pass
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - nothing else runs


async def test_an_upload_that_cannot_be_written(contents: ObjectContents, stage: Stage) -> None:
    await stage.documents.put("one", once(DATA))
    with at_most(resource.RLIMIT_FSIZE, 1000), pytest.raises(TransientError):
        async with contents.accepted("one"):
            pass


async def test_a_dropped_object_that_cannot_be_written(contents: ObjectContents, stage: Stage) -> None:
    await stage.drops.put("one", once(DATA))
    with at_most(resource.RLIMIT_FSIZE, 1000), pytest.raises(TransientError):
        async with contents.dropped("default", "one"):
            pass


async def test_a_file_that_cannot_be_made(contents: ObjectContents) -> None:
    with at_most(resource.RLIMIT_NOFILE, 3), pytest.raises(TransientError):
        async with contents.inline(DATA):
            pass


async def test_a_file_that_cannot_be_read_again(contents: ObjectContents) -> None:
    async def keep_what_is_gone() -> None:
        async with contents.inline(DATA) as content:
            content.path.unlink()
            await contents.keep(content, "one")

    with pytest.raises(TransientError):
        await keep_what_is_gone()
