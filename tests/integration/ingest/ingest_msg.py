"""Writes mails as Outlook saves them: [MS-OXMSG] in a container of [MS-CFB] version 3."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Union

SECTOR, MINI_SECTOR, CUTOFF = 512, 64, 4096
FREE, END, FAT_SECTOR, NO_STREAM = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
STORAGE, STREAM, ROOT = 1, 2, 5

Tree = Mapping[str, Union[bytes, "Tree"]]


@dataclass
class _Entry:
    name: str
    kind: int
    content: bytes = b""
    child: int = NO_STREAM
    left: int = NO_STREAM
    right: int = NO_STREAM
    start: int = END

    def encoded(self) -> bytes:
        name = self.name.encode("utf-16-le")
        size = len(self.content)
        return struct.pack(
            "<64sHBBIII16sIQQIQ",
            name, len(name) + 2 if name else 0, self.kind, 1, self.left, self.right, self.child,
            bytes(16), 0, 0, 0, self.start, size,
        )  # fmt: skip


def compound_file(tree: Tree) -> bytes:
    """The streams (bytes) and storages (mappings) of ``tree`` in one file."""
    entries = [_Entry("Root Entry", ROOT)]
    entries[0].child = _add(entries, tree)
    sectors: list[bytes] = []
    fat: list[int] = []
    mini, mini_fat = bytearray(), list[int]()
    for entry in entries[1:]:
        if entry.kind == STREAM and len(entry.content) >= CUTOFF:
            entry.start = _store(sectors, fat, entry.content)
        elif entry.content:
            entry.start = len(mini_fat)
            count = -(-len(entry.content) // MINI_SECTOR)
            mini += entry.content.ljust(count * MINI_SECTOR, b"\0")
            mini_fat += [*range(entry.start + 1, entry.start + count), END]
    entries[0].content = bytes(mini)
    entries[0].start = _store(sectors, fat, bytes(mini)) if mini else END
    blank = struct.pack("<64sHBBIII36s12s", b"", 0, 0, 0, FREE, FREE, FREE, b"", b"")
    directory = b"".join(entry.encoded() for entry in entries)
    directory += blank * (-len(entries) % (SECTOR // len(blank)))
    directory_start = _store(sectors, fat, directory)
    mini_fat_start = _store(sectors, fat, _numbers(mini_fat)) if mini_fat else END
    mini_fat_sectors = -(-len(mini_fat) * 4 // SECTOR)
    fat_sectors = 1
    while (len(fat) + fat_sectors) * 4 > fat_sectors * SECTOR:
        fat_sectors += 1
    fat_start = len(fat)
    fat += [FAT_SECTOR] * fat_sectors
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, fat_sectors,
        directory_start, 0, CUTOFF, mini_fat_start, mini_fat_sectors, END, 0,
    )  # fmt: skip
    difat = [*range(fat_start, fat_start + fat_sectors)]
    header += struct.pack("<109I", *(difat + [FREE] * (109 - len(difat))))
    return header + b"".join(sectors) + _numbers(fat)


def _add(entries: list[_Entry], tree: Tree) -> int:
    """The entries of one storage as a balanced tree; the number of its root."""
    numbers = []
    for name, content in tree.items():
        numbers.append(len(entries))
        if isinstance(content, bytes):
            entries.append(_Entry(name, STREAM, content))
        else:
            entries.append(_Entry(name, STORAGE))
            entries[numbers[-1]].child = _add(entries, content)
    return _balance(
        entries, sorted(numbers, key=lambda no: (len(entries[no].name), entries[no].name.upper()))
    )


def _balance(entries: list[_Entry], numbers: list[int]) -> int:
    if not numbers:
        return NO_STREAM
    middle = len(numbers) // 2
    entry = entries[numbers[middle]]
    entry.left = _balance(entries, numbers[:middle])
    entry.right = _balance(entries, numbers[middle + 1 :])
    return numbers[middle]


def _store(sectors: list[bytes], fat: list[int], content: bytes) -> int:
    start, count = len(fat), -(-len(content) // SECTOR)
    sectors += [content[at : at + SECTOR].ljust(SECTOR, b"\0") for at in range(0, len(content), SECTOR)]
    fat += [*range(start + 1, start + count), END]
    return start


def _numbers(numbers: Iterable[int]) -> bytes:
    data = b"".join(struct.pack("<I", number) for number in numbers)
    return data + struct.pack("<I", FREE) * (-len(data) // 4 % (SECTOR // 4))


@dataclass(frozen=True)
class File:
    """An attached file; with ``content_id`` a picture that the HTML text may show."""

    name: str
    content: bytes
    media_type: str = "application/octet-stream"
    content_id: str = ""


@dataclass(frozen=True)
class Mail:
    """A mail with its text in any of three forms. ``codepage``: all strings are 8-bit, in this page."""

    subject: str
    sender: tuple[str, str] = ("", "")
    to: tuple[tuple[str, str], ...] = ()
    body: str = ""
    html: bytes = b""
    rtf: bytes = b""
    sent: int = 0
    """100 ns since 1601."""
    attached: tuple["File | Mail", ...] = ()
    codepage: int = 0

    def encoded(self) -> bytes:
        return compound_file(self.tree(bytes(32)))

    def tree(self, header: bytes) -> dict[str, bytes | Tree]:
        storage = _Storage(self.codepage)
        for number, text in ((0x0037, self.subject), (0x0C1A, self.sender[0]), (0x5D01, self.sender[1])):
            storage.string(number, text)
        if self.body:
            storage.string(0x1000, self.body)
        for number, data in ((0x1013, self.html), (0x1009, self.rtf)):
            if data:
                storage.stream(number, 0x0102, data)
        if self.sent:
            storage.value(0x0039, 0x0040, struct.pack("<Q", self.sent))
        if self.codepage:
            storage.value(0x3FFD, 3, struct.pack("<Q", self.codepage))
            storage.value(0x3FDE, 3, struct.pack("<Q", self.codepage))
        children: dict[str, bytes | Tree] = {}
        for no, (name, address) in enumerate(self.to):
            recipient = _Storage(self.codepage)
            recipient.string(0x3001, name)
            recipient.string(0x39FE, address)
            recipient.value(0x0C15, 3, struct.pack("<Q", 1))
            children[f"__recip_version1.0_#{no:08X}"] = recipient.tree(bytes(8))
        for no, each in enumerate(self.attached):
            children[f"__attach_version1.0_#{no:08X}"] = _attachment(each, self.codepage)
        return storage.tree(header) | children


def _attachment(each: "File | Mail", codepage: int) -> Tree:
    storage = _Storage(codepage)
    if isinstance(each, Mail):
        storage.value(0x3705, 3, struct.pack("<Q", 5))
        storage.value(0x3701, 0x000D, struct.pack("<II", FREE, 1))
        return storage.tree(bytes(8)) | {"__substg1.0_3701000D": each.tree(bytes(24))}
    storage.value(0x3705, 3, struct.pack("<Q", 1))
    storage.string(0x3707, each.name)
    storage.string(0x370E, each.media_type)
    if each.content_id:
        storage.string(0x3712, each.content_id)
    storage.stream(0x3701, 0x0102, each.content)
    return storage.tree(bytes(8))


class _Storage:
    """Properties of one object: those of a fixed size in one stream, each other in its own."""

    def __init__(self, codepage: int) -> None:
        self._codec = {0: "utf-16-le", 20866: "koi8-r"}.get(codepage, f"cp{codepage}")
        self._string_type = 0x001E if codepage else 0x001F
        self._entries = b""
        self._streams: dict[str, bytes | Tree] = {}

    def string(self, number: int, text: str) -> None:
        self.stream(number, self._string_type, text.encode(self._codec))

    def stream(self, number: int, kind: int, data: bytes) -> None:
        self._streams[f"__substg1.0_{number:04X}{kind:04X}"] = data
        self.value(number, kind, struct.pack("<II", len(data), 0))

    def value(self, number: int, kind: int, value: bytes) -> None:
        self._entries += struct.pack("<HHI8s", kind, number, 6, value)

    def tree(self, header: bytes) -> dict[str, bytes | Tree]:
        return {"__properties_version1.0": header + self._entries, **self._streams}
