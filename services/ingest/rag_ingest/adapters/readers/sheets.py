"""What all tables of rows become: a line for each row, with its number, under the words of the header."""

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import TextBuilder
from rag_ingest.adapters.readers.xml_stream import one_line

MAX_CHARACTERS = 64 * 1024**2
"""Of all sheets of a file: more than any setting lets through, less than fills the process."""
_MAX_GAP = 16
"""Empty cells that are kept between two others, so that columns stay in line."""
_LOOKED_AT = 20
"""Rows at the top among which the header is looked for."""
_MAX_LABEL = 80
_MAX_HEADING = 300

Cells = list[tuple[int, str]]
"""Of one row, from left to right: column, from 0, and what the cell shows."""


class SheetsBuilder:
    """Puts together the sheets of a file: ``begin``, ``add_row`` for each row, ``finish``."""

    def __init__(self) -> None:
        self.built = TextBuilder()
        self._characters = 0
        self.begin(None)

    def begin(self, name: str | None) -> None:
        """A sheet; a table that is a file by itself has no name."""
        self._name = name
        self._numbers: list[int] = []
        self._lines: list[str] = []

    def add_row(self, number: int, cells: Cells, times: int = 1) -> None:
        """Rows ``number`` and following, all the same. They leave no line if they are empty.

        :raises BadDocument: ``too_much_text``.
        """
        self.count(sum(len(text) for _, text in cells))
        if line := _line(cells):
            self.count((len(line) + 1) * times)
            self._numbers += range(number, number + times)
            self._lines += [line] * times

    def finish(self) -> None:
        """The end of the sheet. Its name, and the words of its header, become headings over its rows."""
        if not self._lines:
            return
        if self._name:
            self.built.add_mark(self._name, 1)
        place: dict[str, int | str] = {"sheet": self._name} if self._name else {}
        self.built.add_part("\n".join(self._lines), place, self._numbers)
        top = [list(filter(None, line.split("\t"))) for line in self._lines[:_LOOKED_AT]]
        header = _header(top)
        if header is not None:
            start = self.built.parts[-1][0] + sum(len(line) + 1 for line in self._lines[:header])
            title = " | ".join(top[header])[:_MAX_HEADING]
            self.built.headings.append((start, start + len(self._lines[header]), 3, title))

    def count(self, characters: int) -> None:
        """Notes that so many more were found, some of them twice: in a cell, and in its line.

        :raises BadDocument: ``too_much_text``.
        """
        self._characters += characters
        if self._characters > 2 * MAX_CHARACTERS:
            raise _too_much()


def _too_much() -> BadDocument:
    return BadDocument(
        f"The table holds more than {MAX_CHARACTERS:,} characters. Split it into several files.",
        code="too_much_text",
    )


def _line(cells: Cells) -> str:
    pieces: list[str] = []
    following = 0
    for column, text in cells:
        if words := one_line(text):
            separators = min(column - following, _MAX_GAP) + (1 if pieces else 0)
            pieces.append("\t" * separators + words)
            following = column + 1
    return "".join(pieces)


def _header(top: list[list[str]]) -> int | None:
    """Which of the first rows names the columns: the first one that is about as wide as the table.

    It does so only if all its cells are words, all different, and something stands below it.
    """
    wide = max(2, max(map(len, top)) / 2)
    first = next((index for index, cells in enumerate(top) if len(cells) >= wide), None)
    if first is None or first == len(top) - 1:
        return None
    labels = top[first]
    return first if len(set(labels)) == len(labels) and all(map(_is_label, labels)) else None


def _is_label(cell: str) -> bool:
    return len(cell) <= _MAX_LABEL and any(map(str.isalpha, cell)) and not cell[0].isdigit()
