"""The structure of running text, line by line: what belongs together, and how good a pause follows it.

Needs time linear in the text.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from rag_common.sentences import sentence_ends
from rag_ingest.domain.documents import Heading


class Pause(IntEnum):
    """How good a place to cut the end of a unit is, from the worst."""

    HEADING = 0
    """What stands under a heading, or the rows under a table's header, follow."""
    WORDS = 1
    """Within a sentence."""
    CLAUSE = 2
    """Within a sentence, at a comma or the like."""
    LINE = 3
    """Between two lines of code, of verse, or of a sentence."""
    SENTENCE = 4
    ITEM = 5
    """Between two items of a list, two rows of a table, or two lines that end sentences."""
    PARAGRAPH = 6
    SECTION = 7
    """A heading of any level follows."""


class Unit(NamedTuple):
    """A stretch of text that is best left whole, white space after it included."""

    end: int
    """It begins where the unit before it ends."""
    pause: Pause


_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"\s*(?:[-*+•·–—▪◦]|\(?\d{1,3}[.)]|\(?[^\W\d_][)])\s")
_RULE = " \t\r\n|:+=-"
"""What the line between a table's header and its rows is made of, with a "-" at least."""


def units(text: str, start: int, end: int, headings: Sequence[Heading], *, rows: bool) -> list[Unit]:
    """The units of ``text[start:end]``, in order; together they are all of it.

    ``rows``: every line is a row of a sheet.
    """
    found: list[Unit] = []
    for block in _blocks(text, start, end, headings, rows=rows):
        begin = found[-1].end if found else start
        if block.kind == "prose":
            for sentence in sentence_ends(text, begin, block.end):
                newline = "\n" in text[max(begin, sentence - 2) : sentence]
                found.append(Unit(sentence, Pause.ITEM if newline else Pause.SENTENCE))
        # the end of the block is not that of a sentence, since text follows every sentence's end
        found.append(Unit(block.end, block.pause))
    return found


class _Block(NamedTuple):
    kind: str
    """``prose`` is cut into sentences; nothing else is."""
    end: int
    pause: Pause


def _blocks(text: str, start: int, end: int, headings: Sequence[Heading], *, rows: bool) -> Iterator[_Block]:
    """Blocks in order. Each is known when the line after it is."""
    lines = _kinds(text, start, end, headings, rows=rows)
    kind, last, blank = "", start, False
    first_row = True
    for line_end, line_kind in lines:
        if line_kind == "blank":
            blank, last = True, line_end
            continue
        joins = not blank and kind in ("prose", "item") and line_kind == "prose"
        if last > start and kind and not joins:
            yield _Block(
                "prose" if kind == "item" else kind,
                last,
                _pause(kind, line_kind, blank=blank, first_row=first_row),
            )
            first_row = kind not in ("row", "rule")
        kind = kind if joins else line_kind
        last, blank = line_end, False
    if last > start:
        yield _Block("prose" if kind == "item" else kind, last, Pause.SECTION)


def _pause(kind: str, following: str, *, blank: bool, first_row: bool) -> Pause:
    if kind == "heading":
        return Pause.HEADING
    if following == "heading":
        return Pause.SECTION
    if kind == "rule" or following == "rule" or (kind == following == "row" and first_row and not blank):
        return Pause.HEADING
    if kind == following == "code":
        return Pause.ITEM if blank else Pause.LINE
    return Pause.PARAGRAPH if blank else Pause.ITEM


def _kinds(
    text: str, start: int, end: int, headings: Sequence[Heading], *, rows: bool
) -> Iterator[tuple[int, str]]:
    """For each line its end and what it is."""
    index = bisect_left(headings, start, key=lambda heading: heading.end)
    fence: str | None = None
    for match in _LINE.finditer(text, start, end):
        line = match.group()
        while index < len(headings) and headings[index].end <= match.start():
            index += 1
        opening = _FENCE.match(line)
        if rows:
            kind = "row" if line.strip() else "blank"
        elif index < len(headings) and headings[index].start < match.end() and not fence:
            kind = "heading"
        elif fence is not None:
            kind = "code" if line.strip() else "blank"
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = None
        elif opening:
            kind, fence = "code", opening[1]
        else:
            kind = _kind(line)
        yield match.end(), kind


def is_row(line: str) -> bool:
    """Whether a line looks like one of a table: its cells are separated by bars or tabs."""
    return "|" in line or "\t" in line.strip()


def _kind(line: str) -> str:
    if not line.strip():
        return "blank"
    if is_row(line):
        return "rule" if "-" in line and not line.strip(_RULE) else "row"
    return "item" if _ITEM.match(line) else "prose"
