"""Files that are made to break readers: damaged, endless, nested, bursting, lying; always the same ones."""

import base64
import io
import random
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import format_files
from ingest_files import archive, bomb_docx, unpacked
from ingest_files import pdf as plain_pdf
from PIL import Image

MEGABYTE = 1024**2


def hostile_files() -> Iterator[tuple[str, bytes]]:
    """Names, each of its own, and contents; one at a time, for some take megabytes."""
    for name, data in good_files().items():
        stem, _, extension = name.rpartition(".")
        yield f"{stem}-cut.{extension}", data[: len(data) * 2 // 3]
        yield f"{stem}-scattered.{extension}", _scattered(data, seed=len(name))
        yield f"{stem}-zeroed.{extension}", _zeroed(data, seed=len(name))
    for name, make in _MADE.items():
        yield name, make()


def good_files() -> dict[str, bytes]:
    """One of every format, all of them fine."""
    with tempfile.TemporaryDirectory() as directory:
        book = format_files.epub(Path(directory))
    return {
        "good.pdf": format_files.pdf(),
        "good.docx": format_files.docx_file(),
        "good.pptx": format_files.pptx_file(),
        "good.xlsx": format_files.xlsx(),
        "good.odt": format_files.odt(),
        "good.ods": format_files.ods(),
        "good.odp": format_files.odp(),
        "good.epub": book,
        "good.rtf": rb"{\rtf1\ansi\deff0{\fonttbl{\f0 Arial;}}\f0 Ask your manager first.\par Twice.\par}"
        * 3,
        "good.csv": format_files.csv(),
        "good.json": format_files.json(),
        "good.xml": format_files.xml(),
        "good.html": format_files.html(),
        "good.md": format_files.markdown(),
        "good.txt": format_files.text(),
        "good.eml": _mail(b"Ask your manager first."),
        "good.zip": archive({"a.txt": b"Ask your manager first.", "b.html": b"<html><p>Twice.</p></html>"}),
        "good.png": _picture("PNG"),
        "good.jpg": _picture("JPEG"),
        "good.tif": _picture("TIFF"),
        "good.gif": _picture("GIF"),
        "good.webp": _picture("WEBP"),
        "good.bmp": _picture("BMP"),
    }


def _scattered(data: bytes, *, seed: int) -> bytes:
    """One byte of a hundred, at least five, is another one; the mark at the beginning stays."""
    chance = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(max(len(data) // 100, 5)):
        damaged[chance.randrange(min(16, len(data) - 1), len(data))] = chance.randrange(256)
    return bytes(damaged)


def _zeroed(data: bytes, *, seed: int) -> bytes:
    """A tenth is gone, as after a crash of the system."""
    length = max(len(data) // 10, 1)
    start = random.Random(seed).randrange(min(16, len(data) - 1), len(data) - length)
    return data[:start] + bytes(length) + data[start + length :]


def _picture(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, form)
    return buffer.getvalue()


def _mail(body: bytes) -> bytes:
    return (
        b"From: a@example.org\r\nTo: b@example.org\r\nSubject: Leave\r\nMessage-ID: <1@example.org>\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + body + b"\r\n"
    )


# Nested


def _nested_zip() -> bytes:
    data = archive({"words.txt": b"Words."})
    for depth in range(40):
        data = archive({f"{depth}.zip": data})
    return data


def _nested_mail() -> bytes:
    head = b"From: a@example.org\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"
    inner = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (depth, depth)
        for depth in range(1000)
    )
    return head + inner + b"Content-Type: text/plain\r\n\r\nWords.\r\n"


def _forwarded_mail() -> bytes:
    message = _mail(b"Words.")
    for _ in range(200):
        head = b"From: a@example.org\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"
        message = head + b"Content-Type: message/rfc822\r\n\r\n" + message
    return message


def _mail_of_many_parts() -> bytes:
    head = _mail(b"").replace(b"text/plain; charset=utf-8", b'multipart/mixed; boundary="b"')
    return head + b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" * 10_000 + b"--b--\r\n"


# Bombs


def _deflated(unit: bytes, megabytes: int) -> bytes:
    press = zlib.compressobj(1)
    return (
        b"".join([press.compress(unit * (MEGABYTE // len(unit))) for _ in range(megabytes)]) + press.flush()
    )


def _laughs() -> str:
    entities = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY l0 "lol">{entities}]>'


def _laughing_xml() -> bytes:
    return f'<?xml version="1.0"?>{_laughs()}<x>&l9;</x>'.encode()


def _quadratic_xml() -> bytes:
    entity = "a" * 100_000
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "{entity}">]><x>{"&a;" * 20_000}</x>'.encode()


def _curious_xml() -> bytes:
    return b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'


def _in_package(good: Callable[[], bytes], part: str, content: bytes) -> bytes:
    members = unpacked(good())
    assert part in members
    return archive(members | {part: content})


def _bomb_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for number in range(20):
            with target.open(f"{number}.txt", "w") as member:
                for _ in range(15):
                    member.write(b"x" * MEGABYTE)
    return buffer.getvalue()


def _lying_zip(offset_in_entry: int, value: int) -> bytes:
    """The directory says of the first member what is not true."""
    data = bytearray(archive({"words.txt": b"Words. " * 1000}))
    entry = data.index(b"PK\x01\x02")
    data[entry + offset_in_entry : entry + offset_in_entry + 4] = struct.pack("<I", value)
    return bytes(data)


def _encrypted_zip() -> bytes:
    data = bytearray(archive({"words.txt": b"Words."}))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + flags] |= 1
    return bytes(data)


def _overlapping_zip() -> bytes:
    """Ten thousand members in the directory, one in the file."""
    single = archive({"a.txt": b"x" * MEGABYTE})
    start = single.index(b"PK\x01\x02")
    end = single.rindex(b"PK\x05\x06")
    entry = single[start:end]
    count = 10_000
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, count * len(entry), start, 0)
    return single[:start] + entry * count + tail


def _many_members() -> bytes:
    return archive({f"{number}.txt": b"" for number in range(5_000)})


# Sheets


def _sheet_xlsx(rows: str) -> bytes:
    head = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    sheet = f'<?xml version="1.0"?>{head}{rows}</sheetData></worksheet>'
    return _in_package(format_files.xlsx, "xl/worksheets/sheet1.xml", sheet.encode())


def _wide_xlsx() -> bytes:
    return _sheet_xlsx(f'<row r="1">{"<c><v>1</v></c>" * 1_000_000}</row>')


def _far_cells_xlsx() -> bytes:
    return _sheet_xlsx(
        '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
        '<row r="999999999"><c r="ZZZZZZZZ9"><v>2</v></c></row>'
    )


def _repeating_ods(attribute: str) -> bytes:
    members = unpacked(format_files.ods())
    content = members["content.xml"]
    tag = b"<table:table-cell" if b"columns" in attribute.encode() else b"<table:table-row"
    return archive(
        members | {"content.xml": content.replace(tag, tag + f' {attribute}="1000000000"'.encode(), 3)}
    )


# Pictures


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + _chunk(b"IEND", b"")


def _circular_tiff() -> bytes:
    """The directory of the first page says that it is the next one, too."""
    entries = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 200), (277, 1), (278, 1), (279, 1))
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\x00" + struct.pack("<I", 8) + directory + struct.pack("<I", 8) + bytes(300)


def _long_tiff() -> bytes:
    page = Image.new("L", (8, 8))
    buffer = io.BytesIO()
    page.save(buffer, "TIFF", save_all=True, append_images=[page] * 200)
    return buffer.getvalue()


def _bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


# PDF


def _pdf(*objects: bytes) -> bytes:
    """Objects 1, 2, 3 …; the first is the catalogue."""
    data = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(data)


_CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"
_FONT = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"


def _page_pdf(
    stream: bytes, *, filters: bytes = b"", box: bytes = b"0 0 595 842", more: tuple[bytes, ...] = ()
) -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [%s] /Contents 4 0 R /Resources 5 0 R >>" % box
    content = b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(stream), filters, stream)
    return _pdf(_CATALOGUE, b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>", page, content, *(more or (_FONT,)))


def _flate_pdf() -> bytes:
    stream = _deflated(b"BT (words) Tj ET", 40)
    return _page_pdf(stream, filters=b"/Filter /FlateDecode")


def _doubly_flate_pdf() -> bytes:
    stream = zlib.compress(_deflated(b" ", 150))
    return _page_pdf(stream, filters=b"/Filter [/FlateDecode /FlateDecode]")


def _recursive_pdf() -> bytes:
    form = (
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources 5 0 R /Length 10 >>"
        b"\nstream\n/X Do /X Do\nendstream"
    )
    return _page_pdf(b"/X Do", more=(b"<< /XObject << /X 6 0 R >> >>", form))


def _circular_pdf() -> bytes:
    return _pdf(
        _CATALOGUE,
        b"<< /Type /Pages /Count 9 /Kids [2 0 R 2 0 R 3 0 R] >>",
        b"<< /Type /Pages /Kids [2 0 R] >>",
    )


def _pdf_of_many_pages() -> bytes:
    count = 400
    kids = b" ".join([b"3 0 R"] * count)
    tree = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (count, kids)
    return _pdf(_CATALOGUE, tree, b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>")


def _pdf_with_picture(width: int) -> bytes:
    picture = (
        b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8"
        b" /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream"
    )
    body = _deflated(b"\x00\xff" * 8, 100)
    filled = picture % (width, width, len(body), body)
    return _page_pdf(b"595 0 0 842 0 0 cm /X Do", more=(b"<< /XObject << /X 6 0 R >> >>", filled))


_MADE: dict[str, Callable[[], bytes]] = {
    "deep.html": lambda: b"<html>" + b"<div>" * 200_000 + b"words",
    "deep-table.html": lambda: b"<html>" + b"<table><tr><td>" * 20_000 + b"words",
    "deep-list.html": lambda: b"<html>" + b"<ul><li>" * 50_000 + b"words",
    "attributes.html": lambda: b"<html><p " + b"a=b " * 500_000 + b">words</p>",
    "unclosed.html": lambda: b"<html><title>" + b"<a href='" * 300_000,
    "deep.json": lambda: b"[" * 500_000,
    "deep-closed.json": lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "number.json": lambda: b'{"a": ' + b"9" * 300_000 + b"}",
    "keys.json": lambda: b"{" + b",".join(b'"k%d": %d' % (n, n) for n in range(10_000)) + b"}",
    "deep.xml": lambda: b'<?xml version="1.0"?>' + b"<a>" * 500_000,
    "laughs.xml": _laughing_xml,
    "quadratic.xml": _quadratic_xml,
    "curious.xml": _curious_xml,
    "attributes.xml": lambda: (
        b'<?xml version="1.0"?><a ' + b" ".join(b'a%d="1"' % n for n in range(50_000)) + b"/>"
    ),
    "deep.rtf": lambda: rb"{\rtf1 " + b"{" * 500_000 + b"words",
    "binary.rtf": lambda: rb"{\rtf1 \bin2147483647 " + bytes(1000) + b"}",
    "controls.rtf": lambda: rb"{\rtf1 " + rb"\u-99999999 \'zz\field" * 30_000 + b"}",
    "deep.zip": _nested_zip,
    "bomb.zip": _bomb_zip,
    "overlapping.zip": _overlapping_zip,
    "many.zip": _many_members,
    "encrypted.zip": _encrypted_zip,
    "lying-size.zip": lambda: _lying_zip(24, 0xFFFFFFF0),
    "lying-packed.zip": lambda: _lying_zip(20, 0xFFFFFF00),
    "lying-offset.zip": lambda: _lying_zip(42, 0x7FFFFFFF),
    "escaping.zip": lambda: archive(
        {"../../etc/passwd": b"Words.", "/tmp/x": b"Words.", "a\\..\\b.txt": b"Words."}
    ),
    "bomb.docx": lambda: bomb_docx(300),
    "laughs.docx": lambda: _in_package(
        format_files.docx_file, "word/document.xml", f"{_laughs()}<w:document>&l9;</w:document>".encode()
    ),
    "deep.docx": lambda: _in_package(
        format_files.docx_file,
        "word/document.xml",
        b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        + b"<w:tbl><w:tr><w:tc>" * 20_000,
    ),
    "strings.xlsx": lambda: _in_package(
        format_files.xlsx, "xl/sharedStrings.xml", b"<sst>" + b"<si><t>x</t></si>" * 200_000 + b"</sst>"
    ),
    "wide.xlsx": _wide_xlsx,
    "far.xlsx": _far_cells_xlsx,
    "repeated-columns.ods": lambda: _repeating_ods("table:number-columns-repeated"),
    "repeated-rows.ods": lambda: _repeating_ods("table:number-rows-repeated"),
    "laughs.odt": lambda: _in_package(format_files.odt, "content.xml", f"{_laughs()}<x>&l9;</x>".encode()),
    "bomb.pptx": lambda: _in_package(
        format_files.pptx_file, "ppt/slides/slide1.xml", b"<p:sld>" + b"x" * 260 * MEGABYTE
    ),
    "wide.csv": lambda: b"a," * 100_000 + b"\n" + b"1," * 100_000,
    "quote.csv": lambda: b'a,"' + b"x,y\n" * 200_000,
    "rows.csv": lambda: b"1\n" * 200_000,
    "endless.txt": lambda: b"word " * 200_000,
    "endless-word.txt": lambda: "слово".encode() * 100_000,
    "marks.txt": lambda: ("z" + "\u0301\u0316" * 100_000).encode(),
    "surrogates.txt": lambda: b"\xff\xfe" + b"\x00\xd8" * 100_000,
    "mark-only.txt": lambda: b"\xef\xbb\xbf",
    "noise.txt": lambda: random.Random(1).randbytes(MEGABYTE),
    "latin.txt": lambda: bytes(random.Random(2).choices(range(0xC0, 0x100), k=MEGABYTE // 2)),
    "mojibake.txt": lambda: ("слово «и» ещё\n" * 15_000).encode().decode("mac_roman").encode() + "é".encode(),
    "fences.md": lambda: b"# a\n```\n" * 50_000,
    "headings.md": lambda: b"###### a " * 50_000 + b"\n" + b"# b\n" * 50_000,
    "deep.md": lambda: b"> " * 500_000 + b"words",
    "nested.eml": _nested_mail,
    "forwarded.eml": _forwarded_mail,
    "many-parts.eml": _mail_of_many_parts,
    "header.eml": lambda: _mail(b"Words.").replace(b"Leave", b"=?utf-8?b?" + b"4pyT" * 500_000 + b"?="),
    "charset.eml": lambda: _mail(b"Words.").replace(b"utf-8", b"zlib"),
    "attached-bomb.eml": lambda: (
        _mail(b"").replace(
            b"Content-Type: text/plain; charset=utf-8\r\n",
            b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n",
        )
        + base64.encodebytes(bomb_docx(60))
    ),
    "noise.msg": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + random.Random(3).randbytes(20_000),
    "empty.msg": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000),
    "header.png": lambda: _png(2_000_000_000, 2_000_000_000),
    "pixels.png": lambda: _png(20_000, 20_000, _chunk(b"IDAT", _deflated(b"\x00", 20))),
    "grey.png": lambda: _png(8_900, 8_900, _chunk(b"IDAT", _deflated(b"\x00", 80))),
    "text-bomb.png": lambda: _png(9, 9, _chunk(b"zTXt", b"a\x00\x00" + _deflated(b"x", 100))),
    "profile-bomb.png": lambda: _png(9, 9, _chunk(b"iCCP", b"a\x00\x00" + _deflated(b"x", 100))),
    "circular.tif": _circular_tiff,
    "pages.tif": _long_tiff,
    "huge.gif": lambda: b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",",
    "huge.bmp": lambda: _bmp(2**31 - 1, -(2**31)),
    "huge.webp": lambda: b"RIFF\xff\xff\xff\xffWEBPVP8L\xff\xff\xff\xff/" + b"\xff" * 50,
    "flate.pdf": _flate_pdf,
    "doubly-flate.pdf": _doubly_flate_pdf,
    "recursive.pdf": _recursive_pdf,
    "circular.pdf": _circular_pdf,
    "pages.pdf": _pdf_of_many_pages,
    "huge-sheet.pdf": lambda: _page_pdf(b"1 0 0 RG 0 0 m 999 999 l S", box=b"0 0 9999999 9999999"),
    "picture.pdf": lambda: _pdf_with_picture(20_000),
    "words.pdf": lambda: _page_pdf(b"BT /F1 9 Tf (words ) Tj ET\n" * 50_000),
    "nested-arrays.pdf": lambda: _pdf(_CATALOGUE, b"[" * 500_000),
    "encrypted.pdf": lambda: plain_pdf([["Secret."]], password="secret"),
}
