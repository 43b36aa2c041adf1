"""XML as a stream of events: no tree in memory, no entity ever expanded, nothing fetched."""

from collections.abc import Iterable, Iterator
from html import unescape
from typing import IO
from xml.parsers import expat

from rag_common.errors import BadDocument
from rag_ingest.adapters.readers.packages import damaged
from rag_ingest.domain.formats import Format

MAX_DEPTH = 500
"""Elements inside each other. Lists and tables of office programs reach a few dozen."""
_BLOCK = 4 * 1024**2
"""Expat begins anew with every block for as long as a tag goes on: small ones would make long tags slow."""


class XmlHandler:
    """Told of everything in the order of the file. Names are ``prefix:local``, see :func:`read_xml`."""

    def start(self, name: str, attributes: dict[str, str]) -> bool | None:
        """An element begins. ``True``: it is passed over, with all that it holds and its end."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, data: str) -> None:
        """Characters; more may follow directly."""


def read_xml(
    source: IO[bytes] | str, handler: XmlHandler, kind: Format, prefixes: dict[str, str] | None = None
) -> None:
    """Tell ``handler`` all of ``source``.

    ``prefixes`` gives namespaces their names; without it, and for names in a namespace that is not
    among them, the local name stands alone.

    :raises BadDocument: ``damaged_file``; also for XML that is nested too deeply, or declares entities.
    """
    driver = _Driver(handler, kind, prefixes or {})
    # Decoded text is passed on in UTF-8, whatever encoding it declares.
    parser = expat.ParserCreate("utf-8" if isinstance(source, str) else None, "}")
    parser.buffer_text = True
    parser.StartElementHandler = driver.start
    parser.EndElementHandler = driver.end
    parser.CharacterDataHandler = driver.text
    parser.SkippedEntityHandler = driver.skipped_entity
    parser.EntityDeclHandler = driver.refuse_entity
    try:
        for block in _blocks(source):
            parser.Parse(block, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise damaged(kind, f"line {error.lineno}: {expat.ErrorString(error.code)}") from error
    except (LookupError, ValueError) as error:
        # An encoding that Python does not know, or that is none of single bytes.
        raise damaged(kind, str(error)) from error


def _blocks(source: IO[bytes] | str) -> Iterator[bytes]:
    if isinstance(source, str):
        yield from (
            source[start : start + _BLOCK].encode(errors="replace") for start in range(0, len(source), _BLOCK)
        )
    else:
        while block := source.read(_BLOCK):
            yield block


class _Driver:
    """Shortens names, and keeps from the handler what it does not want to see."""

    def __init__(self, handler: XmlHandler, kind: Format, prefixes: dict[str, str]) -> None:
        self._handler = handler
        self._kind = kind
        self._prefixes = prefixes
        self._short: dict[str, str] = {}
        self._depth = 0
        self._passed_over = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise damaged(self._kind, f"elements nested more than {MAX_DEPTH} levels deep")
        if self._passed_over:
            self._passed_over += 1
            return
        short = self._short.get
        named = {short(key) or self._shorten(key): value for key, value in attributes.items()}
        if self._handler.start(short(name) or self._shorten(name), named):
            self._passed_over = 1

    def end(self, name: str) -> None:
        self._depth -= 1
        if self._passed_over:
            self._passed_over -= 1
        else:
            self._handler.end(self._short[name])

    def text(self, data: str) -> None:
        if not self._passed_over:
            self._handler.text(data)

    def skipped_entity(self, name: str, is_parameter: bool) -> None:
        """One that only a DTD outside the file could declare; those of HTML are known to everybody."""
        if not is_parameter:
            self.text(unescape(f"&{name};"))

    def refuse_entity(self, name: str, *_: object) -> None:
        raise BadDocument(
            f"The {self._kind.upper()} declares entities of its own (&{name};), which are not expanded here."
            " Save it with their text in place and send it again.",
            code="unsupported_format",
        )

    def _shorten(self, name: str) -> str:
        namespace, _, local = name.rpartition("}")
        prefix = self._prefixes.get(namespace)
        self._short[name] = f"{prefix}:{local}" if prefix else local
        return self._short[name]


class Words:
    """Collects characters, between the beginning and the end of something."""

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def add(self, *texts: str) -> None:
        self._pieces += texts

    def take(self) -> str:
        """What was collected; it begins anew."""
        text = "".join(self._pieces)
        self._pieces.clear()
        return text


class Title(XmlHandler):
    """The title among the properties of a document, ``dc:title``."""

    def __init__(self) -> None:
        self.title: str | None = None
        self._words = Words()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._words.take()

    def text(self, data: str) -> None:
        self._words.add(data)

    def end(self, name: str) -> None:
        if name == "dc:title":
            self.title = self._words.take().strip() or None


def one_line(text: str) -> str:
    """All white space as single spaces: a cell of a table must hold neither a tab nor a newline."""
    return " ".join(text.split())


def table_lines(rows: Iterable[list[str]]) -> str:
    """A line for each row that is not empty; cells are separated by tabs."""
    return "\n".join(line for cells in rows if (line := "\t".join(cells).rstrip("\t")).strip())
