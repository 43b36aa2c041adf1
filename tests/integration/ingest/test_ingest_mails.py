"""Mails as they travel (EML) and as Outlook saves them (MSG): text, headers, attachments."""

import base64
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_msg import File, Mail, compound_file

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers import extract
from rag_ingest.adapters.readers.msg_rtf import decompressed, rtf_text
from rag_ingest.domain.members import Room

BODY = "Добрый день! Высылаю счёт за март, оплатите его до пятницы."
HTML = (
    "<html><head><title>no</title></head><body><h1>Счёт</h1><p>Оплатите до <b>пятницы</b>.</p></body></html>"
)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "room", members=20, size=100_000)


def read(data: bytes, kind: str, room: Room | None) -> Extracted:
    path = (room.directory.parent if room else Path()) / "upload"
    path.write_bytes(data)
    return extract(str(path), kind, room)


def members(found: Extracted, room: Room) -> dict[str, bytes]:
    return {row[0]: (room.directory / str(no)).read_bytes() for no, row in enumerate(found["members"])}


def eml(*lines: str | bytes) -> bytes:
    """Lines as they travel; str is ASCII."""
    return b"\r\n".join(line if isinstance(line, bytes) else line.encode("ascii") for line in lines) + b"\r\n"


def word(text: str, charset: str) -> str:
    """An encoded word of RFC 2047."""
    return f"=?{charset}?B?{base64.b64encode(text.encode(charset)).decode()}?="


HEADERS = (
    f"From: {word('Анна Иванова', 'koi8-r')} <anna@example.org>",
    "To: boris@example.org",
    "Date: Thu, 05 Mar 2026 14:22:01 +0300",
    f"Subject: {word('Счёт', 'koi8-r')} =?koi8-r?Q?_=DA=C1?=\r\n {word(' март', 'windows-1251')}",
    "MIME-Version: 1.0",
)


@pytest.mark.parametrize("charset", ["koi8-r", "windows-1251", "utf-8", "iso-8859-5", "cp866"])
@pytest.mark.parametrize("encoding", ["8bit", "base64"])
def test_a_mail_is_its_headers_and_its_text(charset: str, encoding: str, room: Room) -> None:
    body = BODY.encode(charset)
    found = read(
        eml(
            *HEADERS,
            f"Content-Type: text/plain; charset={charset}",
            f"Content-Transfer-Encoding: {encoding}",
            "",
            base64.b64encode(body) if encoding == "base64" else body,
        ),
        "eml",
        room,
    )
    assert found["text"] == (
        "From: Анна Иванова <anna@example.org>\nTo: boris@example.org\n"
        f"Date: Thu, 05 Mar 2026 14:22:01 +0300\nSubject: Счёт за март\n\n{BODY}"
    )
    assert (found["title"], found["media_type"]) == ("Счёт за март", "message/rfc822")
    assert found["members"] == []


@pytest.mark.parametrize("declared", ["", "us-ascii", "iso-8859-1", "x-unknown"])
@pytest.mark.parametrize("charset", ["koi8-r", "cp1251", "utf-8"])
def test_headers_and_text_in_8_bit_are_read_though_their_charset_is_not_said(
    declared: str, charset: str, room: Room
) -> None:
    kind = f"Content-Type: text/plain; charset={declared}" if declared else "X-Mailer: an old one"
    lines = ("From: Иван <ivan@example.org>".encode(charset), "Subject: Счёт".encode(charset))
    found = read(eml(*lines, kind, "", BODY.encode(charset)), "eml", room)
    assert found["text"] == f"From: Иван <ivan@example.org>\nSubject: Счёт\n\n{BODY}"


def test_a_character_cut_in_two_encoded_words_is_whole(room: Room) -> None:
    pieces = base64.b64encode("Отчёт".encode()[:3]), base64.b64encode("Отчёт".encode()[3:])
    subject = " ".join(f"=?utf-8?B?{piece.decode()}?=" for piece in pieces)
    assert read(eml("From: a@b", f"Subject: {subject}", "", "x"), "eml", room)["title"] == "Отчёт"


def test_a_mail_in_html_alone_is_read_as_html(room: Room) -> None:
    kind = "Content-Type: text/html; charset=koi8-r"
    found = read(eml("From: a@b", "Subject: Bill", kind, "", HTML.encode("koi8-r")), "eml", room)
    assert found["text"] == "From: a@b\nSubject: Bill\n\n# Счёт\n\nОплатите до пятницы."
    ((start, end, level, title),) = found["headings"]
    assert (found["text"][start:end].strip(), level, title) == ("# Счёт", 1, "Счёт")
    assert found["title"] == "Bill"


