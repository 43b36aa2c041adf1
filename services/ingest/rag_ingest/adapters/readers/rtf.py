"""RTF (specification 1.9.1): paragraphs, headings by style or outline level, tables, notes, the title."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from rag_ingest.adapters.extracted import Extracted, TextBuilder
from rag_ingest.adapters.readers.packages import damaged
from rag_ingest.adapters.readers.rtf_groups import Group, Tables, codec_of, enter
from rag_ingest.adapters.readers.xml_stream import one_line, table_lines
from rag_ingest.domain.formats import MEDIA_TYPES, Format

# A control word with its number and the space that ends it, a byte, a control symbol, a brace, or text.
_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?[0-9]{1,9})? ?|\\'([0-9a-fA-F]{2})|\\(.)|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\",
    re.DOTALL,
)
_MAX_DEPTH = 1000
_CHARACTERS = {
    "tab": "\t",
    "line": "\n",
    "softline": "\n",
    "emdash": "—",
    "endash": "–",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "emspace": " ",
    "enspace": " ",
    "nestcell": " ",
    "nestrow": " ",
}
_SYMBOLS = {"~": "\u00a0", "_": "-", "\\": "\\", "{": "{", "}": "}"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    return read_bytes(path.read_bytes(), kind)


def read_bytes(data: bytes, kind: Format = "rtf") -> Extracted:
    """The same for the content of a file.

    :raises BadDocument: ``damaged_file``.
    """
    # One character for each byte; what a byte means depends on the font that it is set in.
    document = _Document(kind)
    document.read(data.decode("latin-1"))
    return document.built.extracted(
        MEDIA_TYPES[kind], title=one_line(document.tables.title) or None, warnings=document.warnings
    )


class _Document:
    """Follows the groups of a file and puts its text together."""

    def __init__(self, kind: Format) -> None:
        self.built = TextBuilder()
        self.tables = Tables()
        self.warnings: list[str] = []
        self._kind = kind
        self._group = Group()
        self._outer: list[Group] = []
        self._bytes = bytearray()
        self._to_skip = 0
        self._paragraph: list[str] = []
        # The paragraphs that wait while a note inside them is read; notes stand after them.
        self._interrupted: list[list[str]] = []
        self._notes: list[str] = []
        self._cells: list[str] = []
        self._rows: list[list[str]] = []
        self._actions: dict[str, Callable[[int], None]] = {
            "u": self._unicode,
            "cell": lambda _: self._end_cell(),
            "row": lambda _: self._end_row(),
            **dict.fromkeys(("par", "sect", "page"), lambda _: self._end_paragraph()),
        }

    def read(self, source: str) -> None:
        """:raises BadDocument: ``damaged_file``; it ends within a group, or is no RTF."""
        if not source.startswith("{\\rtf"):
            raise damaged(self._kind, "it does not begin as RTF does")
        position, length = 0, len(source)
        match = _TOKEN.match
        while position < length and (found := match(source, position)):
            position = found.end()
            word, number, byte, symbol, brace, text = found.groups()
            if text is not None:
                self._text(text)
            elif word is not None:
                if word == "bin":
                    position += max(0, int(number or 0))
                else:
                    self._control(word, number)
            elif byte is not None:
                self._byte(int(byte, 16))
            elif symbol is not None:
                self._symbol(symbol)
            elif brace == "{":
                self._begin_group()
            elif brace == "}" and self._outer:
                self._end_group()
                if not self._outer:
                    break
        self._finish()

    def _finish(self) -> None:
        if len(self._outer) > 1:
            raise damaged(self._kind, "it ends in the middle")
        if self._outer:
            self.warnings.append("rtf: the end of the file is missing")
        self._end_paragraph()
        if self._cells:
            self._end_row()
        self._end_table()

    def _begin_group(self) -> None:
        if len(self._outer) >= _MAX_DEPTH:
            raise damaged(self._kind, f"groups nested more than {_MAX_DEPTH} levels deep")
        self._flush()
        self._to_skip = 0
        self._outer.append(self._group)
        self._group = self._group.inner()

    def _end_group(self) -> None:
        self._flush()
        self._to_skip = 0
        ended, self._group = self._group, self._outer.pop()
        if ended.destination == "stylesheet":
            self.tables.end_style(ended)
        if ended.destination == "note" and self._group.destination != "note":
            self._notes.append("".join(self._paragraph).strip())
            self._paragraph = self._interrupted.pop()

    def _control(self, word: str, number: str | None) -> None:
        if self._to_skip:
            self._to_skip -= 1
            return
        if (character := _CHARACTERS.get(word)) is not None:
            self._characters(character)
        elif action := self._actions.get(word):
            if self._group.destination in ("text", "note", "title"):
                self._flush()
                action(int(number or 0))
        else:
            if word in ("f", "plain", "deff"):
                self._flush()
            was_note = self._group.destination == "note"
            enter(self._group, self.tables, word, None if number is None else int(number))
            if self._group.destination == "note" and not was_note:
                self._interrupted.append(self._paragraph)
                self._paragraph = []

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._group.optional = True
        elif symbol in "\r\n":
            self._control("par", None)
        elif self._to_skip:
            self._to_skip -= 1
        elif symbol in _SYMBOLS:
            self._characters(_SYMBOLS[symbol])

    def _text(self, text: str) -> None:
        if self._to_skip:
            skipped = min(self._to_skip, len(text))
            self._to_skip -= skipped
            text = text[skipped:]
        if self._group.destination != "skip":
            self._bytes += text.encode("latin-1")

    def _byte(self, byte: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        elif self._group.destination != "skip":
            self._bytes.append(byte)

    def _unicode(self, number: int) -> None:
        # Sixteen bits with a sign, by the specification; some programs write whole characters.
        self._characters(chr(number if 0 <= number <= sys.maxunicode else number % 0x10000))
        self._to_skip = self._group.unicode_skip

    def _flush(self) -> None:
        if self._bytes:
            text = self._bytes.decode(codec_of(self._group, self.tables), "replace")
            self._bytes.clear()
            self._characters(text)

    def _characters(self, text: str) -> None:
        if self._bytes:
            self._flush()
        match self._group.destination:
            case "text" | "note" if not self._group.hidden:
                self._paragraph.append(text)
            case "title":
                self.tables.title += text
            case "stylesheet":
                self.tables.style_name += text

    def _end_paragraph(self) -> None:
        if self._group.destination == "note":
            self._paragraph.append("\n")
        elif self._group.in_table:
            self._paragraph.append(" ")
        else:
            self._end_table()
            level = self.tables.level(self._group)
            text = self._take()
            if text and level:
                self.built.add_heading(one_line(text), level)
            elif text:
                self.built.add(text)
            for note in filter(None, self._notes):
                self.built.add(note)
            self._notes.clear()

    def _take(self) -> str:
        text = "".join(self._paragraph).replace("\0", "\ufffd").strip()
        self._paragraph.clear()
        if _SURROGATE.search(text):
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text

    def _end_cell(self) -> None:
        self._cells.append(one_line(" ".join([self._take(), *self._notes])))
        self._notes.clear()

    def _end_row(self) -> None:
        self._rows.append(self._cells)
        self._cells = []

    def _end_table(self) -> None:
        if self._rows:
            if lines := table_lines(self._rows):
                self.built.add(lines)
            self._rows = []
