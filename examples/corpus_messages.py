"""Writers of the example corpus: mails, archives, books, tables as text, old code pages and a scan."""

import csv
import io
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from pathlib import Path

import mkepub
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from examples.corpus_blocks import Block
from examples.corpus_office import sections

SCAN_DPI = 200
_HEADERS = ("From", "To", "Date")


def pages(blocks: list[Block]) -> Iterator[list[Block]]:
    """The blocks between new pages."""
    page: list[Block] = []
    for block in blocks:
        if block.kind == "page":
            yield page
            page = []
        else:
            page.append(block)
    yield page


def write_csv(blocks: list[Block], target: Path) -> None:
    target.write_text(_csv(blocks), encoding="utf-8")


def _csv(blocks: list[Block]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";", lineterminator="\n")
    for block in blocks:
        writer.writerows(block.rows)
    return buffer.getvalue()


def write_eml(blocks: list[Block], target: Path) -> None:
    """The first page is the mail, with its headers as lines; the second is the attachment."""
    mail, attached = pages(blocks)
    message = EmailMessage(policy=SMTP)
    message["Subject"] = mail[0].text
    name = ""
    body = []
    for block in mail[1:]:
        header, _, value = block.text.partition(": ")
        if header in _HEADERS:
            message[header] = value
        elif header == "Attachment":
            name = value
        else:
            body.append(block.text)
    message["Message-ID"] = f"<{target.stem}@kittiwake.example>"
    koi8 = any(letter > "\u0400" for letter in "".join(body))
    message.set_content("\n\n".join(body) + "\n", charset="koi8-r" if koi8 else "utf-8", cte="base64")
    text = _csv(attached) or "\n".join(block.text for block in attached)
    subtype = "csv" if name.endswith(".csv") else "plain"
    message.add_attachment(text.encode(), "text", subtype, filename=name)
    # the library draws the boundary by lot
    message.set_boundary("=_kittiwake_=")
    target.write_bytes(message.as_bytes())


def write_zip(blocks: list[Block], target: Path) -> None:
    """Each page is a text file in the archive, named after its title."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for page in pages(blocks):
            text = "\n\n".join(block.text for block in page) + "\n"
            entry = zipfile.ZipInfo(f"{page[0].text}.txt")
            archive.writestr(entry, text.encode(), zipfile.ZIP_DEFLATED)


def write_epub(blocks: list[Block], target: Path) -> None:
    """A chapter for each section."""
    book = mkepub.Book(title=blocks[0].text, language="en")
    for section in sections(blocks):
        paragraphs = "".join(f"<p>{escape(block.text)}</p>" for block in section.blocks)
        book.add_page(section.heading, f"<h1>{escape(section.heading)}</h1>{paragraphs}")
    target.unlink(missing_ok=True)
    book.save(str(target))


def write_scan(blocks: list[Block], target: Path) -> None:
    """A page as a scanner sees it: black and white, a little askew, with specks of dust."""
    width, height = round(8.27 * SCAN_DPI), round(11.69 * SCAN_DPI)
    page = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(page)
    left, top = round(0.9 * SCAN_DPI), round(0.9 * SCAN_DPI)
    for block in blocks:
        size = round((15 if block.kind == "title" else 11) / 72 * SCAN_DPI)
        font = ImageFont.truetype("DejaVuSans.ttf", size)
        for line in _wrapped(block.text, font, width - 2 * left):
            pen.text((left, top), line, font=font, fill=0)
            top += round(1.5 * size)
        top += size
    askew = np.asarray(page.rotate(0.6, Image.Resampling.BICUBIC, fillcolor=255)).copy()
    dust = np.random.default_rng(47).random(askew.shape)
    askew[dust < 0.0004] = 0
    scanned = Image.fromarray(askew).convert("1", dither=Image.Dither.NONE)
    scanned.save(target, dpi=(SCAN_DPI, SCAN_DPI), optimize=True)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if font.getlength(longer) > width:
            yield line
            longer = word
        line = longer
    yield line
