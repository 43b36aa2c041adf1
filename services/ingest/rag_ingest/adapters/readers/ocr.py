"""Text in pictures, by tesseract: what it is sure of, and how much it was not sure of."""

import csv
import io
import signal
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from PIL import Image

from rag_common.errors import BadDocument
from rag_ingest.adapters.ocr_options import current
from rag_ingest.adapters.tesseract import installed_languages

PAGE_SECONDS = 30.0
"""Longest time for one page; a dense A4 page of 300 dpi takes 2 to 7 s of a core."""
_RESERVE_SECONDS = 5.0
"""Kept of the time for the whole file, to hand over what was found."""
MAX_PIXELS = 16_000_000
"""A larger page is made smaller first: A4 at 400 dpi has so many."""
_SMALL_SIDE = 1400
"""A smaller one is doubled: letters of a screenshot have half the size that tesseract wants."""
DPI = 200
_LEAST_CONTRAST = 16
"""Of 255, between the darkest and the lightest point of a page that shows something."""
_MOST_LOST = 0.5
_MOST_UNSURE = 0.1
"""Shares of a page's characters: above the first it is unreadable, above the second worth a warning."""


class PageText(NamedTuple):
    """What was read on a page with enough confidence."""

    text: str
    unsure: float
    """Share of the characters that was left out."""
    drawn: bool = True
    """Whether the page shows anything at all."""

    @property
    def unreadable(self) -> bool:
        return self.unsure > _MOST_LOST

    @property
    def partly(self) -> bool:
        return self.unsure > _MOST_UNSURE


def enabled() -> bool:
    return current().enabled


def time_is_left() -> bool:
    """Whether another page may be begun."""
    return _seconds_left() > 0


def is_blank(image: Image.Image) -> bool:
    """Whether nothing can be seen on it."""
    low, high = (image if image.mode == "L" else image.convert("L")).getextrema()
    return isinstance(low, int) and isinstance(high, int) and high - low < _LEAST_CONTRAST


def recognise(image: Image.Image) -> PageText:
    """Read one page; nothing is left of it where tesseract fails or takes too long.

    :raises BadDocument: ``ocr_unavailable``, with the cure.
    :raises OSError: tesseract cannot be started.
    """
    grey = _on_white(image).convert("L")
    if is_blank(grey):
        return PageText("", 0.0, drawn=False)
    program = _require_program()
    grey = _scaled(grey)
    bitmap = io.BytesIO()
    grey.save(bitmap, "PPM")
    command = (
        *(program, "stdin", "stdout", "-l", current().languages),
        # Pages may lie on their side; lines, not words, decide what is kept.
        *("--psm", "1", "--dpi", str(DPI), "tsv"),
    )
    try:
        done = subprocess.run(  # noqa: S603 - settings of the operator, no part of the file
            command,
            input=bitmap.getvalue(),
            capture_output=True,
            check=False,
            timeout=max(min(PAGE_SECONDS, _seconds_left()), 0.1),
        )
    except subprocess.TimeoutExpired:
        return PageText("", 1.0)
    if done.returncode:
        return PageText("", 1.0)
    return _page_text(_lines(done.stdout.decode(errors="replace")), current().least_confidence)


def _require_program() -> str:
    program, languages = current().program, current().languages.split("+")
    if program is None:
        raise _unavailable("tesseract is not installed", "tesseract-ocr")
    missing = sorted(set(languages) - _installed_languages(program))
    if missing:
        packages = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in missing)
        raise _unavailable(f"tesseract lacks the data for {', '.join(missing)}", packages)
    return program


def _seconds_left() -> float:
    # The kernel's own alarm, which would end this process: set for each file by the worker.
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    return left - _RESERVE_SECONDS if left else PAGE_SECONDS


def _scaled(grey: Image.Image) -> Image.Image:
    size = grey.width * grey.height
    if size > MAX_PIXELS:
        factor = (MAX_PIXELS / size) ** 0.5
    elif max(grey.size) < _SMALL_SIDE:
        factor = 2.0
    else:
        return grey
    width, height = (max(int(side * factor), 1) for side in grey.size)
    return grey.resize((width, height), Image.Resampling.BICUBIC)


def _on_white(image: Image.Image) -> Image.Image:
    """What is transparent is white, as on paper."""
    if not image.has_transparency_data:
        return image
    layered = image.convert("RGBA")
    paper = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(paper, layered)


class _Line(NamedTuple):
    paragraph: tuple[str, str]
    text: str
    confidence: float


def _lines(table: str) -> Iterator[_Line]:
    """Lines of tesseract's TSV: level, page, block, paragraph, line, word, box (4), confidence, text."""
    words: dict[tuple[str, ...], list[tuple[str, float]]] = {}
    for row in csv.reader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        if len(row) == 12 and row[0] == "5" and row[11].strip():
            words.setdefault(tuple(row[1:5]), []).append((row[11].strip(), float(row[10])))
    for (_, block, paragraph, _), found in words.items():
        weight = sum(len(word) for word, _ in found)
        confidence = sum(len(word) * each for word, each in found) / weight
        yield _Line((block, paragraph), " ".join(word for word, _ in found), confidence)


def _page_text(lines: Iterable[_Line], least: float) -> PageText:
    pieces: list[str] = []
    before: tuple[str, str] | None = None
    kept = lost = 0
    for line in lines:
        if line.confidence < least:
            lost += len(line.text)
            continue
        kept += len(line.text)
        if before is not None:
            pieces.append("\n" if line.paragraph == before else "\n\n")
        pieces.append(line.text)
        before = line.paragraph
    page = PageText("".join(pieces), lost / (kept + lost) if lost else 0.0)
    return PageText("", page.unsure) if page.unreadable else page


@cache
def _installed_languages(program: str) -> frozenset[str]:
    try:
        return installed_languages(program)
    except (FileNotFoundError, PermissionError) as error:
        raise _unavailable("tesseract is not installed", "tesseract-ocr") from error


def _unavailable(reason: str, packages: str) -> BadDocument:
    return BadDocument(
        f"It is a picture or a scan, and {reason}. Install it (on Debian and Ubuntu:"
        f" apt-get install {packages}), start the ingest service again and send the file again.",
        code="ocr_unavailable",
    )