def alternatives(plain: str) -> bytes:
    return eml(
        "From: a@b", 'Content-Type: multipart/alternative; boundary="x"', "", "--x",
        "Content-Type: text/plain; charset=utf-8", "", plain.encode(), "--x",
        "Content-Type: text/html; charset=utf-8", "", HTML.encode(), "--x--",
    )  # fmt: skip


def test_of_two_versions_the_one_that_says_more_is_read_and_no_more(room: Room) -> None:
    assert read(alternatives(BODY * 6), "eml", room)["text"] == f"From: a@b\n\n{BODY * 6}"
    stub = read(alternatives("See HTML."), "eml", room)["text"]
    assert stub == "From: a@b\n\n# Счёт\n\nОплатите до пятницы."


def mixed(*parts: bytes, boundary: str = "b") -> bytes:
    lines: list[str | bytes] = [*HEADERS, f"Content-Type: multipart/mixed; boundary={boundary}", ""]
    for part in parts:
        lines += [f"--{boundary}", part.removesuffix(b"\r\n")]
    return eml(*lines, f"--{boundary}--")


def attachment(disposition: str | bytes, content: bytes, kind: str = "application/pdf") -> bytes:
    return eml(
        f"Content-Type: {kind}",
        "Content-Transfer-Encoding: base64",
        disposition,
        "",
        base64.b64encode(content),
    )


TEXT = eml("Content-Type: text/plain; charset=utf-8", "", BODY.encode())


PAGE = eml("Content-Type: text/html; charset=utf-8", "", HTML.encode())


def plain(text: str) -> bytes:
    return eml("Content-Type: text/plain; charset=utf-8", "", text.encode())


def parts_of(kind: str, *parts: bytes) -> bytes:
    lines = [line for part in parts for line in (f"--{kind}", part.removesuffix(b"\r\n"))]
    return eml(f"Content-Type: multipart/{kind}; boundary={kind}", "", *lines, f"--{kind}--")


SCAN = attachment("Content-Disposition: attachment; filename=scan.pdf", b"1")
READ_PAGE = "# Счёт\n\nОплатите до пятницы."


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([PAGE, plain("Disclaimer. " * 30)], f"{READ_PAGE}\n\n{'Disclaimer. ' * 30}"),
        ([plain("Before."), PAGE, plain("After.")], f"Before.\n\n{READ_PAGE}\n\nAfter."),
        ([PAGE, SCAN, plain("After.")], f"{READ_PAGE}\n\nAfter."),
        ([parts_of("alternative", plain("See HTML."), PAGE), plain("List.")], f"{READ_PAGE}\n\nList."),
        ([parts_of("related", PAGE, plain("Note."))], f"{READ_PAGE}\n\nNote."),
        (
            [
                parts_of("alternative", plain("See HTML."), parts_of("related", PAGE, SCAN, PAGE)),
                plain("List."),
            ],
            f"{READ_PAGE}\n\n{READ_PAGE}\n\nList.",
        ),
        ([parts_of("alternative", plain("First."), plain("Second."))], "First.\n\nSecond."),
    ],
)
def test_texts_that_are_no_versions_of_each_other_are_all_read_in_order(
    parts: list[bytes], text: str, room: Room
) -> None:
    found = read(mixed(*parts), "eml", room)
    assert found["text"].partition("\n\n")[2].strip() == text.strip()
    assert [found["text"][start:end] for start, end, _, _ in found["headings"]] == ["# Счёт"] * text.count(
        "# Счёт"
    )


@pytest.mark.parametrize(
    "disposition",
    [
        "Content-Disposition: attachment; filename*=utf-8''%D0%A1%D1%87%D1%91%D1%82.pdf",
        "Content-Disposition: attachment;\r\n filename*0*=koi8-r''%F3%DE;\r\n filename*1*=%A3%D4.pdf",
        f'Content-Disposition: attachment; filename="{word("Счёт.pdf", "koi8-r")}"',
        "Content-Disposition: attachment; filename=Счёт.pdf".encode(),
        f'Content-Disposition: inline; filename="{word("Счёт.pdf", "windows-1251")}"',
    ],
)
def test_attachments_keep_their_russian_names(disposition: str | bytes, room: Room) -> None:
    found = read(mixed(TEXT, attachment(disposition, b"%PDF-1.7")), "eml", room)
    assert members(found, room) == {"Счёт.pdf": b"%PDF-1.7"}
    assert found["members"][0][1] == "application/pdf"
    assert "Attachments: Счёт.pdf\n\n" + BODY in found["text"]


