"""What the packages of Microsoft Office share: parts that point to each other, and a title."""

import posixpath
import zipfile
from typing import NamedTuple

from rag_ingest.adapters.readers.packages import check_size, damaged, member
from rag_ingest.adapters.readers.xml_stream import Title, XmlHandler, read_xml
from rag_ingest.domain.formats import Format

_TRANSITIONAL = "http://schemas.openxmlformats.org/officeDocument/2006/"
_STRICT = "http://purl.oclc.org/ooxml/officeDocument/"
PREFIXES = {
    f"{_TRANSITIONAL}relationships": "r",
    f"{_STRICT}relationships": "r",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "http://purl.org/dc/elements/1.1/": "dc",
}
"""Both editions of the standard. Names of spreadsheets, presentations and diagrams stay without a prefix."""


class Relation(NamedTuple):
    """That a part needs another one: by which id, of which kind (``slide``, ``styles``), where it is."""

    id: str
    kind: str
    target: str


class Package:
    """An open package of the format ``kind``."""

    def __init__(self, archive: zipfile.ZipFile, kind: Format) -> None:
        """:raises BadDocument: ``too_much_text``."""
        self._archive = archive
        self._kind = kind
        parts = [part for part in archive.infolist() if part.filename.endswith((".xml", ".rels"))]
        check_size(archive, parts, kind)

    def read(self, part: str, handler: XmlHandler) -> None:
        """:raises BadDocument: ``damaged_file``."""
        with member(self._archive, part, self._kind) as source:
            read_xml(source, handler, self._kind, PREFIXES)

    def relations(self, part: str) -> list[Relation]:
        """Which parts it needs that are there; those of the package itself are those of the part "".

        :raises BadDocument: ``damaged_file``.
        """
        folder, name = posixpath.split(part)
        source = posixpath.join(folder, "_rels", f"{name}.rels")
        found = _Relations(folder)
        if source in self._archive.NameToInfo:
            self.read(source, found)
        return [each for each in found.relations if each.target in self._archive.NameToInfo]

    def main_part(self) -> str:
        """The part that all others belong to."""
        for relation in self.relations(""):
            if relation.kind == "officeDocument":
                return relation.target
        raise damaged(self._kind, "it names no main part")

    def title(self) -> str | None:
        """The title in the properties of the document."""
        for relation in self.relations(""):
            if relation.kind == "core-properties":
                properties = Title()
                self.read(relation.target, properties)
                return properties.title
        return None


class _Relations(XmlHandler):
    def __init__(self, folder: str) -> None:
        self.relations: list[Relation] = []
        self._folder = folder

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.join("/", self._folder, attributes.get("Target", ""))
            kind = attributes.get("Type", "").rpartition("/")[2]
            resolved = posixpath.normpath(target).lstrip("/")
            self.relations.append(Relation(attributes.get("Id", ""), kind, resolved))
