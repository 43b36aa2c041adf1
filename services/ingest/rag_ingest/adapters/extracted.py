"""What a reader hands back, as it travels from the worker process; and how readers put it together."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from rag_common.contracts import Place
from rag_ingest.domain.documents import Part

PARAGRAPH = "\n\n"

PartRow = tuple[int, int, dict[str, int | str], list[int]]
"""Start, end, the fields of :class:`Place` that are set, numbers of the rows of a sheet."""
HeadingRow = tuple[int, int, int, str]
"""Start, end, level, title."""
MemberRow = tuple[str, str | None, int, str]
"""Name, media type, size, SHA-256; the bytes are in a file called by the row's number."""


class Extracted(TypedDict):
    """What was found in a file; spans are code points of ``text``."""

    text: str
    media_type: str
    parts: list[PartRow]
    headings: list[HeadingRow]
    title: str | None
    warnings: list[str]
    members: NotRequired[list[MemberRow]]


class Spoiled(Exception):
    """A library gave up in the middle of a damaged file, and can read no other one in this process."""


class TextBuilder:
    """Joins paragraphs, headings and parts to one text, and keeps where each of them stands."""

    def __init__(self) -> None:
        self.parts: list[PartRow] = []
        self.headings: list[HeadingRow] = []
        self._pieces: list[str] = []
        self._length = 0

    def add(self, text: str) -> tuple[int, int]:
        """A paragraph; an empty line goes before it. Returns its span."""
        if self._pieces:
            self._pieces.append(PARAGRAPH)
            self._length += len(PARAGRAPH)
        start = self._length
        self._pieces.append(text)
        self._length += len(text)
        return start, self._length

    def add_heading(self, text: str, level: int) -> None:
        """A heading of level 1-6, as a paragraph of its own."""
        start, end = self.add(text)
        self.headings.append((start, end, level, " ".join(text.split())))

    def add_part(self, text: str, place: dict[str, int | str], rows: Sequence[int] = ()) -> None:
        """A page, slide or sheet. ``rows``: for each line of ``text`` the number of its row."""
        self.parts.append((*self.add(text), place, list(rows)))

    def add_mark(self, title: str, level: int) -> None:
        """A heading that is not in the text; an empty one ends the sections before it."""
        self.headings.append((self.following, self.following, level, title))

    @property
    def following(self) -> int:
        """Where the next paragraph will begin."""
        return self._length + (len(PARAGRAPH) if self._pieces else 0)

    def close_part(self, start: int, place: dict[str, int | str]) -> None:
        """What was added since ``following`` was ``start`` is a page or slide; none if that is nothing."""
        if self._length > start:
            self.parts.append((start, self._length, place, []))

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def extracted(
        self, media_type: str, *, title: str | None = None, warnings: Sequence[str] = ()
    ) -> Extracted:
        return Extracted(
            text=self.text,
            media_type=media_type,
            parts=self.parts,
            headings=self.headings,
            title=title,
            warnings=list(warnings),
        )


def part_of(row: PartRow) -> Part:
    """The row that has travelled as JSON, as the domain has it."""
    start, end, place, rows = row
    return Part(start, end, Place.model_validate(place), tuple(rows))
