"""Reads a file of any supported format: text here, everything else in a worker process."""

import asyncio
import os

from rag_common.errors import BadDocument
from rag_ingest.adapters.decoding import parsed_text
from rag_ingest.adapters.worker_pool import WorkerPool
from rag_ingest.domain.documents import ParsedDocument, Source, require_text, too_much_text
from rag_ingest.domain.encodings import declared_encoding
from rag_ingest.domain.formats import HEAD_BYTES, MARKED, Format, declared_format, detect_format, misnamed
from rag_ingest.domain.text import is_utf8

_SMALL = 64 * 1024
"""UTF-8 up to this many bytes is decoded on the event loop in well under a millisecond."""


class FileParser:
    """Detects the format by content, then name and media type. Nothing above ``max_characters`` passes."""

    def __init__(self, pool: WorkerPool, *, max_characters: int) -> None:
        self._pool = pool
        self._max_characters = max_characters

    async def parse(self, source: Source) -> ParsedDocument:
        """:raises BadDocument: the file cannot be read; the code and message say why."""
        with source.path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            size = os.fstat(file.fileno()).st_size
        if not size:
            raise BadDocument("The file is empty.", code="empty_file")
        kind = detect_format(head, file_name=source.file_name, media_type=source.media_type)
        if kind in ("text", "markdown"):
            parsed = await self._text(source, kind, size)
        else:
            parsed = await self._pool.parse(source.path, kind, source.room)
        return require_text(parsed, limit=self._max_characters)

    async def _text(self, source: Source, kind: Format, size: int) -> ParsedDocument:
        # UTF-8 takes at most four bytes for a character: what is larger cannot be within the limit.
        if size > 4 * self._max_characters:
            raise too_much_text(self._max_characters)
        data = source.path.read_bytes() if size <= _SMALL else None
        if data is not None and is_utf8(data):
            return _read(data, source, kind)
        return await asyncio.to_thread(_read, data, source, kind)


def _read(data: bytes | None, source: Source, kind: Format) -> ParsedDocument:
    try:
        charset = declared_encoding(source.media_type)
        return parsed_text(source.path.read_bytes() if data is None else data, kind, charset)
    except BadDocument as error:
        declared = declared_format(source.file_name, source.media_type)
        if declared in MARKED:
            raise misnamed(declared) from error
        raise
