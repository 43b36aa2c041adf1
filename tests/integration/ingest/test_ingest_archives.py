"""ZIP archives: what is unpacked, under which names, and what is not."""

import random
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_files import archive, handbook_docx, spoiled, unpacked
from ingest_zip import ENCRYPTED, STORED, Entry, russian, unicode_path, zip_file

from rag_common.contracts.base import MAX_SOURCE_URI_BYTES
from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.parser import FileParser
from rag_ingest.adapters.readers import extract
from rag_ingest.adapters.worker_pool import WorkerPool
from rag_ingest.domain.documents import Source
from rag_ingest.domain.members import MAX_MEMBER_BYTES, Room, member_source


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "room", members=5, size=100_000)


def unpack(data: bytes, room: Room | None, directory: Path) -> Extracted:
    path = directory / "upload"
    path.write_bytes(data)
    return extract(str(path), "zip", room)


def names(found: Extracted) -> list[str]:
    return [row[0] for row in found["members"]]


def test_members_are_listed_and_unpacked(room: Room, tmp_path: Path) -> None:
    entries = [
        Entry(b"a.txt", b"First."),
        Entry(b"docs/", b"", mode=0o040755),
        Entry(b"docs/b.md", b"Second."),
    ]
    found = unpack(zip_file(entries), room, tmp_path)
    assert found["text"] == "a.txt\ndocs/b.md"
    assert [(name, size) for name, _, size, _ in found["members"]] == [("a.txt", 6), ("docs/b.md", 7)]
    assert [(room.directory / str(no)).read_bytes() for no in range(2)] == [b"First.", b"Second."]
    assert found["warnings"] == []


@pytest.mark.parametrize("encoding", ["cp866", "cp1251", "utf-8"])
@pytest.mark.parametrize(
    "shown",
    [
        ["Отчёт.txt"],
        ["Договор аренды №12.docx", "Приложение/Смета.xlsx"],
        ["ДОГОВОР.DOC"],
        ["readme.txt", "Ф.txt"],
    ],
)
def test_russian_names_are_right(encoding: str, shown: list[str], room: Room, tmp_path: Path) -> None:
    assert names(unpack(russian(shown, encoding), room, tmp_path)) == shown


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("cp866", ["Договор.txt", "ТЗнаCRM.docx"]),
        ("cp1251", ["Договор.txt", "ТЗнаCRM.docx"]),
        ("cp866", ["ТЗнаCRM.docx"]),
        ("cp866", ["Отчёт за 5°.txt", "План ┌1┐ и смета.txt"]),
        ("cp1251", ["Договор «Ромашка».txt"]),
        ("cp1251", ["Акт № 7 — «Ромашка» … копия.txt"]),
        ("cp1251", ["Счёт 100 €.txt", "Отчёт.txt"]),
    ],
)
def test_one_unusual_name_spoils_no_other(
    encoding: str, shown: list[str], room: Room, tmp_path: Path
) -> None:
    assert names(unpack(russian(shown, encoding), room, tmp_path)) == shown


@pytest.mark.parametrize(
    "name",
    [
        "Müller.txt",
        "café/naïve.txt",
        "Überweisung Größe.pdf",
        "École.txt",
        "Pää ja yö.txt",
        "Año.txt",
        "à la crêpe.txt",
    ],
)
def test_western_names_are_not_taken_for_russian_ones(name: str, room: Room, tmp_path: Path) -> None:
    assert names(unpack(russian([name], "cp437"), room, tmp_path)) == [name]


def test_a_unicode_name_in_the_extra_field_is_right(room: Room, tmp_path: Path) -> None:
    raw = "Отчёт.txt".encode("cp866")
    right, stale = unicode_path(raw, "Отчёт №1.txt"), unicode_path(b"another name", "wrong.txt")
    found = unpack(zip_file([Entry(raw, extra=right), Entry(raw, extra=stale)]), room, tmp_path)
    assert names(found) == ["Отчёт №1.txt", "Отчёт.txt"]


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        (b"../../etc/passwd", "etc/passwd"),
        (b"/etc/passwd", "etc/passwd"),
        (b"..\\..\\windows\\win.ini", "windows/win.ini"),
        (b"C:\\docs\\a.txt", "docs/a.txt"),
        (b"a/../../b.txt", "a/b.txt"),
    ],
)
def test_a_path_that_leads_out_is_cut_and_told(name: bytes, clean: str, room: Room, tmp_path: Path) -> None:
    found = unpack(zip_file([Entry(name)]), room, tmp_path)
    assert names(found) == [clean]
    assert clean in found["warnings"][0]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["0", "room", "upload"]


