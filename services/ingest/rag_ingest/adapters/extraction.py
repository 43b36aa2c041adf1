"""HTML, PDF and DOCX by ``kreuzberg``; runs only inside the worker process."""

import html
import io
import re
from pathlib import Path
from typing import Any

from kreuzberg import (
    ConcurrencyConfig,
    ContentFilterConfig,
    ExtractionConfig,
    ExtractionResult,
    PageConfig,
    extract_bytes_sync,
    extract_file_sync,
)
from kreuzberg.exceptions import KreuzbergError

from rag_common.errors import BadDocument
from rag_ingest.adapters.docx import restore_characters, write_readable_copy
from rag_ingest.adapters.worker import Extracted
from rag_ingest.domain.formats import MEDIA_TYPES
from rag_ingest.domain.markdown import markdown_headings
from rag_ingest.domain.text import decode_text

_PLACEHOLDER_TITLES = {"untitled", "(anonymous)", "unspecified"}
_HTML_OPTIONS: dict[str, Any] = {
    # The words of links and emphasis without their markup; typed as bool in the stubs, a list at run time.
    "strip_tags": ["a", "abbr", "b", "em", "font", "i", "small", "span", "strong", "u"],
    # Pages of some frameworks are one single form.
    "preprocessing": {"enabled": True, "remove_navigation": True, "remove_forms": False},
}
_NO_LIBRARY = "Failed to extract bundled Pdfium"
"""What it says when the disk has no room for the library that it unpacks to read the first PDF."""
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title\s*>", re.IGNORECASE | re.DOTALL)
# kreuzberg puts these in front of the text as if they were a section of it.
_HEAD_ONLY = re.compile(r"<(?:meta|base|link)\b[^>]*>", re.IGNORECASE)
_IMAGE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")


def extract(path: str, kind: str) -> Extracted:
    """Read a file of a format of :mod:`rag_ingest.domain.formats`.

    :raises BadDocument: it cannot be read; the code says why.
    :raises OSError: the system is short of something.
    """
    readers = {"html": _html, "pdf": _pdf, "docx": _docx}
    try:
        return readers[kind](Path(path))
    except KreuzbergError as error:
        if _NO_LIBRARY in str(error):
            raise OSError(str(error)) from error
        raise _refusal(str(error), kind) from error


def _refusal(reason: str, kind: str) -> BadDocument:
    lowered = reason.lower()
    name = kind.upper()
    if "password" in lowered or "encrypt" in lowered:
        return BadDocument(
            f"The {name} is protected by a password. Remove the password and send it again.",
            code="password_protected",
        )
    return BadDocument(
        f"The {name} is damaged or incomplete and cannot be read. Check that it opens and send it again.",
        code="damaged_file",
    )


def _config(**options: Any) -> ExtractionConfig:
    return ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        concurrency=ConcurrencyConfig(max_threads=1),
        content_filter=ContentFilterConfig(
            include_headers=True, include_footers=True, strip_repeating_text=False
        ),
        **options,
    )


def _pdf(path: Path) -> Extracted:
    result = extract_file_sync(
        path, MEDIA_TYPES["pdf"], _config(pages=PageConfig(extract_pages=True), output_format="plain")
    )
    parts: list[str] = []
    pages: list[tuple[int, int, int]] = []
    position = 0
    for page in result.pages or []:
        content = _tidy(page["content"])
        pages.append((page["page_number"], position, position + len(content)))
        parts.append(content)
        position += len(content) + 2
    return Extracted(
        text="\n\n".join(parts), pages=pages, headings=[], title=_title(result), warnings=_warnings(result)
    )


def _html(path: Path) -> Extracted:
    source = decode_text(path.read_bytes())
    found = _TITLE.search(source)
    body = _HEAD_ONLY.sub("", _TITLE.sub("", source))
    result = extract_bytes_sync(
        body.encode(), MEDIA_TYPES["html"], _config(output_format="markdown", html_options=_HTML_OPTIONS)
    )
    text = _IMAGE.sub(r"\1", _tidy(result.content))
    headings = [(each.start, each.end, each.level, each.title) for each in markdown_headings(text)]
    title = " ".join(html.unescape(found.group(1)).split()) if found else None
    return Extracted(text=text, pages=[], headings=headings, title=title, warnings=_warnings(result))


def _docx(path: Path) -> Extracted:
    copy = io.BytesIO()
    write_readable_copy(path, copy)
    result = extract_bytes_sync(
        copy.getvalue(), MEDIA_TYPES["docx"], _config(include_document_structure=True, output_format="plain")
    )
    del copy
    parts: list[str] = []
    headings: list[tuple[int, int, int, str]] = []
    position = 0
    for node in result.document["nodes"] if result.document else ():
        if node.get("content_layer") in ("header", "footer"):
            continue
        content: dict[str, Any] = dict(node["content"])
        text = restore_characters(_tidy(_node_text(content)))
        if not text:
            continue
        if content["node_type"] in ("heading", "title"):
            title = " ".join(text.split())
            headings.append((position, position + len(text), content.get("level") or 1, title))
        parts.append(text)
        position += len(text) + 2
    return Extracted(
        text="\n\n".join(parts),
        pages=[],
        headings=headings,
        title=_title(result),
        warnings=_warnings(result),
    )


def _node_text(content: dict[str, Any]) -> str:
    if content["node_type"] != "table":
        return str(content.get("text") or "")
    rows: dict[int, list[str]] = {}
    for cell in content["grid"]["cells"]:
        rows.setdefault(cell["row"], []).append(cell["content"])
    return "\n".join("\t".join(cells) for _, cells in sorted(rows.items())).strip("\t")


def _tidy(text: str) -> str:
    """Line ends as ``\\n``, none around the text; no NUL."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    return text.strip("\n")


def _title(result: ExtractionResult) -> str | None:
    title = restore_characters(str(result.metadata.get("title") or "")).strip()
    return None if title.lower() in _PLACEHOLDER_TITLES else title or None


def _warnings(result: ExtractionResult) -> list[str]:
    return [f"{warning.source}: {warning.message}" for warning in result.processing_warnings]
