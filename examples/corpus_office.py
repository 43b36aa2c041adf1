"""Writers of the example corpus: presentations, spreadsheets, OpenDocument and RTF."""

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import odfdo
import xlsxwriter
from pptx import Presentation
from pptx.util import Inches

from examples.corpus_blocks import Block, Rows


class Section(NamedTuple):
    """A heading and the blocks below it."""

    heading: str
    blocks: tuple[Block, ...]


def sections(blocks: list[Block]) -> list[Section]:
    """The parts below the headings of the second level; what precedes them is left out."""
    found: list[Section] = []
    for is_heading, group in groupby(blocks, lambda block: block.kind == "heading"):
        members = tuple(group)
        if is_heading:
            found += [Section(block.text, ()) for block in members]
        elif found:
            found[-1] = Section(found[-1].heading, members)
    return found


def write_pptx(blocks: list[Block], target: Path) -> None:
    """A title slide, then a slide for each section."""
    deck = Presentation()
    deck.core_properties.title = blocks[0].text
    deck.slides.add_slide(deck.slide_layouts[0]).shapes.title.text = blocks[0].text
    for section in sections(blocks):
        tables = [block.rows for block in section.blocks if block.rows]
        slide = deck.slides.add_slide(deck.slide_layouts[5 if tables else 1])
        slide.shapes.title.text = section.heading
        for rows in tables:
            frame = slide.shapes.add_table(
                len(rows), len(rows[0]), Inches(0.5), Inches(1.6), Inches(9), Inches(3)
            )
            for no, row in enumerate(rows):
                for column, text in enumerate(row):
                    frame.table.cell(no, column).text = text
        if not tables:
            slide.placeholders[1].text = "\n".join(block.text for block in section.blocks)
    deck.save(str(target))


def _value(text: str) -> str | int | float:
    """A number where the text is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def write_xlsx(blocks: list[Block], target: Path) -> None:
    """A sheet for each section, its table from the first row on; numbers are numbers."""
    with xlsxwriter.Workbook(target) as book:
        book.set_properties({"title": blocks[0].text})
        for name, rows in _sheets(blocks):
            sheet = book.add_worksheet(name)
            for no, row in enumerate(rows):
                sheet.write_row(no, 0, [_value(text) for text in row])


def write_ods(blocks: list[Block], target: Path) -> None:
    """See :func:`write_xlsx`."""
    document = odfdo.Document("spreadsheet")
    document.body.clear()
    document.meta.title = blocks[0].text
    for name, rows in _sheets(blocks):
        table = odfdo.Table(name)
        for row in rows:
            line = odfdo.Row()
            line.set_values([_value(text) for text in row])
            table.append_row(line)
        document.body.append(table)
    document.save(target)


def _sheets(blocks: list[Block]) -> list[tuple[str, Rows]]:
    return [
        (section.heading, block.rows)
        for section in sections(blocks)
        for block in section.blocks
        if block.rows
    ]


def write_odt(blocks: list[Block], target: Path) -> None:
    document = odfdo.Document("text")
    document.body.clear()
    document.meta.title = blocks[0].text
    for no, block in enumerate(blocks):
        if block.kind == "table":
            table = odfdo.Table(f"Table{no}")
            for row in block.rows:
                line = odfdo.Row()
                line.set_values(list(row))
                table.append_row(line)
            document.body.append(table)
        elif block.kind in ("title", "heading"):
            document.body.append(odfdo.Header(1 if block.kind == "title" else 2, block.text))
        else:
            document.body.append(odfdo.Paragraph(block.text))
    document.save(target)


def write_rtf(blocks: list[Block], target: Path) -> None:
    """Characters outside ASCII are written as ``\\u`` references, which every reader knows."""
    lines = [r"{\rtf1\ansi\ansicpg1251\deff0{\fonttbl{\f0 Times New Roman;}}"]
    lines.append(r"{\info{\title " + _rtf(blocks[0].text) + "}}")
    for block in blocks:
        style = {"title": r"\b\fs36 ", "heading": r"\b\fs28 "}.get(block.kind, r"\fs22 ")
        lines.append(r"{\pard" + style + _rtf(block.text) + r"\par}")
    target.write_text("\n".join([*lines, "}"]), encoding="ascii")


def _rtf(text: str) -> str:
    # RTF counts in signed 16-bit units, and a reader without Unicode shows what follows the reference
    return "".join(letter if ord(letter) < 128 else f"\\u{ord(letter)}?" for letter in text)
