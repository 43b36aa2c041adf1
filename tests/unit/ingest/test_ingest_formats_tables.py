"""Tables: numbers as their formats show them, rows and their numbers, headers, separators."""

import datetime
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers import extract
from rag_ingest.adapters.readers.number_formats import shown
from rag_ingest.adapters.readers.sheets import SheetsBuilder
from rag_ingest.domain.documents import Heading, HeadingPaths

Read = Callable[[bytes, str], Extracted]


@pytest.mark.parametrize(
    ("value", "code", "expected"),
    [
        (0.1 + 0.2, "General", "0.3"),
        (1234567.5, '#,##0.00 "₽"', "1234567.50 ₽"),
        (1234.5, "_-* #,##0.00\\ [$₽-419]_-", "1234.50 ₽"),
        (0.256, "0.0%", "25.6%"),
        (2.675, "0.00", "2.68"),
        (-5, "#,##0;(#,##0)", "(5)"),
        (-5.255, "0.00", "-5.26"),
        (0, '0;-0;"—"', "—"),
        (12, "000000", "000012"),
        (2, "0.##", "2"),
        (1500000, '0.0,,"M"', "1.5M"),
        (79991234567, "+0(000)000-00-00", "+7(999)123-45-67"),
        (3, 'General" шт."', "3 шт."),
        (45363, "dd.mm.yyyy", "12.03.2024"),
        (45363, '[$-419]d mmmm yyyy" г."', "12 марта 2024 г."),
        (45363, "ddd, dd/mm/yy", "Tue, 12/03/24"),
        (45363.604166667, "yyyy-mm-dd h:mm", "2024-03-12 14:30"),
        (0.395833333, "h:mm AM/PM", "9:30 AM"),
        (1.25, "[h]:mm:ss", "30:00:00"),
        (1, "yyyy-mm-dd", "1900-01-01"),
        (1e300, "0.00", "1e+300"),
        (-3, "yyyy", "-3"),
        (5, "", "5"),
    ],
)
def test_numbers_are_shown_as_their_format_says(value: float, code: str, expected: str) -> None:
    assert shown(value, code) == expected


def test_files_of_the_mac_count_days_from_1904() -> None:
    assert shown(43901, "dd.mm.yyyy", since_1904=True) == "12.03.2024"


@given(st.floats(), st.text("0#?.,;%yYmdhs[]\"'\\/_*@E+-₽ General", max_size=30))
def test_any_number_is_shown_by_any_format(value: float, code: str) -> None:
    assert isinstance(shown(value, code), str)


cells = st.lists(st.text(max_size=5), max_size=6)


