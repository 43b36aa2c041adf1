"""The same handbook in every format, written by other programs and libraries than those that read it."""

import datetime
import io
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import docx
import mkepub
import odfdo
import pptx
import xlsxwriter
from pptx.util import Inches
from pydantic_core import to_json
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

TITLE = "Staff handbook & справочник"
SECTIONS = (
    (
        "Annual leave & holidays",
        (
            'Everyone has 28 days of paid leave a year. Ask R&D if 5 < 6 & "why"; café naïve.',
            "Unused days expire at the end of March — no exceptions are made.",
        ),
    ),
    (
        "Командировки и отчёты",
        (
            "Расходы на командировку возмещаются в течение 10 рабочих дней после сдачи отчёта.",
            "Ёлки, объём и съёмка: буквы ё и ъ остаются на своих местах.",
        ),
    ),
)
ROWS = (
    ("Должность", "Grade", "Ставка", "С даты", "Доля"),
    ("Инженер", "A|B", "1250.50", "12.03.2024", "25.6%"),
    ("Senior editor", "C", "990.00", "01.09.2023", "10.0%"),
)
NOTE = "Заметка докладчика: speak slowly"
FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")


def words_of_sections() -> str:
    return "\n".join(f"{heading}\n" + "\n".join(paragraphs) for heading, paragraphs in SECTIONS)


def words_of_rows() -> str:
    return "\n".join("\t".join(row) for row in ROWS)


def text() -> bytes:
    return f"{words_of_sections()}\n".encode()


def markdown() -> bytes:
    parts = (f"# {heading}\n\n" + "\n\n".join(paragraphs) for heading, paragraphs in SECTIONS)
    return "\n\n".join(parts).encode()


def html() -> bytes:
    root = ET.Element("html")
    ET.SubElement(ET.SubElement(root, "head"), "title").text = TITLE
    body = ET.SubElement(root, "body")
    _add_page(body)
    page: bytes = ET.tostring(root, encoding="utf-8", method="html")
    return b"<!DOCTYPE html>\n" + page


def _add_page(body: ET.Element) -> None:
    for heading, paragraphs in SECTIONS:
        ET.SubElement(body, "h1").text = heading
        for paragraph in paragraphs:
            ET.SubElement(body, "p").text = paragraph


def pdf() -> bytes:
    """A page for each section."""
    pdfmetrics.registerFont(TTFont("DejaVu", str(FONT)))
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    canvas.setTitle(TITLE)
    for heading, paragraphs in SECTIONS:
        for number, line in enumerate((heading, *paragraphs)):
            canvas.setFont("DejaVu", 9)
            canvas.drawString(50, 780 - 20 * number, line)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def docx_file() -> bytes:
    document = docx.Document()
    document.core_properties.title = TITLE
    for heading, paragraphs in SECTIONS:
        document.add_heading(heading, 1)
        for paragraph in paragraphs:
            document.add_paragraph(paragraph)
    table = document.add_table(len(ROWS), len(ROWS[0]))
    for row, cells in zip(table.rows, ROWS, strict=True):
        for cell, words in zip(row.cells, cells, strict=True):
            cell.text = words
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def pptx_file() -> bytes:
    """A slide for each section, with notes on the first; then one with the table and no title."""
    deck = pptx.Presentation()
    deck.core_properties.title = TITLE
    for heading, paragraphs in SECTIONS:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = heading
        slide.placeholders[1].text = "\n".join(paragraphs)
    deck.slides[0].notes_slide.notes_text_frame.text = NOTE
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    table = slide.shapes.add_table(len(ROWS), len(ROWS[0]), Inches(1), Inches(1), Inches(8), Inches(2)).table
    for row, cells in enumerate(ROWS):
        for column, words in enumerate(cells):
            table.cell(row, column).text = words
    buffer = io.BytesIO()
    deck.save(buffer)
    return buffer.getvalue()


