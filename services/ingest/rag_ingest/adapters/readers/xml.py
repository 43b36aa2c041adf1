"""XML: a line for each element that holds text, under the names that lead to it.

``<catalog><book id="7"><title>Dune</title></book></catalog>`` becomes::

    book.id: 7
    book.title: Dune

An element whose text is mixed with other elements is running text, and stays in one piece.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rag_ingest.adapters.decoding import decoded
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers.leaves import Leaves
from rag_ingest.adapters.readers.xml_stream import XmlHandler, read_xml
from rag_ingest.domain.encodings import encoding_in_markup
from rag_ingest.domain.formats import MEDIA_TYPES, Format

_SCHEMA = {"http://www.w3.org/2001/XMLSchema-instance": "xsi", "http://www.w3.org/XML/1998/namespace": "xml"}


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    data = path.read_bytes()
    text, warnings = decoded(data, encoding_in_markup(data))
    handler = _Elements()
    read_xml(text, handler, kind, _SCHEMA)
    return handler.leaves.built.extracted(
        MEDIA_TYPES[kind], warnings=[*warnings, *handler.leaves.warnings(kind)]
    )


class _Item(NamedTuple):
    """A piece of what was read, in the order of the file."""

    names: tuple[str, ...]
    """Of the elements around it; none for text of an element that is not at its end."""
    text: str
    is_attribute: bool = False


_SPACE = _Item((), " ")
_BREAK = _Item((), "\n\n")
"""Between two records."""


@dataclass
class _Open:
    """An element that has not ended."""

    first: int
    """Its first item after its attributes."""
    has_attributes: bool
    has_text: bool = False
    has_elements: bool = False
    last_record: str = ""
    """The name of the last element in it, if that had attributes or elements itself."""


class _Elements(XmlHandler):
    """Keeps what it reads until it is known which elements hold running text."""

    def __init__(self) -> None:
        self.leaves = Leaves()
        self._items: list[_Item] = []
        self._names: list[str] = []
        self._open: list[_Open] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._open:
            self._open[-1].has_elements = True
            if self._open[-1].last_record == name:
                self._items.append(_BREAK)
        self._names.append(name)
        path = self._path()
        shown = [key for key in attributes if not key.startswith(("xsi:", "xml:"))]
        self._items += (_Item((*path, key), attributes[key], is_attribute=True) for key in shown)
        self._open.append(_Open(len(self._items), has_attributes=bool(shown)))

    def text(self, data: str) -> None:
        if data.isspace():
            self._items.append(_SPACE)
        elif self._open:
            self._open[-1].has_text = True
            self._items.append(_Item((), data))

    def end(self, name: str) -> None:
        element = self._open.pop()
        if element.has_text or not element.has_elements:
            held = self._items[element.first :]
            running = "".join(item.text for item in held if not item.is_attribute)
            self._items[element.first :] = [_Item(self._path(), running)]
        self._names.pop()
        if self._open:
            is_record = element.has_elements or element.has_attributes
            self._open[-1].last_record = name if is_record else ""
        else:
            self._hand_over()

    def _path(self) -> tuple[str, ...]:
        """Without the outermost element, which is the same for all."""
        return tuple(self._names[1:]) or tuple(self._names)

    def _hand_over(self) -> None:
        for item in self._items:
            if item is _BREAK:
                self.leaves.end_record()
            elif item.names:
                self.leaves.add(item.names, _lines(item.text))
        self.leaves.end_record()


def _lines(text: str) -> str:
    """Its lines without indentation and empty ones."""
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.splitlines())))
