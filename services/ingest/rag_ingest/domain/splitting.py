"""Cuts a document into chunks: within one page and one section, with exact offsets."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Protocol

from rag_common.contracts import NOWHERE, Place
from rag_ingest.domain.documents import Chunk, Heading, HeadingPaths, ParsedDocument, Part, is_blank

SECTION_LEVEL = 2
"""Headings up to this level begin a new chunk."""
_JOINERS = "\u200d\ufe0e\ufe0f"
_SKIN_TONES = range(0x1F3FB, 0x1F400)


class Splitter(Protocol):
    """Cuts running text where a reader would pause."""

    def split(self, text: str) -> Sequence[str]:
        """Pieces, none empty, which joined together are ``text`` again."""


def split_document(parsed: ParsedDocument, splitter: Splitter, *, max_characters: int) -> tuple[Chunk, ...]:
    """The chunks of a document, in order; none is blank or longer than ``max_characters``."""
    paths = HeadingPaths(parsed.headings)
    chunks: list[Chunk] = []
    for part, start, end in _segments(parsed):
        for chunk_start, chunk_end in _spans(parsed.text[start:end], start, splitter, max_characters):
            text = parsed.text[chunk_start:chunk_end]
            heading = paths.of(parsed.text, chunk_start, chunk_end)
            place = _place(parsed.text, part, chunk_start, chunk_end)
            chunks.append(Chunk(len(chunks), text, chunk_start, chunk_end, place, heading))
    return tuple(chunks)


def _place(text: str, part: Part, start: int, end: int) -> Place:
    """The part's place, with the rows of a sheet that the span touches."""
    if not part.rows:
        return part.place
    first = text.count("\n", part.start, start)
    last = first + text.count("\n", start, end)
    return part.place.model_copy(update={"rows": (part.rows[first], part.rows[last])})


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


def _spans(text: str, offset: int, splitter: Splitter, max_characters: int) -> Iterator[tuple[int, int]]:
    position = offset
    for piece in splitter.split(text):
        for part in _cut_long(piece, max_characters):
            start = position + len(part) - len(part.lstrip())
            end = position + len(part.rstrip())
            position += len(part)
            if not is_blank(part):
                yield start, end


def _cut_long(piece: str, limit: int) -> Iterator[str]:
    """Text without a pause is cut by length, but not within a character that is written as several."""
    start = 0
    while len(piece) - start > limit:
        cut = start + limit
        while cut > start + limit // 2 and _continues(piece, cut):
            cut -= 1
        yield piece[start:cut]
        start = cut
    yield piece[start:]


def _continues(text: str, index: int) -> bool:
    following = text[index]
    return (
        text[index - 1] == "\u200d"
        or following in _JOINERS
        or ord(following) in _SKIN_TONES
        or unicodedata.combining(following) != 0
    )
