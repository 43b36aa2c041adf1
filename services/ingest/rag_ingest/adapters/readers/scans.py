"""Pages of which some, or all, are pictures: what was read, and what has to be said about the others."""

from collections.abc import Callable, Sequence

from PIL import Image

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted, TextBuilder
from rag_ingest.adapters.readers import ocr


class ScannedPages:
    """Collects pages in their order, and the numbers of those that were not read."""

    def __init__(self) -> None:
        self._pages: list[tuple[int, str]] = []
        self._unreadable: list[int] = []
        self._partly: list[int] = []
        self._wordless: list[int] = []
        self._too_late: list[int] = []
        self._untried: list[int] = []
        self._unavailable: BadDocument | None = None

    def add_text(self, number: int, text: str) -> None:
        """A page with a text of its own."""
        self._pages.append((number, text))

    def add(self, number: int, picture: Callable[[], Image.Image | None]) -> None:
        """A page that is a picture, or cannot be drawn; it is not tried when no time is left for it."""
        self.add_text(number, self._recognised(number, picture))

    @property
    def blank(self) -> bool:
        """Whether there is no text on any page."""
        return not any(text for _, text in self._pages)

    def extracted(
        self,
        media_type: str,
        *,
        title: str | None = None,
        warnings: Sequence[str] = (),
        numbered: bool = True,
    ) -> Extracted:
        """The document; ``numbered`` if it has pages.

        :raises BadDocument: ``ocr_unavailable``, ``ocr_unreadable`` or ``parse_timeout``, where this is why
            nothing is left of it.
        """
        if self.blank:
            self._refuse()
        built = TextBuilder()
        for number, text in self._pages:
            if numbered:
                built.add_part(text, {"page": number})
            else:
                built.add(text)
        return built.extracted(media_type, title=title, warnings=[*warnings, *self._warnings()])

    def _recognised(self, number: int, picture: Callable[[], Image.Image | None]) -> str:
        if not ocr.time_is_left():
            self._too_late.append(number)
            return ""
        drawn = picture()
        if drawn is None:
            self._unreadable.append(number)
            return ""
        try:
            found = ocr.recognise(drawn)
        except BadDocument as error:
            if error.code != "ocr_unavailable":
                raise
            self._unavailable = error
            self._untried.append(number)
            return ""
        if found.unreadable:
            self._unreadable.append(number)
        elif found.partly:
            self._partly.append(number)
        elif found.drawn and not found.text:
            self._wordless.append(number)
        return found.text

    def _refuse(self) -> None:
        if self._unavailable is not None:
            raise self._unavailable
        if self._unreadable:
            raise BadDocument(
                "The text in the picture could not be read with enough confidence."
                " Scan it again in focus, with good contrast and at least 200 dots per inch.",
                code="ocr_unreadable",
            )
        if self._too_late:
            raise BadDocument(
                "There was no time left to recognise the text. Split the file.", code="parse_timeout"
            )

    def _warnings(self) -> list[str]:
        said = (
            (self._unreadable, "left out: the text could not be read with enough confidence."),
            (
                self._partly,
                "read in part: lines without enough confidence were left out.",
            ),
            (self._wordless, "no text was recognised in the picture."),
            (self._too_late, "left out: there was no time left to recognise the text. Split the file."),
            (self._untried, f"left out: {self._unavailable.message if self._unavailable else ''}"),
        )
        return [
            f"{'Page' if len(numbers) == 1 else 'Pages'} {_spans(numbers)}: {what}"
            for numbers, what in said
            if numbers
        ]


def _spans(numbers: list[int]) -> str:
    """``3`` or ``1-4, 7``."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1] = spans[-1][0], number
        else:
            spans.append((number, number))
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
