"""EPUB: the chapters in the order of the spine, each read as the page of HTML that it is."""

import posixpath
import re
import zipfile
from pathlib import Path
from urllib.parse import unquote

from rag_common.errors import BadDocument
from rag_ingest.adapters.decoding import decoded
from rag_ingest.adapters.extracted import Extracted, TextBuilder
from rag_ingest.adapters.readers.html import read_html
from rag_ingest.adapters.readers.packages import check_size, damaged, member, opened
from rag_ingest.adapters.readers.xml_stream import Words, XmlHandler, read_xml
from rag_ingest.domain.encodings import encoding_in_markup
from rag_ingest.domain.formats import MEDIA_TYPES, Format

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = {"application/xhtml+xml", "text/html", "application/x-dtbook+xml"}
# In XHTML an element may be closed where it begins; read as HTML, most would then hold the rest of the page.
_EMPTY = re.compile(r"<([a-zA-Z][\w:-]*)((?:\s[^<>]*)?)/>")
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    built = TextBuilder()
    warnings: list[str] = []
    with opened(path, kind) as archive:
        container = _Container()
        with member(archive, _CONTAINER, kind) as source:
            read_xml(source, container, kind)
        book = _Book(posixpath.dirname(container.package))
        with member(archive, container.package, kind) as source:
            read_xml(source, book, kind)
        chapters = [part for part in book.chapters() if part in archive.NameToInfo]
        if not chapters:
            raise damaged(kind, "it names no chapter that is there")
        check_size(archive, [archive.getinfo(part) for part in set(chapters)], kind)
        _refuse_encrypted(archive, chapters, kind)
        for part in chapters:
            warnings += _add_chapter(built, archive.read(part), kind)
    return built.extracted(MEDIA_TYPES[kind], title=book.title, warnings=list(dict.fromkeys(warnings)))


def _add_chapter(built: TextBuilder, data: bytes, kind: Format) -> list[str]:
    source, warnings = decoded(data, encoding_in_markup(data))
    page = read_html(_EMPTY.sub(_opened_and_closed, source), kind, warnings)
    if page["text"]:
        start, _ = built.add(page["text"])
        built.headings += [
            (start + first, start + last, level, title) for first, last, level, title in page["headings"]
        ]
    return page["warnings"]


def _opened_and_closed(tag: re.Match[str]) -> str:
    name, attributes = tag.groups()
    return tag.group() if name.lower() in _VOID else f"<{name}{attributes}></{name}>"


def _refuse_encrypted(archive: zipfile.ZipFile, chapters: list[str], kind: Format) -> None:
    if _ENCRYPTION not in archive.NameToInfo:
        return
    check_size(archive, [archive.getinfo(_ENCRYPTION)], kind)
    encryption = _Encryption()
    with member(archive, _ENCRYPTION, kind) as source:
        read_xml(source, encryption, kind)
    # Fonts are often disguised in this way; only chapters matter.
    if not encryption.parts.isdisjoint(chapters):
        raise BadDocument(
            "The EPUB is protected against copying (DRM). Send an edition without protection.",
            code="password_protected",
        )


class _Container(XmlHandler):
    package = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "rootfile" and not self.package:
            self.package = attributes.get("full-path", "")


class _Encryption(XmlHandler):
    def __init__(self) -> None:
        self.parts: set[str] = set()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "CipherReference":
            self.parts.add(unquote(attributes.get("URI", "")))


class _Book(XmlHandler):
    """Title, files and their order."""

    def __init__(self, folder: str) -> None:
        self.title: str | None = None
        self._folder = folder
        self._parts: dict[str, str] = {}
        self._order: list[str] = []
        self._words = Words()

    def chapters(self) -> list[str]:
        """The parts that the spine names, without a table of contents."""
        return [self._parts[each] for each in dict.fromkeys(self._order) if each in self._parts]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._words.take()
        if name == "item" and attributes.get("media-type") in _PAGES:
            if "nav" not in attributes.get("properties", "").split():
                part = posixpath.join(self._folder, unquote(attributes.get("href", "")))
                self._parts[attributes.get("id", "")] = posixpath.normpath(part)
        elif name == "itemref":
            self._order.append(attributes.get("idref", ""))

    def text(self, data: str) -> None:
        self._words.add(data)

    def end(self, name: str) -> None:
        if name == "title" and self.title is None:
            self.title = " ".join(self._words.take().split()) or None
