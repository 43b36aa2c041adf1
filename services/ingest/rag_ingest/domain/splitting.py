"""Cuts a document into chunks: within one page and one section, at good pauses, with exact offsets."""

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Protocol

from rag_common.contracts import NOWHERE, Place
from rag_ingest.domain.blocks import Pause, Unit, units
from rag_ingest.domain.documents import Chunk, Heading, HeadingPaths, ParsedDocument, Part, is_blank
from rag_ingest.domain.packing import Sized, pack
from rag_ingest.domain.size import ChunkSize

SECTION_LEVEL = 2
"""Headings up to this level begin a new chunk."""
MAX_GAP = 1000
"""Characters of white space between two chunks that are kept to join them again."""
_JOINERS = "\u200d\ufe0e\ufe0f"
_SKIN_TONES = range(0x1F3FB, 0x1F400)


class Splitter(Protocol):
    """Cuts a sentence that is too long for a chunk where a reader would pause."""

    def split(self, text: str, size: ChunkSize) -> Sequence[str]:
        """Pieces, none empty, which joined together are ``text`` again; words stay whole."""


def split_document(parsed: ParsedDocument, splitter: Splitter, size: ChunkSize) -> tuple[Chunk, ...]:
    """The chunks of a document, in order; none is blank or longer than ``size.characters``."""
    paths = HeadingPaths(parsed.headings)
    chunks: list[Chunk] = []
    for part, start, end in _segments(parsed):
        places = _Places(parsed.text, part)
        previous_end: int | None = None
        for chunk_start, chunk_end in _spans(parsed, part, (start, end), splitter, size):
            chunks.append(
                Chunk(
                    no=len(chunks),
                    text=parsed.text[chunk_start:chunk_end],
                    start=chunk_start,
                    end=chunk_end,
                    place=places.of(chunk_start, chunk_end),
                    heading=paths.of(parsed.text, chunk_start, chunk_end),
                    gap=_gap(parsed.text, previous_end, chunk_start),
                )
            )
            previous_end = chunk_end
    return tuple(chunks)


class _Places:
    """The part's place, with the rows of a sheet that a span touches."""

    def __init__(self, text: str, part: Part) -> None:
        self._part = part
        self._lines = _line_starts(text, part) if part.rows else []

    def of(self, start: int, end: int) -> Place:
        if not self._lines:
            return self._part.place
        first = bisect_right(self._lines, start) - 1
        last = bisect_left(self._lines, end) - 1
        return self._part.place.model_copy(update={"rows": (self._part.rows[first], self._part.rows[last])})


def _line_starts(text: str, part: Part) -> list[int]:
    starts = [part.start]
    while newline := text.find("\n", starts[-1], part.end) + 1:
        starts.append(newline)
    return starts


def _gap(text: str, previous_end: int | None, start: int) -> str | None:
    if previous_end is None or start - previous_end > MAX_GAP:
        return None
    return text[previous_end:start]


def _segments(parsed: ParsedDocument) -> Iterator[tuple[Part, int, int]]:
    """Parts cut again where sections begin: (part, start, end)."""
    cuts = _section_starts(parsed.text, parsed.headings)
    parts = parsed.parts or (Part(0, len(parsed.text), NOWHERE),)
    index = 0
    for part in parts:
        start, end = part.start, part.end
        while index < len(cuts) and cuts[index] < end:
            if cuts[index] > start:
                yield part, start, cuts[index]
                start = cuts[index]
            index += 1
        if end > start:
            yield part, start, end


def _section_starts(text: str, headings: tuple[Heading, ...]) -> list[int]:
    """Where sections begin. Headings that follow each other without text between stay together."""
    starts = []
    previous_end: int | None = None
    for heading in headings:
        follows_text = previous_end is None or not is_blank(text[previous_end : heading.start])
        if heading.level <= SECTION_LEVEL and follows_text:
            starts.append(heading.start)
        previous_end = heading.end
    return starts


def _spans(
    parsed: ParsedDocument, part: Part, segment: tuple[int, int], splitter: Splitter, size: ChunkSize
) -> Iterator[tuple[int, int]]:
    text, (position, end) = parsed.text, segment
    found = units(text, position, end, parsed.headings, rows=bool(part.rows))
    for chunk_end in pack(list(_sized(text, position, found, splitter, size))):
        piece = text[position:chunk_end]
        if not is_blank(piece):
            yield position + len(piece) - len(piece.lstrip()), position + len(piece.rstrip())
        position = chunk_end


def _sized(
    text: str, position: int, found: Sequence[Unit], splitter: Splitter, size: ChunkSize
) -> Iterator[Sized]:
    """The units with their sizes; one that does not fit into a chunk, in pieces that do."""
    for unit in found:
        whole = text[position : unit.end]
        filled = size.share(whole)
        if filled <= 1:
            yield Sized(unit.end, unit.pause, filled)
        else:
            for piece in _pieces(whole, splitter, size):
                position += len(piece)
                pause = unit.pause if position == unit.end else _pause_after(piece)
                yield Sized(position, pause, size.share(piece))
        position = unit.end


def _pause_after(piece: str) -> Pause:
    words = piece.rstrip()
    if "\n" in piece[len(words) :]:
        return Pause.LINE
    return Pause.CLAUSE if words.endswith((",", ";", ":", "—", "–")) else Pause.WORDS


def _pieces(text: str, splitter: Splitter, size: ChunkSize) -> Iterator[str]:
    for piece in splitter.split(text, size):
        if size.share(piece) <= 1:
            yield piece
        else:
            yield from _cut_long(piece, size)


def _cut_long(piece: str, size: ChunkSize) -> Iterator[str]:
    """Text without a pause is cut by length, but not within a character that is written as several."""
    start = 0
    while len(piece) - start > size.characters:
        cut = _whole_characters(piece, start, start + size.characters)
        yield from _halved(piece[start:cut], size)
        start = cut
    yield from _halved(piece[start:], size)


def _halved(piece: str, size: ChunkSize) -> Iterator[str]:
    if size.share(piece) <= 1 or len(piece) == 1:
        yield piece
        return
    middle = _whole_characters(piece, 0, (len(piece) + 1) // 2)
    yield from _halved(piece[:middle], size)
    yield from _halved(piece[middle:], size)


def _whole_characters(text: str, start: int, cut: int) -> int:
    """The last place up to ``cut`` that is not within a composed character, if it is not too far."""
    best = cut
    while best > start + (cut - start) // 2 and _continues(text, best):
        best -= 1
    return best


def _continues(text: str, index: int) -> bool:
    following = text[index]
    return (
        text[index - 1] == "\u200d"
        or following in _JOINERS
        or ord(following) in _SKIN_TONES
        or unicodedata.combining(following) != 0
    )
