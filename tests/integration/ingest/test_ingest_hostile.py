"""Files that were made to break readers: each ends read or refused with a code, and disturbs no other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hostile_files import good_files, hostile_files
from ingest_files import pdf

from rag_common.errors import BadDocument
from rag_ingest.adapters.parser import FileParser
from rag_ingest.adapters.worker_pool import WorkerPool
from rag_ingest.adapters.worker_process import Limits
from rag_ingest.domain.documents import ParsedDocument, Source
from rag_ingest.domain.members import Room

CODES = {
    *("empty_file", "no_text", "not_text", "invalid_utf8", "damaged_encoding", "unknown_encoding"),
    *("unsupported_format", "password_protected", "damaged_file", "too_much_text", "image_too_large"),
    *("ocr_unreadable", "ocr_unavailable", "parse_timeout", "parse_memory", "parser_crashed"),
}
LIMITS = Limits(cpu_seconds=1, wall_seconds=5)
"""Less than in production, so that the worst files end soon."""


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(limits=LIMITS)
    yield pool
    await pool.close()


async def outcome(pool: WorkerPool, directory: Path, name: str, data: bytes) -> ParsedDocument | str:
    """The document, or the code of the refusal."""
    path = directory / "upload"
    path.write_bytes(data)
    room = Room(directory / name, 100, 32 * 1024**2)
    try:
        return await FileParser(pool, max_characters=5_000_000).parse(Source(path, name, None, room))
    except BadDocument as error:
        return error.code if error.message else "no message"


@pytest.mark.timeout(300)
async def test_every_hostile_file_ends_and_the_next_good_one_is_read(
    pool: WorkerPool, tmp_path: Path
) -> None:
    good = pdf([["Words."]])
    seen = 0
    for name, data in hostile_files():
        found = await outcome(pool, tmp_path, name, data)
        assert isinstance(found, ParsedDocument) or found in CODES, (name, found)
        seen += 1
        # Every reader may have left something behind.
        if name.endswith(".pdf") or not seen % 10:
            after = await outcome(pool, tmp_path, "good.pdf", good)
            assert isinstance(after, ParsedDocument), (name, after)
            assert after.text == "Words."
    assert seen >= 60


async def test_good_files_of_all_formats_are_read(tmp_path: Path) -> None:
    pool = WorkerPool()
    for name, data in good_files().items():
        found = await outcome(pool, tmp_path, name, data)
        # The pictures are good ones of nothing.
        assert isinstance(found, ParsedDocument) or found in ("no_text", "ocr_unavailable"), (name, found)
    await pool.close()


async def test_a_library_that_panics_takes_no_good_file_with_it(pool: WorkerPool, tmp_path: Path) -> None:
    panicking = dict(hostile_files_of("good-scattered.pdf"))["good-scattered.pdf"]
    for _ in range(2):
        assert await outcome(pool, tmp_path, "bad.pdf", panicking) == "damaged_file"
        assert isinstance(await outcome(pool, tmp_path, "good.pdf", pdf([["Words."]])), ParsedDocument)


def hostile_files_of(name: str) -> list[tuple[str, bytes]]:
    return [next(each for each in hostile_files() if each[0] == name)]
