"""What is put before a chunk's text where it is encoded: title, headings, the header of a table.

The registry keeps the bare text, which offsets name. Everything here follows from the chunks and the
title, so that texts which are published again are the same. Measured with MiniLM, in docs/quality.md.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

from rag_common.contracts import Place
from rag_ingest.domain.blocks import is_row
from rag_ingest.domain.size import CONTEXT_TOKENS, SPECIAL_TOKENS, Window

MAX_CHARACTERS = 400
"""Of the context, for letters that the model does not read and that therefore count for nothing."""


class Piece(Protocol):
    """A chunk, before or after it was stored."""

    @property
    def text(self) -> str: ...
    @property
    def heading(self) -> tuple[str, ...]: ...
    @property
    def place(self) -> Place: ...
    @property
    def gap(self) -> str | None: ...


def embedded_texts(title: str | None, chunks: Iterable[Piece], window: Window) -> Iterator[str]:
    """For each of a document's chunks, in order and all of them, the text that is encoded.

    Lines before the text hold as much of the context as has room: a table's header first, then the
    headings from the innermost one, then the title. What the text says itself is not repeated.
    """
    table = _Table()
    for chunk in chunks:
        header = table.header_of(chunk)
        names = [header or "", *reversed(chunk.heading), title or ""]
        yield "\n".join([*reversed(_fitting(names, chunk.text, window)), chunk.text])


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

    def header_of(self, chunk: Piece) -> str | None:
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