def test_pictures_of_the_text_are_no_attachments_and_two_of_one_name_are_two(room: Room) -> None:
    page = eml("Content-Type: text/html", "", "<p>Look: <img src='cid:logo'></p>")
    picture = attachment("Content-ID: <logo>", b"PNG", "image/png")
    related = eml("Content-Type: multipart/related; boundary=r", "", "--r", page, "--r", picture, "--r--")
    scan = attachment("Content-Disposition: attachment; filename=scan.pdf", b"1")
    other = attachment("Content-Disposition: attachment; filename=scan.pdf", b"2")
    found = read(mixed(related, scan, other), "eml", room)
    assert members(found, room) == {"scan.pdf": b"1", "scan (2).pdf": b"2"}


def test_a_mail_in_a_mail_is_an_attachment_that_can_be_read(room: Room, tmp_path: Path) -> None:
    inner = mixed(TEXT, attachment("Content-Disposition: attachment; filename=a.pdf", b"%PDF"), boundary="i")
    found = read(mixed(TEXT, eml("Content-Type: message/rfc822", "", inner)), "eml", room)
    (content,) = members(found, room).values()
    assert [row[0] for row in found["members"]] == ["Счёт за март.eml"]
    again = read(content, "eml", Room(tmp_path / "inner", 10, 10_000))
    assert (again["title"], [row[0] for row in again["members"]]) == ("Счёт за март", ["a.pdf"])


@pytest.mark.parametrize("encode", [base64.encodebytes, base64.b64encode, lambda data: data])
def test_a_mail_in_a_mail_may_be_in_base64(
    encode: Callable[[bytes], bytes], room: Room, tmp_path: Path
) -> None:
    """Against RFC 2046, section 5.2.1; some say so and send it as it is."""
    inner = mixed(TEXT, attachment("Content-Disposition: attachment; filename=a.pdf", b"%PDF"), boundary="i")
    kind = ("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64")
    found = read(mixed(TEXT, eml(*kind, "", encode(inner))), "eml", room)
    assert [row[0] for row in found["members"]] == ["Счёт за март.eml"]
    again = read(members(found, room)["Счёт за март.eml"], "eml", Room(tmp_path / "inner", 10, 10_000))
    assert (again["title"], [row[0] for row in again["members"]]) == ("Счёт за март", ["a.pdf"])
    assert again["text"].endswith(BODY)


@pytest.mark.parametrize(
    "data",
    [
        b"just words",
        eml(
            "From: a@b",
            *(f"Content-Type: multipart/mixed; boundary=b{no}\r\n\r\n--b{no}" for no in range(500)),
        ),
    ],
    ids=["no headers", "deeply nested"],
)
def test_what_is_no_mail_is_refused(data: bytes, room: Room) -> None:
    with pytest.raises(BadDocument) as caught:
        read(data, "eml", room)
    assert caught.value.code == "damaged_file"


OUTLOOK = Mail(
    "Счёт за март",
    sender=("Анна Иванова", "anna@example.org"),
    to=(("Борис", "boris@example.org"), ("Пётр", "petr@example.org")),
    body=BODY,
    sent=134_171_000_000_000_000,
    attached=(File("Счёт.pdf", b"%PDF" * 2000, "application/pdf"), File("счёт.txt", b"short", "text/plain")),
)


def test_a_mail_of_outlook_is_its_headers_and_its_text(room: Room) -> None:
    found = read(OUTLOOK.encoded(), "msg", room)
    assert found["text"] == (
        "From: Анна Иванова <anna@example.org>\nTo: Борис <boris@example.org>, Пётр <petr@example.org>\n"
        "Date: Wed, 04 Mar 2026 12:13:20 +0000\nSubject: Счёт за март\n"
        f"Attachments: Счёт.pdf, счёт.txt\n\n{BODY}"
    )
    assert (found["title"], found["media_type"]) == ("Счёт за март", "application/vnd.ms-outlook")
    assert members(found, room) == {"Счёт.pdf": b"%PDF" * 2000, "счёт.txt": b"short"}


@pytest.mark.parametrize("codepage", [1251, 20866, 866])
def test_an_old_mail_of_outlook_is_read_in_its_code_page(codepage: int, room: Room) -> None:
    old = Mail(
        "Счёт", ("Анна", "anna@example.org"), body=BODY, codepage=codepage, attached=OUTLOOK.attached[1:]
    )
    found = read(old.encoded(), "msg", room)
    assert found["text"].startswith("From: Анна <anna@example.org>\nSubject: Счёт\nAttachments: счёт.txt\n\n")
    assert found["text"].endswith(BODY)
    assert members(found, room) == {"счёт.txt": b"short"}


