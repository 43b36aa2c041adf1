"""PPTX: the slides in their order, with titles, tables, diagrams and the speaker's notes."""

from pathlib import Path

from rag_ingest.adapters.extracted import Extracted, TextBuilder
from rag_ingest.adapters.readers.office import Package
from rag_ingest.adapters.readers.packages import damaged, opened
from rag_ingest.adapters.readers.xml_stream import Words, XmlHandler, one_line, table_lines
from rag_ingest.domain.formats import MEDIA_TYPES, Format

_TITLES = {"title", "ctrTitle"}
# Filled in by the program on every slide, or a picture of the slide on its page of notes.
_NOT_CONTENT = {"sldNum", "dt", "ftr", "hdr", "sldImg"}
_PROGRAM_TITLES = {"powerpoint presentation", "презентация powerpoint", "slide 1", "слайд 1"}


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    built = TextBuilder()
    with opened(path, kind) as archive:
        package = Package(archive, kind)
        main = package.main_part()
        order = _SlideOrder()
        package.read(main, order)
        targets = {relation.id: relation.target for relation in package.relations(main)}
        for number, slide in enumerate(order.ids, 1):
            if slide not in targets:
                raise damaged(kind, f"slide {number} is missing")
            start = built.following
            _add_slide(built, package, targets[slide])
            built.close_part(start, {"slide": number})
        title = package.title()
    if title and title.lower() in _PROGRAM_TITLES:
        title = None
    return built.extracted(MEDIA_TYPES[kind], title=title)


def _add_slide(built: TextBuilder, package: Package, part: str) -> None:
    slide = _Shapes()
    package.read(part, slide)
    title = " ".join(map(one_line, slide.titles))
    if title:
        built.add_heading(title, 1)
    else:
        built.add_mark("", 1)
    for text in slide.texts:
        built.add(text)
    for relation in package.relations(part):
        if relation.kind in ("diagramData", "notesSlide"):
            further = _Shapes()
            package.read(relation.target, further)
            for text in further.titles + further.texts:
                built.add(text)


class _SlideOrder(XmlHandler):
    def __init__(self) -> None:
        self.ids: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "sldId":
            self.ids.append(attributes.get("r:id", ""))


class _Shapes(XmlHandler):
    """The texts of a slide's shapes in the order of the file, which is the one that screen readers follow."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.texts: list[str] = []
        self._words = Words()
        self._placeholder: str | None = None
        self._paragraphs: list[str] = []
        self._rows: list[list[str]] | None = None
        self._in_text = False

    def start(self, name: str, attributes: dict[str, str]) -> bool | None:
        match name:
            case "mc:Fallback":
                return True
            case "sp" | "pt":
                self._placeholder = None
                self._paragraphs = []
            case "ph":
                self._placeholder = attributes.get("type", "body")
            case "a:tbl":
                self._rows = []
            case "a:tr" if self._rows is not None:
                self._rows.append([])
            case "a:tc":
                self._paragraphs = []
            case "a:fld" if attributes.get("type") == "slidenum":
                return True
            case "a:br":
                self._words.add("\n")
            case "a:t":
                self._in_text = True
        return None

    def text(self, data: str) -> None:
        if self._in_text:
            self._words.add(data)

    def end(self, name: str) -> None:
        match name:
            case "a:t":
                self._in_text = False
            case "a:p":
                self._paragraphs.append(self._words.take().replace("\x0b", "\n").strip())
            case "a:tc" if self._rows:
                self._rows[-1].append(one_line(" ".join(self._paragraphs)))
            case "a:tbl":
                self._keep(self.texts, [table_lines(self._rows or [])])
                self._rows = None
            case "sp" | "pt" if self._placeholder not in _NOT_CONTENT:
                self._keep(self.titles if self._placeholder in _TITLES else self.texts, self._paragraphs)
                self._paragraphs = []

    @staticmethod
    def _keep(texts: list[str], paragraphs: list[str]) -> None:
        if text := "\n".join(filter(None, paragraphs)):
            texts.append(text)
