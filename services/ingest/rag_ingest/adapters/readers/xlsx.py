"""XLSX: every sheet, hidden ones too, with values as their formats show them and results of formulas.

Read event by event: a sheet of any size takes little memory beyond its text, and a format or
part that no reader knows does no harm.
"""

import re
from pathlib import Path

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers.number_formats import BUILT_IN, GENERAL, shown
from rag_ingest.adapters.readers.office import Package
from rag_ingest.adapters.readers.packages import damaged, opened
from rag_ingest.adapters.readers.sheets import Cells, SheetsBuilder
from rag_ingest.adapters.readers.xml_stream import Words, XmlHandler
from rag_ingest.domain.formats import MEDIA_TYPES, Format

_CELL = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})")
_MAX_COLUMNS = 16_384
"""Excel's own limit, XFD."""
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    sheets = SheetsBuilder()
    with opened(path, kind) as archive:
        package = Package(archive, kind)
        main = package.main_part()
        book = _Workbook()
        package.read(main, book)
        relations = package.relations(main)
        strings, styles = _SharedStrings(), _Styles()
        for relation in relations:
            if relation.kind == "sharedStrings":
                package.read(relation.target, strings)
            elif relation.kind == "styles":
                package.read(relation.target, styles)
        parts = {relation.id: relation for relation in relations}
        for name, part in book.sheets:
            if part not in parts:
                raise damaged(kind, f"the sheet {name} is missing")
            # A sheet that is one chart has no rows.
            if parts[part].kind == "worksheet":
                sheets.begin(name)
                sheet = _Sheet(sheets, strings.strings, styles.codes, since_1904=book.since_1904)
                package.read(parts[part].target, sheet)
                sheets.finish()
        title = package.title()
    return sheets.built.extracted(MEDIA_TYPES[kind], title=title)


class _Workbook(XmlHandler):
    def __init__(self) -> None:
        self.sheets: list[tuple[str, str]] = []
        self.since_1904 = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "sheet":
            self.sheets.append((attributes.get("name", ""), attributes.get("r:id", "")))
        elif name == "workbookPr":
            self.since_1904 = attributes.get("date1904") in ("1", "true")


class _SharedStrings(XmlHandler):
    """The texts that cells refer to by number; without the readings of ideographs."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._words = Words()
        self._in_text = False

    def start(self, name: str, attributes: dict[str, str]) -> bool:
        self._in_text = name == "t"
        return name == "rPh"

    def text(self, data: str) -> None:
        if self._in_text:
            self._words.add(data)

    def end(self, name: str) -> None:
        self._in_text = False
        if name == "si":
            self.strings.append(_unescape(self._words.take()))


class _Styles(XmlHandler):
    """The format of numbers in each style of cells."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self._own: dict[str, str] = {}
        self._in_cells = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        number = attributes.get("numFmtId", "")
        if name == "numFmt":
            self._own[number] = attributes.get("formatCode", GENERAL)
        elif name == "cellXfs":
            self._in_cells = True
        elif name == "xf" and self._in_cells:
            built_in = BUILT_IN.get(int(number), GENERAL) if number.isdecimal() else GENERAL
            self.codes.append(self._own.get(number, built_in))

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._in_cells = False


class _Sheet(XmlHandler):
    """Rows and cells; those that do not say where they are follow the one before them."""

    def __init__(
        self, sheets: SheetsBuilder, strings: list[str], codes: list[str], *, since_1904: bool
    ) -> None:
        self._sheets = sheets
        self._strings = strings
        self._codes = codes
        self._since_1904 = since_1904
        self._row = 0
        self._column = -1
        self._cells: Cells = []
        self._type = "n"
        self._style = ""
        self._words = Words()
        self._in_value = False

    def start(self, name: str, attributes: dict[str, str]) -> bool | None:
        if name == "c":
            self._start_cell(attributes)
        elif name in ("v", "t"):
            self._in_value = True
        elif name == "row":
            number = attributes.get("r", "")
            self._row = int(number) if number.isdecimal() and len(number) < 8 else self._row + 1
            self._column = -1
            self._cells = []
        elif name in ("f", "rPh", "extLst", "conditionalFormatting", "dataValidations"):
            return True
        return None

    def _start_cell(self, attributes: dict[str, str]) -> None:
        self._column += 1
        self._type = attributes.get("t", "n")
        self._style = attributes.get("s", "")
        if found := _CELL.fullmatch(attributes.get("r", "")):
            self._column = _column(found.group(1))
        if self._column >= _MAX_COLUMNS:
            raise BadDocument(
                f"The XLSX has a row of more than {_MAX_COLUMNS:,} columns, the most that there can be;"
                " it may be damaged.",
                code="damaged_file",
            )

    def text(self, data: str) -> None:
        if self._in_value:
            self._words.add(data)

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self._in_value = False
        elif name == "c":
            if value := self._words.take():
                self._cells.append((self._column, self._shown(value)))
        elif name == "row" and self._cells:
            self._sheets.add_row(self._row, self._cells)

    def _shown(self, value: str) -> str:
        match self._type:
            case "s":
                index = int(value) if value.isdecimal() else len(self._strings)
                return self._strings[index] if index < len(self._strings) else ""
            case "b":
                return "FALSE" if value.strip() == "0" else "TRUE"
            case "n":
                return self._number(value)
            case "d":
                return value.strip().replace("T", " ")
        return _unescape(value)

    def _number(self, value: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return value
        style = int(self._style) if self._style.isdecimal() else 0
        code = self._codes[style] if style < len(self._codes) else GENERAL
        return shown(number, code, since_1904=self._since_1904)


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def _unescape(text: str) -> str:
    """Characters that XML does not have are written as ``_x000D_``."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)).replace("\0", " "), text)
