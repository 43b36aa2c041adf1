"""What stands before a chunk's text where it is encoded and indexed: title, headings, a table's header.

Measured with headings, recall within 4,000 characters for 144 questions: MiniLM .863 in place of .828, BM25
.933 in place of .851. With titles, nDCG@10 of hybrid search on XQuAD: .970 in place of .967.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rag_ingest.domain.blocks import is_row
from rag_ingest.domain.documents import Chunk
from rag_ingest.domain.size import CONTEXT_TOKENS, SPECIAL_TOKENS, Window

MAX_CHARACTERS = 400
"""Of the context, for letters that the model does not read and that therefore count for nothing."""


def in_context(title: str | None, chunks: Sequence[Chunk], window: Window) -> tuple[Chunk, ...]:
    """All chunks of a document, in order, each with as much context as has room.

    A table's header comes first, then the headings from the innermost one, then the title. What the
    text says itself is not repeated.
    """
    table = _Table()
    return tuple(
        replace(chunk, context=_context(title, chunk, table.header_of(chunk), window)) for chunk in chunks
    )


def _context(title: str | None, chunk: Chunk, header: str | None, window: Window) -> str:
    names = [header or "", *reversed(chunk.heading), title or ""]
    return "\n".join(reversed(_fitting(names, chunk.text, window)))


def _fitting(names: Iterable[str], text: str, window: Window) -> list[str]:
    lines: list[str] = []
    room, tokens = MAX_CHARACTERS, float(CONTEXT_TOKENS - SPECIAL_TOKENS)
    for name in dict.fromkeys(names):
        needed = window.estimate(name)
        if not name or name in text or len(name) > room or needed > tokens:
            continue
        lines.append(name)
        room, tokens = room - len(name), tokens - needed
    return lines


class _Table:
    """Follows the chunks of a document, and remembers the header of the table that one ends in.

    Sheets need nothing of it: their reader makes a heading of the header.
    """

    def __init__(self) -> None:
        self._header: str | None = None

    def header_of(self, chunk: Chunk) -> str | None:
        """The header of the table that the chunk goes on with; ``None``: of none."""
        if chunk.place.rows is not None:
            return None
        lines = chunk.text.split("\n")
        continues = (chunk.gap or "").strip(" \t\r") == "\n" and is_row(lines[0])
        header = self._header if continues else None
        first = len(lines)
        while first and is_row(lines[first - 1]):
            first -= 1
        if first == len(lines):
            self._header = None
        elif first or header is None:
            self._header = lines[first].strip()
        return header
