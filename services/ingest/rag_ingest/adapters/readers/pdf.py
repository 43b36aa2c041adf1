"""PDF: the text of each page; of a page that is a picture, by text recognition."""

import io
from functools import partial
from pathlib import Path

from kreuzberg import ExtractionResult, PageConfig, extract_file_sync, render_pdf_page
from PIL import Image

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers import ocr
from rag_ingest.adapters.readers.kreuzberg import config, named_errors, tidy, title_of, warnings_of
from rag_ingest.adapters.readers.scans import ScannedPages
from rag_ingest.domain.documents import is_blank
from rag_ingest.domain.formats import MEDIA_TYPES, Format

_POINTS_PER_INCH = 72
_DRAFT_DPI = 72
_A4 = (595.0, 842.0)


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    with named_errors(kind):
        result = extract_file_sync(
            path,
            MEDIA_TYPES[kind],
            config(pages=PageConfig(extract_pages=True), output_format="plain"),
        )
    sizes = _sizes(result)
    pages = ScannedPages()
    for page in result.pages or []:
        number, text = int(page["page_number"]), tidy(page["content"])
        if ocr.enabled() and is_blank(text):
            pages.add(number, partial(_drawn, path, kind, number, sizes.get(number, _A4)))
        else:
            pages.add_text(number, text)
    if not ocr.enabled() and pages.blank:
        raise BadDocument(
            "No text was found in the PDF. It may be a scan, and text recognition is switched off (RAG_OCR).",
            code="no_text",
        )
    return pages.extracted(MEDIA_TYPES[kind], title=title_of(result), warnings=warnings_of(result))


def _sizes(result: ExtractionResult) -> dict[int, tuple[float, float]]:
    """Width and height of each page, in points."""
    pages = result.metadata.get("pages") or {}
    found = ((page["number"], page.get("dimensions")) for page in pages.get("pages") or ())
    return {number: (size[0], size[1]) for number, size in found if size}


def _drawn(path: Path, kind: Format, number: int, size: tuple[float, float]) -> Image.Image | None:
    inches = max(size[0] * size[1], 1.0) / _POINTS_PER_INCH**2
    # A scanner may have taken pixels for points: such a sheet is metres wide.
    dpi = min(ocr.DPI, int((ocr.MAX_PIXELS / inches) ** 0.5))
    if not dpi:
        return None
    try:
        with named_errors(kind):
            draft = _page(path, number, min(dpi, _DRAFT_DPI))
            # A blank page needs no more than a draft, which takes a tenth of the time.
            return draft if ocr.is_blank(draft) else _page(path, number, dpi)
    except BadDocument:
        # The other pages may be fine.
        return None


def _page(path: Path, number: int, dpi: int) -> Image.Image:
    return Image.open(io.BytesIO(render_pdf_page(path, number - 1, dpi=dpi)), formats=("PNG",))