@given(st.lists(cells, max_size=30))
def test_every_line_has_the_number_of_its_row(rows: list[list[str]]) -> None:
    sheets = SheetsBuilder()
    sheets.begin("Sheet")
    for number, row in enumerate(rows, 1):
        sheets.add_row(number, list(enumerate(row)))
    sheets.finish()
    full = [number for number, row in enumerate(rows, 1) if any(cell.split() for cell in row)]
    if not full:
        assert not sheets.built.parts
        return
    ((start, end, place, numbers),) = sheets.built.parts
    lines = sheets.built.text[start:end].split("\n")
    assert place == {"sheet": "Sheet"}
    assert numbers == full
    for number, line in zip(numbers, lines, strict=True):
        assert line.split() == [word for cell in rows[number - 1] for word in cell.split()]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads bytes as a file of a format."""

    def read_bytes(data: bytes, kind: str) -> Extracted:
        path = tmp_path / "file"
        path.write_bytes(data)
        return extract(str(path), kind)

    return read_bytes


def rows_of(found: Extracted) -> list[tuple[int, str]]:
    ((start, end, _, numbers),) = found["parts"]
    return list(zip(numbers, found["text"][start:end].split("\n"), strict=True))


def titles_of(found: Extracted) -> list[str]:
    return [title for _, _, _, title in found["headings"]]


def test_cells_of_a_workbook(read: Read) -> None:
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer, {"in_memory": True, "default_date_format": "d.m.yy", "use_zip64": True}
    )
    sheet = book.add_worksheet("All")
    sheet.write_string(0, 2, "  two\twords\nin lines ")
    sheet.write_boolean(1, 0, True)
    sheet.write_formula(1, 1, "=1/0", None, "#DIV/0!")
    sheet.write_formula(1, 2, '="a"&"b"', None, "ab")
    sheet.write_rich_string(1, 3, "half ", book.add_format({"bold": True}), "bold")
    sheet.write_datetime(1, 4, datetime.datetime(2024, 3, 12))  # noqa: DTZ001
    sheet.write_string(9, 16383, "far")
    sheet.write_string(1048575, 0, "last")
    chart = book.add_chart({"type": "line"})
    chart.add_series({"values": "=All!$A$1:$A$2"})
    book.add_chartsheet("Chart").set_chart(chart)
    book.close()
    found = read(buffer.getvalue(), "zip")
    assert rows_of(found) == [
        (1, "\t\ttwo words in lines"),
        (2, "TRUE\t#DIV/0!\tab\thalf bold\t12.3.24"),
        (10, "\t" * 16 + "far"),
        (1048576, "last"),
    ]
    assert [place for _, _, place, _ in found["parts"]] == [{"sheet": "All"}]


def test_cells_that_do_not_say_where_they_are_follow_each_other(read: Read) -> None:
    sheet = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        b'<row><c t="inlineStr"><is><t>a_x000D_b</t><rPh><t>no</t></rPh></is></c><c><v>1e2</v></c></row>'
        b'<row r="5"><c r="B5" t="s"><v>99</v></c><c t="e"><v>#N/A</v></c></row></sheetData></worksheet>'
    )
    found = read(packed_sheet(sheet), "xlsx")
    assert rows_of(found) == [(1, "a b\t100"), (5, "\t\t#N/A")]


RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def packed_sheet(sheet: bytes) -> bytes:
    """The smallest workbook."""
    relation = '<Relationships xmlns="{}"><Relationship Id="r1" Type="{}/{}" Target="{}"/></Relationships>'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr(
            "_rels/.rels", relation.format(PACKAGE, RELATIONS, "officeDocument", "xl/workbook.xml")
        )
        package.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns:r="{RELATIONS}"><sheets><sheet name="S" r:id="r1"/></sheets></workbook>',
        )
        package.writestr(
            "xl/_rels/workbook.xml.rels",
            relation.format(PACKAGE, RELATIONS, "worksheet", "/xl/worksheets/s.xml"),
        )
        package.writestr("xl/worksheets/s.xml", sheet)
    return buffer.getvalue()


ODS = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
    ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
    '<table:table table:name="S">{}</table:table></office:spreadsheet></office:body>'
    "</office:document-content>"
)


def packed_table(rows: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        package.writestr("content.xml", ODS.format(rows))
    return buffer.getvalue()


def test_repeated_rows_and_cells_count(read: Read) -> None:
    found = read(
        packed_table(
            '<table:table-row table:number-rows-repeated="2"><table:table-cell'
            ' table:number-columns-repeated="3"><text:p>x</text:p></table:table-cell></table:table-row>'
            '<table:table-row table:number-rows-repeated="1000"><table:table-cell'
            ' table:number-columns-repeated="16384"/></table:table-row>'
            '<table:table-row><table:table-cell office:value="2.5"/><table:table-cell>'
            "<text:p>a<text:s/><text:span>b</text:span></text:p><text:p>c</text:p></table:table-cell>"
            "</table:table-row>"
        ),
        "zip",
    )
    assert rows_of(found) == [(1, "x\tx\tx"), (2, "x\tx\tx"), (1003, "2.5\ta b c")]


@pytest.mark.parametrize(
    "rows",
    [
        '<table:table-row><table:table-cell table:number-columns-repeated="99999999"><text:p>xxx</text:p>'
        "</table:table-cell></table:table-row>",
        '<table:table-row table:number-rows-repeated="99999999"><table:table-cell><text:p>xxx</text:p>'
        "</table:table-cell></table:table-row>",
    ],
    ids=["cells", "rows"],
)
def test_a_table_that_bursts_is_refused_before_it_does(read: Read, rows: str) -> None:
    with pytest.raises(BadDocument) as caught:
        read(packed_table(rows), "ods")
    assert caught.value.code == "too_much_text"


@pytest.mark.parametrize(
    ("table", "header"),
    [
        ("name;city\nAnna;Kazan\n", "name | city"),
        ("Budget\n;\nитог;сумма;год\nx;1;2024\n", "итог | сумма | год"),
        ("1;2\n3;4\n", None),
        ("name;2024\nAnna;5\n", None),
        ("name;name\nAnna;5\n", None),
        ("name;city\n", None),
    ],
)
def test_the_header_is_the_first_full_row_of_words(read: Read, table: str, header: str | None) -> None:
    found = read(table.encode(), "csv")
    assert titles_of(found) == ([header] if header else [])
    for start, end, _, title in found["headings"]:
        assert found["text"][start:end].replace("\t", " | ") == title


def test_the_name_of_a_sheet_stands_over_its_rows(read: Read) -> None:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        for name in ("First", "Second"):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, (name, "b") if name == "First" else (1, 2))
            sheet.write_row(1, 0, (3, 4))
    found = read(buffer.getvalue(), "xlsx")
    paths = HeadingPaths(tuple(Heading(*each) for each in found["headings"]))
    ends = [paths.of(found["text"], end - 3, end) for _, end, _, _ in found["parts"]]
    assert ends == [("First", "First | b"), ("Second",)]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a,b\n1,2\n", ["a\tb", "1\t2"]),
        (b"a\tb\r\n1\t2", ["a\tb", "1\t2"]),
        (b"a|b\r1|2", ["a\tb", "1\t2"]),
        ("имя;цена\nСтул;1,50\nСтол;22,75\n".encode("cp1251"), ["имя\tцена", "Стул\t1,50", "Стол\t22,75"]),
        (b"sep=|\r\na,x|b\r\n", ["a,x\tb"]),
        (b'a;"x\ny ""z"""\n', ['a\tx y "z"']),
        (b"one column, with a comma\nand none\nor so\n", ["one column, with a comma", "and none", "or so"]),
    ],
)
def test_separators_are_found(read: Read, data: bytes, lines: list[str]) -> None:
    assert [line for _, line in rows_of(read(data, "csv"))] == lines


def test_empty_records_count_and_a_record_of_many_lines_is_one_row(read: Read) -> None:
    found = read(b'a,b\n\n"1\n2",x\n,,\nend,\n', "csv")
    assert rows_of(found) == [(1, "a\tb"), (3, "1 2\tx"), (5, "end")]


def test_a_quotation_mark_that_is_never_closed_swallows_nothing(read: Read) -> None:
    found = read(b'a,b\n"1,2\n' + b"x,y\n" * 500, "csv")
    assert len(rows_of(found)) == 502
    assert "never closed" in found["warnings"][0]
