"""Files of every supported format, good and bad, written by other libraries than the one that reads them."""

import io
import zipfile
from collections.abc import Sequence

import docx
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

# The smallest PNG: one transparent pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def pdf(pages: Sequence[Sequence[str]], *, title: str | None = None, password: str | None = None) -> bytes:
    """One list of lines for each page."""
    buffer = io.BytesIO()
    encryption = StandardEncryption(password, ownerPassword="owner") if password is not None else None
    canvas = Canvas(buffer, encrypt=encryption)
    if title:
        canvas.setTitle(title)
    for lines in pages:
        for number, line in enumerate(lines):
            canvas.drawString(72, 780 - 16 * number, line)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def handbook_docx() -> bytes:
    document = docx.Document()
    document.core_properties.title = "Handbook & rules"
    document.add_heading("Leave", 1)
    document.add_paragraph('Ежегодный отпуск — 28 дней. Ask R&D if 5 < 6 & "why".')
    document.add_heading("Sick leave", 2)
    paragraph = document.add_paragraph("Call\tyour ")
    paragraph.add_run("manager").bold = True
    document.add_picture(io.BytesIO(PIXEL))
    table = document.add_table(2, 2)
    for row, cells in enumerate((("Grade", "Days"), ("A|B", "14"))):
        for column, words in enumerate(cells):
            table.cell(row, column).text = words
    document.add_heading("Pay", 1)
    document.add_paragraph("Paid monthly.", style="List Bullet")
    return saved(document)


def saved(document: "docx.document.Document") -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method, compresslevel=1) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return buffer.getvalue()


def spoiled(data: bytes, name: str) -> bytes:
    """The archive with nonsense in the middle of a member of some 50 bytes or more, packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        member = source.getinfo(name)
    start = member.header_offset + 30 + len(name.encode()) + member.compress_size // 2
    return data[:start] + b"\xff" * 8 + data[start + 8 :]


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return {name: source.read(name) for name in source.namelist()}


def bomb_docx(megabytes: int) -> bytes:
    """A DOCX of a few KiB for each of its ``megabytes`` when unpacked."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
        target.open("word/document.xml", "w", force_zip64=True) as member,
    ):
        member.write(b"<w:document><w:body><w:p><w:r><w:t>")
        for _ in range(megabytes):
            member.write(b"x" * 1024**2)
    return buffer.getvalue()