def test_html_and_rtf_of_outlook_are_read(room: Room) -> None:
    logo = File("logo.png", b"PNG", "image/png", content_id="logo")
    page = HTML.replace("</p>", "<img src='cid:logo'></p>").encode("koi8-r")
    found = read(Mail("Bill", html=page, codepage=20866, attached=(logo,)).encoded(), "msg", room)
    assert found["text"].startswith("Subject: Bill\n\n# Счёт\n\nОплатите до пятницы.")
    assert found["members"] == []
    rtf = rb"{\rtf1\ansi\ansicpg1251 \'d1\'f7\'b8\'f2 {\b bold}\par}"
    stored = struct.pack("<IIII", len(rtf) + 12, len(rtf), 0x414C454D, 0) + rtf
    assert read(Mail("Bill", rtf=stored).encoded(), "msg", room)["text"] == "Subject: Bill\n\nСчёт bold"


def test_compressed_rtf_is_that_of_the_examples_of_the_specification() -> None:
    """[MS-OXRTFCP], sections 3.1.1 and 3.1.2: a simple one, and one whose reference crosses its own end."""
    simple = (
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    assert decompressed(bytes.fromhex(simple)) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    crossing = "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0"
    assert decompressed(bytes.fromhex(crossing)) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"


def test_rtf_of_outlook_is_read_without_a_file_that_a_killed_worker_would_leave(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    rtf = rb"{\rtf1 words\par}"
    assert rtf_text(struct.pack("<IIII", len(rtf) + 12, len(rtf), 0x414C454D, 0) + rtf) == "words"
    assert rtf_text(b"") == ""


def test_a_mail_in_a_mail_of_outlook_is_the_same_eml_each_time(room: Room, tmp_path: Path) -> None:
    outer = Mail("Outer", body="See inside.", attached=(Mail("Middle", body="m", attached=(OUTLOOK,)),))
    found = read(outer.encoded(), "msg", room)
    assert [row[0] for row in found["members"]] == ["Middle.eml"]
    assert read(outer.encoded(), "msg", Room(tmp_path / "again", 9, 10**6))["members"] == found["members"]
    middle = Room(tmp_path / "middle", 9, 10**6)
    inside = members(read(members(found, room)["Middle.eml"], "eml", middle), middle)
    inner = Room(tmp_path / "inner", 9, 10**6)
    mail = read(inside["Счёт за март.eml"], "eml", inner)
    assert mail["text"].endswith(f"Attachments: Счёт.pdf, счёт.txt\n\n{BODY}")
    assert members(mail, inner) == {"Счёт.pdf": b"%PDF" * 2000, "счёт.txt": b"short"}


def test_other_files_of_office_in_the_same_container_are_refused(room: Room) -> None:
    with pytest.raises(BadDocument, match="old binary kind") as caught:
        read(compound_file({"WordDocument": b"x" * 5000}), "msg", room)
    assert caught.value.code == "unsupported_format"


@pytest.mark.parametrize(("position", "shift"), [(30, 35), (32, 40), (31, 1)])
def test_sectors_of_an_impossible_size_are_not_allocated(position: int, shift: int, room: Room) -> None:
    """One wrong bit in the header made the reader ask for 32 GiB."""
    data = bytearray(WHOLE)
    data[position] = shift
    with pytest.raises(BadDocument) as caught:
        read(bytes(data), "msg", room)
    assert caught.value.code == "damaged_file"


WHOLE = Mail("Счёт", body=BODY, attached=(File("a.txt", b"x" * 5000), Mail("In", body="in"))).encoded()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.dictionaries(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), min_size=1, max_size=20),
    end=st.integers(600, len(WHOLE)),
)
def test_a_damaged_mail_of_outlook_is_read_or_refused(damage: dict[int, int], end: int, room: Room) -> None:
    data = bytes(damage.get(position, byte) for position, byte in enumerate(WHOLE))
    try:
        found = read(data[:end] if end % 2 else data, "msg", room)
    except BadDocument:
        return
    assert len(found["members"]) <= 2


@pytest.mark.parametrize("charset", [b"\x80", b"\0", b"utf-8\0"])
@pytest.mark.parametrize("kind", [b"application/pdf", b"multipart/alternative", b"message/rfc822"])
def test_a_charset_that_none_can_be_called_harms_nothing(kind: bytes, charset: bytes, room: Room) -> None:
    part = b"Content-Type: " + kind + b"; charset=" + charset + b"\r\n\r\n\xc4"
    assert BODY in read(mixed(TEXT, part), "eml", room)["text"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.dictionaries(st.integers(0, 600), st.binary(max_size=3), min_size=1, max_size=10))
def test_a_damaged_mail_is_read_or_refused(damage: dict[int, bytes], room: Room) -> None:
    whole = mixed(TEXT, attachment("Content-Disposition: attachment; filename=a.pdf", b"%PDF"), TEXT)
    data = b"".join(damage.get(position, bytes((byte,))) for position, byte in enumerate(whole))
    try:
        read(data, "eml", room)
    except BadDocument:
        return
