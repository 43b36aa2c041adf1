"""The body of OpenDocument texts and presentations: headings, paragraphs, tables, slides, notes."""

from dataclasses import dataclass, field

from rag_ingest.adapters.extracted import TextBuilder
from rag_ingest.adapters.readers.xml_stream import XmlHandler, one_line, table_lines

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
PREFIXES = {
    **{f"{_OASIS}{name}:1.0": name for name in ("office", "text", "table", "presentation")},
    f"{_OASIS}drawing:1.0": "draw",
    "http://purl.org/dc/elements/1.1/": "dc",
}
PASSED_OVER = {
    # What was deleted, what reviewers remark, what a program fills in on every page.
    *("text:tracked-changes", "office:annotation", "text:note-citation", "text:page-number"),
    *("presentation:header", "presentation:footer", "presentation:date-time"),
    # How ideographs are read, names of pictures, and pictures.
    *("text:ruby-text", "title", "desc", "office:binary-data"),
}
_MAX_SPACES = 64


def spacing(name: str, attributes: dict[str, str]) -> str:
    """The white space that an element stands for; "" if it is none."""
    match name:
        case "text:s":
            return " " * min(number(attributes, "text:c"), _MAX_SPACES)
        case "text:tab":
            return "\t"
        case "text:line-break":
            return "\n"
    return ""


def number(attributes: dict[str, str], name: str) -> int:
    """What an attribute counts; 1 where it is not there, or no number."""
    value = attributes.get(name, "")
    return max(1, int(value)) if value.isdecimal() and len(value) < 9 else 1


@dataclass
class _Paragraph:
    """One that is not at its end. Notes and frames in it hold further ones, which come after it."""

    level: int
    """Of a heading, from 1; 0: it is none."""
    pieces: list[str] = field(default_factory=list)
    after: list[tuple[str, int]] = field(default_factory=list)


class FlowingText(XmlHandler):
    """Puts the text together, paragraph by paragraph."""

    def __init__(self) -> None:
        self.built = TextBuilder()
        # What a finished paragraph or table belongs to: the innermost open paragraph or cell.
        self._open: list[_Paragraph | list[str]] = []
        self._tables: list[list[list[str]]] = []
        self._slides = 0
        self._slide_start = 0
        self._in_title = False

    def start(self, name: str, attributes: dict[str, str]) -> bool | None:
        if name in PASSED_OVER:
            return True
        match name:
            case "text:p":
                self._open.append(_Paragraph(1 if self._in_title else 0))
            case "text:h":
                self._open.append(_Paragraph(min(number(attributes, "text:outline-level"), 6)))
            case "table:table":
                self._tables.append([])
            case "table:table-row" if self._tables:
                self._tables[-1].append([])
            case "table:table-cell" | "table:covered-table-cell":
                self._open.append([])
            case "draw:page":
                self._slides += 1
                self._slide_start = self.built.following
                self.built.add_mark("", 1)
            case "draw:frame" | "draw:custom-shape":
                self._in_title = attributes.get("presentation:class") == "title"
            case _:
                self.text(spacing(name, attributes))
        return None

    def text(self, data: str) -> None:
        if self._open and isinstance(self._open[-1], _Paragraph):
            self._open[-1].pieces.append(data)

    def end(self, name: str) -> None:
        match name:
            case "text:p" | "text:h":
                self._end_paragraph()
            case "table:table-cell" | "table:covered-table-cell":
                cell = self._open.pop()
                if isinstance(cell, list) and self._tables and self._tables[-1]:
                    self._tables[-1][-1].append(one_line(" ".join(cell)))
            case "table:table":
                self._add(table_lines(self._tables.pop()), 0)
            case "draw:frame" | "draw:custom-shape":
                self._in_title = False
            case "draw:page":
                self.built.close_part(self._slide_start, {"slide": self._slides})

    def _end_paragraph(self) -> None:
        paragraph = self._open.pop()
        if isinstance(paragraph, _Paragraph):
            self._add("".join(paragraph.pieces).strip(), paragraph.level)
            for text, level in paragraph.after:
                self._add(text, level)

    def _add(self, text: str, level: int) -> None:
        if not text:
            return
        around = self._open[-1] if self._open else None
        if isinstance(around, _Paragraph):
            around.after.append((text, level))
        elif around is not None:
            around.append(text)
        elif level:
            self.built.add_heading(text, level)
        else:
            self.built.add(text)
