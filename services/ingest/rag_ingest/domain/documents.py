"""What a parser makes of a file, and what a splitter makes of that."""

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from rag_common.contracts import Place
from rag_common.errors import BadDocument
from rag_ingest.domain.members import Member, Room

# White space, and what shows nothing by itself: BOM, zero-width and joining characters, soft hyphen.
_BLANK = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\ufeff\u200b\u200c\u200d\u2060\u00ad"


class Part(NamedTuple):
    """A page, slide or sheet, and its span in the document's text; ``end`` is exclusive."""

    start: int
    end: int
    place: Place
    """Without rows."""
    rows: tuple[int, ...] = ()
    """Of a sheet: the number of the row that each line of the span holds."""


class Heading(NamedTuple):
    """A heading's span in the document's text with its markup, its level (1-6) and its words.

    One without words ends the sections before it, and opens none. A span may be empty: the name
    of a sheet stands over its rows, not among them.
    """

    start: int
    end: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """The text of a document and the places in it. Offsets count Unicode code points.

    ``parts`` is empty for formats without pages; spans are ascending and do not overlap.
    The text holds no NUL, which PostgreSQL cannot store.
    """

    text: str
    media_type: str
    parts: tuple[Part, ...] = ()
    headings: tuple[Heading, ...] = ()
    title: str | None = None
    warnings: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()
    """Of an archive or a mail: files in the room that the source gave."""

    def __post_init__(self) -> None:
        if "\x00" in self.text:
            raise ValueError("the text of a document must not hold NUL characters")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: ``parsed.text[chunk.start:chunk.end] == chunk.text``, always."""

    no: int
    """From 0, without gaps, in the order of the text."""
    text: str
    start: int
    end: int
    place: Place
    heading: tuple[str, ...]
    """Titles from the outermost heading to the one that the chunk stands under."""
    gap: str | None = None
    """The text between the chunk before, of the same section and part, and this one."""
    context: str = ""
    """Lines that stand before the text where it is encoded and indexed."""

    @property
    def in_context(self) -> str:
        """The text that is encoded."""
        return f"{self.context}\n{self.text}" if self.context else self.text


class Source(NamedTuple):
    """A file to parse and what its sender says that it is."""

    path: Path
    file_name: str | None
    media_type: str | None
    room: Room | None = None
    """For the members of a container; without it they are named, and not unpacked."""


class Parser(Protocol):
    """Reads one file."""

    async def parse(self, source: Source) -> ParsedDocument:
        """:raises BadDocument: the file cannot be read; the code and message say why."""


class HeadingPaths:
    """Answers under which headings a chunk stands."""

    def __init__(self, headings: tuple[Heading, ...]) -> None:
        self._headings = headings
        self._starts = [heading.start for heading in headings]
        self._paths: list[tuple[str, ...]] = [()]
        enclosing: list[Heading] = []
        for heading in headings:
            while enclosing and enclosing[-1].level >= heading.level:
                enclosing.pop()
            enclosing.append(heading)
            self._paths.append(tuple(each.title for each in enclosing if each.title))

    def of(self, text: str, start: int, end: int) -> tuple[str, ...]:
        """The path of ``text[start:end]``: that of its first words which are not a heading themselves."""
        index = bisect_left(self._starts, start)
        position = start
        while index < len(self._starts) and self._starts[index] < end:
            if not is_blank(text[position : self._starts[index]]):
                break
            position = self._headings[index].end
            index += 1
        return self._paths[index]


def is_blank(text: str) -> bool:
    """Whether nothing of the text can be seen."""
    return not text.strip(_BLANK)


def require_text(parsed: ParsedDocument, *, limit: int) -> ParsedDocument:
    """The same document.

    :raises BadDocument: ``no_text``, or ``too_much_text`` above ``limit`` characters.
    """
    if is_blank(parsed.text):
        raise BadDocument("No text was found in the file.", code="no_text")
    if len(parsed.text) > limit:
        raise too_much_text(limit)
    return parsed


def too_much_text(limit: int) -> BadDocument:
    """The error for a document with more than ``limit`` characters."""
    return BadDocument(
        f"The file holds more than {limit:,} characters of text, the most that is accepted."
        " Split it into several files.",
        code="too_much_text",
    )
