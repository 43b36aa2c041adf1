"""The body of OpenDocument spreadsheets: what each cell last showed, in its row."""

from rag_ingest.adapters.extracted import TextBuilder
from rag_ingest.adapters.readers.odf_text import PASSED_OVER, number, spacing
from rag_ingest.adapters.readers.sheets import Cells, SheetsBuilder
from rag_ingest.adapters.readers.xml_stream import Words, XmlHandler

_NOT_CELLS = PASSED_OVER | {
    "table:tracked-changes",
    "table:content-validations",
    "table:shapes",
    "table:dde-links",
    "office:forms",
}
_VALUES = (
    "office:string-value",
    "office:date-value",
    "office:time-value",
    "office:boolean-value",
    "office:value",
)
# The cells of other files that formulas refer to are kept as sheets of this name.
_OTHER_FILE = "'file:"


class Spreadsheet(XmlHandler):
    """Puts the sheets together. Equal rows and cells beside each other are stored as one and a number."""

    def __init__(self) -> None:
        self._sheets = SheetsBuilder()
        self._row = 0
        self._column = 0
        self._cells: Cells = []
        self._words = Words()
        self._repeated_row = 1
        self._repeated_cell = 1
        self._value = ""
        self._in_text = False

    @property
    def built(self) -> TextBuilder:
        return self._sheets.built

    def start(self, name: str, attributes: dict[str, str]) -> bool | None:
        match name:
            case "table:table-cell" | "table:covered-table-cell":
                self._repeated_cell = number(attributes, "table:number-columns-repeated")
                self._value = next((attributes[each] for each in _VALUES if each in attributes), "")
            case "text:p":
                self._in_text = True
                self._words.add(" ")
            case "table:table-row":
                self._repeated_row = number(attributes, "table:number-rows-repeated")
                self._cells, self._column = [], 0
            case "table:table":
                sheet = attributes.get("table:name", "")
                self._sheets.begin(sheet)
                self._row = 0
                return sheet.startswith(_OTHER_FILE)
            case _ if name in _NOT_CELLS:
                return True
            case _:
                self._words.add(spacing(name, attributes))
        return None

    def text(self, data: str) -> None:
        if self._in_text:
            self._words.add(data)

    def end(self, name: str) -> None:
        match name:
            case "table:table-cell" | "table:covered-table-cell":
                self._end_cell()
            case "text:p":
                self._in_text = False
            case "table:table-row":
                self._sheets.add_row(self._row + 1, self._cells, self._repeated_row)
                self._row += self._repeated_row
            case "table:table":
                self._sheets.finish()

    def _end_cell(self) -> None:
        if text := self._words.take().strip() or self._value:
            self._sheets.count(len(text) * self._repeated_cell)
            columns = range(self._column, self._column + self._repeated_cell)
            self._cells += [(column, text) for column in columns]
        self._column += self._repeated_cell