def test_members_of_one_name_are_told_apart(room: Room, tmp_path: Path) -> None:
    data = zip_file([Entry(b"a.txt", b"1"), Entry(b"a.txt", b"2"), Entry(b"a (2).txt", b"3")])
    assert names(unpack(data, room, tmp_path)) == ["a.txt", "a (2).txt", "a (2) (2).txt"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (Entry(b"bad", flags=ENCRYPTED), "password"),
        (Entry(b"bad", b"/etc/passwd", mode=stat.S_IFLNK | 0o777), "a link"),
        (Entry(b"bad", b"", mode=stat.S_IFIFO | 0o644), "no ordinary file"),
        (Entry(b"bad", method=STORED, crc=1), "damaged"),
        (Entry(b"bad", method=98), "not supported"),
        (Entry(b"bad", bytes(2 * 1024**2)), "times its size"),
        (Entry(b"bad", random.Random(1).randbytes(100_001)), "too many bytes"),
        (Entry(b"__MACOSX/bad"), "operating system"),
    ],
)  # fmt: skip
def test_a_member_that_cannot_be_unpacked_is_named_and_the_others_are_read(
    entry: Entry, reason: str, room: Room, tmp_path: Path
) -> None:
    found = unpack(zip_file([Entry(b"a.txt"), entry, Entry(b"b.txt")]), room, tmp_path)
    assert names(found) == ["a.txt", "b.txt"]
    (warning,) = found["warnings"]
    assert warning.startswith(entry.name.decode())
    assert reason in warning
    assert "bad" in found["text"]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_whose_packed_bytes_are_damaged_is_named_and_the_others_are_read(
    method: int, room: Room, tmp_path: Path
) -> None:
    words = random.Random(1).randbytes(500)
    found = unpack(
        spoiled(archive({"a.txt": b"A", "bad": words, "b.txt": b"B"}, method), "bad"), room, tmp_path
    )
    assert names(found) == ["a.txt", "b.txt"]
    assert found["warnings"] == ["bad: not read, it is damaged."]


async def test_a_member_that_asks_for_4_gib_to_be_unpacked_is_named_and_the_others_are_read(
    room: Room, tmp_path: Path
) -> None:
    data = bytearray(archive({"bad": b"Words. " * 99, "b.txt": b"B"}, zipfile.ZIP_LZMA))
    # behind the name: four bytes of a header, one of properties, the size of the dictionary
    start = data.index(b"bad") + len("bad") + 5
    data[start : start + 4] = b"\xff" * 4
    path = tmp_path / "upload"
    path.write_bytes(data)
    pool = WorkerPool()
    try:
        found = await FileParser(pool, max_characters=10_000).parse(Source(path, "a.zip", None, room))
    finally:
        await pool.close()
    assert [member.name for member in found.members] == ["b.txt"]
    assert found.warnings == ("bad: not read, it is packed in a way that is not supported.",)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_package_whose_packed_bytes_are_damaged_is_refused(method: int, tmp_path: Path) -> None:
    damaged = spoiled(archive(unpacked(handbook_docx()), method), "word/document.xml")
    with pytest.raises(BadDocument) as caught:
        unpack(damaged, None, tmp_path)
    assert caught.value.code == "damaged_file"


def test_more_members_than_there_is_room_for_are_named_and_counted(room: Room, tmp_path: Path) -> None:
    found = unpack(zip_file([Entry(b"%d.txt" % no) for no in range(40)]), room, tmp_path)
    assert len(names(found)) == 5
    (warning,) = found["warnings"]
    assert warning.startswith("5.txt, 6.txt, ")
    assert "… (+15): not read, there are too many files" in warning


def test_a_large_member_is_refused_whatever_room_there_is(tmp_path: Path) -> None:
    data = zip_file([Entry(b"big", bytes(MAX_MEMBER_BYTES + 1), method=STORED)])
    found = unpack(data, Room(tmp_path / "room", 10, 2 * MAX_MEMBER_BYTES), tmp_path)
    assert names(found) == []
    assert "larger than 64 MiB" in found["warnings"][0]
    assert not list((tmp_path / "room").iterdir())


def test_without_room_members_are_only_named(tmp_path: Path) -> None:
    found = unpack(zip_file([Entry(b"a.txt")]), None, tmp_path)
    assert (found["text"], names(found)) == ("a.txt", [])
    assert "deeper than 3" in found["warnings"][0]


def test_an_archive_of_protected_members_alone_fails(room: Room, tmp_path: Path) -> None:
    with pytest.raises(BadDocument) as caught:
        unpack(zip_file([Entry(b"a", flags=ENCRYPTED), Entry(b"b", flags=ENCRYPTED)]), room, tmp_path)
    assert caught.value.code == "password_protected"


WHOLE = zip_file([Entry(b"a.txt"), Entry("Отчёт.txt".encode("cp866"), b"x" * 500, method=STORED)])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.dictionaries(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), min_size=1, max_size=4),
    end=st.integers(len(WHOLE) // 2, len(WHOLE)),
)
def test_a_damaged_archive_is_read_or_refused(
    damage: dict[int, int], end: int, room: Room, tmp_path: Path
) -> None:
    data = bytes(damage.get(position, byte) for position, byte in enumerate(WHOLE))
    try:
        found = unpack(data[:end] if end % 2 else data, room, tmp_path)
    except BadDocument:
        return
    assert len(found["members"]) <= 2


@given(st.text(min_size=1, max_size=3000), st.text(min_size=1, max_size=1000))
def test_the_source_of_a_member_is_never_too_long(container: str, name: str) -> None:
    container, name = (text.encode(errors="replace").decode()[:2000] for text in (container, name))
    source = member_source(container, name)
    assert len(source) <= 2000
    assert len(source.encode()) <= MAX_SOURCE_URI_BYTES


def test_long_sources_of_members_differ() -> None:
    container = "file:///" + "д" * 900
    assert member_source(container, "a" * 400) != member_source(container, "a" * 401)
    assert member_source("file:///a.zip", "b/c.txt") == "file:///a.zip!/b/c.txt"