def xlsx() -> bytes:
    """The table on a sheet, from row 3 on, with an empty row; the sections on a hidden one."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True})
    book.set_properties({"title": TITLE})
    money, date = book.add_format({"num_format": "#,##0.00"}), book.add_format({"num_format": "dd.mm.yyyy"})
    share = book.add_format({"num_format": "0.0%"})
    sheet = book.add_worksheet("Ставки & grades")
    sheet.write_row(2, 0, ROWS[0])
    for number, (job, grade, rate, since, part) in zip((3, 5), ROWS[1:], strict=True):
        sheet.write_row(number, 0, (job, grade))
        sheet.write_formula(number, 2, f"=SUM(Z{number})", money, float(rate))
        sheet.write_datetime(number, 3, datetime.datetime.strptime(since, "%d.%m.%Y"), date)  # noqa: DTZ007
        sheet.write_number(number, 4, float(part.strip("%")) / 100, share)
    hidden = book.add_worksheet("Тексты")
    hidden.hide()
    for number, line in enumerate(words_of_sections().split("\n")):
        hidden.write_string(number, 1, line)
    book.close()
    return buffer.getvalue()


def ods() -> bytes:
    document = odfdo.Document("spreadsheet")
    document.meta.title = TITLE
    document.body.clear()
    for name, rows in (
        ("Ставки & grades", ((), (), ROWS[0], ROWS[1], (), ROWS[2])),
        ("Тексты", tuple(("", line) for line in words_of_sections().split("\n"))),
    ):
        table = odfdo.Table(name)
        for cells in rows:
            row = odfdo.Row()
            row.set_values([cell or None for cell in cells])
            table.append_row(row)
        document.body.append(table)
    return _saved(document)


def odt() -> bytes:
    document = odfdo.Document("text")
    document.meta.title = TITLE
    document.body.clear()
    for heading, paragraphs in SECTIONS:
        document.body.append(odfdo.Header(1, heading))
        for paragraph in paragraphs:
            document.body.append(odfdo.Paragraph(paragraph))
    table = odfdo.Table("Rates")
    table.set_values([list(row) for row in ROWS])
    document.body.append(table)
    return _saved(document)


def odp() -> bytes:
    """A slide for each section."""
    document = odfdo.Document("presentation")
    document.meta.title = TITLE
    document.body.clear()
    for number, (heading, paragraphs) in enumerate(SECTIONS, 1):
        page = odfdo.DrawPage(f"page{number}", name=f"page{number}")
        page.append(
            odfdo.Frame.text_frame(
                heading, size=("20cm", "3cm"), position=("1cm", "1cm"), presentation_class="title"
            )
        )
        lines = [odfdo.Paragraph(each) for each in paragraphs]
        page.append(odfdo.Frame.text_frame(lines, size=("20cm", "9cm"), position=("1cm", "5cm")))
        document.body.append(page)
    return _saved(document)


def _saved(document: odfdo.Document) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def epub(directory: Path) -> bytes:
    """A chapter for each section."""
    path = directory / "book.epub"
    path.unlink(missing_ok=True)
    book = mkepub.Book(title=TITLE)
    for heading, paragraphs in SECTIONS:
        chapter = ET.Element("div")
        ET.SubElement(chapter, "h1").text = heading
        for paragraph in paragraphs:
            ET.SubElement(chapter, "p").text = paragraph
        book.add_page(heading, ET.tostring(chapter, encoding="unicode"))
    book.save(str(path))
    book.tempdir.cleanup()
    return path.read_bytes()


def csv() -> bytes:
    """As Excel writes it in Russia: semicolons, a mark, and the end of line of Windows."""
    rows = (*ROWS, *(("", "", "", "", f'"{line.replace(chr(34), chr(34) * 2)}"') for line in _lines()))
    return "\r\n".join(";".join(row) for row in rows).encode("utf-8-sig")


def _lines() -> list[str]:
    return words_of_sections().split("\n")


def json() -> bytes:
    sections = [{"heading": heading, "paragraphs": paragraphs} for heading, paragraphs in SECTIONS]
    return to_json({"title": TITLE, "sections": sections})


def xml() -> bytes:
    root = ET.Element("handbook", {"title": TITLE})
    for heading, paragraphs in SECTIONS:
        section = ET.SubElement(root, "section", {"heading": heading})
        for paragraph in paragraphs:
            ET.SubElement(section, "para").text = paragraph
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def by_libre_office(data: bytes, source: str, target: str, directory: Path) -> bytes:
    """What LibreOffice makes of a file when it saves it in another format."""
    path = directory / f"handbook.{source}"
    path.write_bytes(data)
    subprocess.run(
        [
            shutil.which("soffice") or "soffice",
            f"-env:UserInstallation={(directory / 'profile').as_uri()}",
            *("--headless", "--convert-to", target, "--outdir", str(directory), str(path)),
        ],
        check=True,
        capture_output=True,
        timeout=100,
        env={**os.environ, "HOME": str(directory)},
    )
    return path.with_suffix(f".{target}").read_bytes()
