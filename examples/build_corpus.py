"""Build the files of the example corpus that are not plain text from their sources: ``make corpus``.

A source is named ``<name>.<format>.md`` and is written in the part of Markdown that
:mod:`examples.corpus_blocks` reads, except JSON and XML, which are taken as they are, and text, which is
put into the code page CP1251. Set in DejaVu Sans, which has both alphabets.
"""

import io
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
from docx.enum.text import WD_BREAK
from reportlab import rl_config
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate, Table, TableStyle

from examples.corpus_blocks import Block, Rows, parse
from examples.corpus_messages import write_csv, write_eml, write_epub, write_scan, write_zip
from examples.corpus_office import write_ods, write_odt, write_pptx, write_rtf, write_xlsx

SOURCES = Path(__file__).with_name("corpus_sources")
FONT, BOLD = "DejaVuSans", "DejaVuSans-Bold"


def _style(name: str, **changes: object) -> ParagraphStyle:
    return ParagraphStyle(
        name, **{"fontName": FONT, "fontSize": 10, "leading": 14, "spaceAfter": 6, **changes}
    )


STYLES = {
    "title": _style("title", fontName=BOLD, fontSize=17, leading=22, spaceAfter=10),
    "heading": _style("heading", fontName=BOLD, fontSize=12, leading=16, spaceBefore=8),
    "paragraph": _style("paragraph"),
    "bullet": _style("bullet", leftIndent=6 * mm, spaceAfter=3),
    "number": _style("number", leftIndent=6 * mm, spaceAfter=3),
    "cell": _style("cell", fontSize=9, leading=12, spaceAfter=0),
    "head": _style("head", fontName=BOLD, fontSize=9, leading=12, spaceAfter=0),
}


class NumberedPages(SimpleDocTemplate):  # type: ignore[misc]  # reportlab ships no types
    """A4 pages with their number at the foot."""

    def afterPage(self) -> None:  # noqa: N802  # the name is reportlab's
        # After the text, so that a reader of the text layer does not meet the number first.
        self.canv.setFont(FONT, 8)
        self.canv.drawCentredString(A4[0] / 2, 12 * mm, str(self.page))


def write_pdf(blocks: list[Block], target: Path) -> None:
    """The same blocks and fonts give the same bytes."""
    rl_config.invariant = 1
    for font in (FONT, BOLD):
        pdfmetrics.registerFont(TTFont(font, f"{font}.ttf"))
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 22 * mm)
    document = NumberedPages(str(target), pagesize=A4, title=blocks[0].text, **margins)
    document.build([_flowable(block) for block in blocks])


def _flowable(block: Block) -> Flowable:
    if block.kind == "page":
        return PageBreak()
    if block.kind == "table":
        return _pdf_table(block.rows)
    return Paragraph(("• " if block.kind == "bullet" else "") + block.text, STYLES[block.kind])


def _pdf_table(rows: Rows) -> Flowable:
    head, *body = rows
    cells = [[Paragraph(text, STYLES["head"]) for text in head]]
    cells += [[Paragraph(text, STYLES["cell"]) for text in row] for row in body]
    grid = TableStyle([("GRID", (0, 0), (-1, -1), 0.4, colors.grey), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    return Table(cells, style=grid, spaceBefore=4, spaceAfter=10, hAlign="LEFT")


def write_docx(blocks: list[Block], target: Path) -> None:
    """A Word document with real headings, lists and tables; the same blocks give the same bytes."""
    document = docx.Document()
    document.core_properties.title = blocks[0].text
    document.core_properties.author = "Kittiwake Instruments"
    styles = {"title": "Title", "heading": "Heading 1", "bullet": "List Bullet", "number": "List Number"}
    for block in blocks:
        if block.kind == "page":
            document.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
        elif block.kind == "table":
            _docx_table(document, block.rows)
        else:
            # Word numbers the lines of a numbered list by itself.
            text = re.sub(r"^\d+\. ", "", block.text) if block.kind == "number" else block.text
            document.add_paragraph(text, style=styles.get(block.kind))
    buffer = io.BytesIO()
    document.save(buffer)
    _copy_without_times(buffer, target)


def _copy_without_times(archive: io.BytesIO, target: Path) -> None:
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for entry in source.infolist():
            copy.writestr(zipfile.ZipInfo(entry.filename), source.read(entry), zipfile.ZIP_DEFLATED)


def _docx_table(document: docx.document.Document, rows: Rows) -> None:
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Table Grid")
    for row, texts in zip(table.rows, rows, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text


WRITERS: dict[str, Callable[[list[Block], Path], None]] = {
    ".pdf": write_pdf,
    ".docx": write_docx,
    ".pptx": write_pptx,
    ".xlsx": write_xlsx,
    ".ods": write_ods,
    ".odt": write_odt,
    ".rtf": write_rtf,
    ".csv": write_csv,
    ".eml": write_eml,
    ".epub": write_epub,
    ".png": write_scan,
    ".zip": write_zip,
}
VERBATIM = {".json": "utf-8", ".xml": "utf-8", ".txt": "cp1251"}
"""Formats whose source is the file, and the encoding that it is put into."""


def build(target: Path) -> list[Path]:
    """Write every source's file below ``target``.

    :raises reportlab.pdfbase.ttfonts.TTFError: DejaVu Sans is not installed.
    """
    written = []
    for source in sorted(SOURCES.rglob("*.md")):
        file = target / source.relative_to(SOURCES).with_suffix("")
        file.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        if encoding := VERBATIM.get(file.suffix):
            file.write_text(text, encoding=encoding)
        else:
            WRITERS[file.suffix](list(parse(text)), file)
        written.append(file)
    return written


def main() -> int:
    try:
        written = build(Path(sys.argv[1]))
    except TTFError as error:
        print(
            f"{error}\nInstall DejaVu Sans (Debian and Ubuntu: apt-get install fonts-dejavu-core).",
            file=sys.stderr,
        )
        return 1
    for file in written:
        print(f"{file}: {file.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
