"""HTML, as Markdown without the markup of links and emphasis."""

import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

from kreuzberg import extract_bytes_sync

from rag_ingest.adapters.decoding import decoded
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers.kreuzberg import config, named_errors, tidy, warnings_of
from rag_ingest.domain.encodings import encoding_in_markup
from rag_ingest.domain.formats import MEDIA_TYPES, Format
from rag_ingest.domain.markdown import markdown_headings

_OPTIONS: dict[str, Any] = {
    # The words of links and emphasis without their markup; typed as bool in the stubs, a list at run time.
    "strip_tags": ["a", "abbr", "b", "em", "font", "i", "small", "span", "strong", "u"],
    # Pages of some frameworks are one single form.
    "preprocessing": {"enabled": True, "remove_navigation": True, "remove_forms": False},
}
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title\s*>", re.IGNORECASE | re.DOTALL)
# kreuzberg puts these in front of the text as if they were a section of it.
_HEAD_ONLY = re.compile(r"<(?:meta|base|link)\b[^>]*>", re.IGNORECASE)
_IMAGE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    data = path.read_bytes()
    source, warnings = decoded(data, encoding_in_markup(data))
    return read_html(source, kind, warnings)


def read_html(source: str, kind: Format, warnings: Sequence[str] = ()) -> Extracted:
    """A page whose text is decoded already; with the warnings of that."""
    found = _TITLE.search(source)
    body = _HEAD_ONLY.sub("", _TITLE.sub("", source))
    with named_errors(kind):
        result = extract_bytes_sync(
            body.encode(), MEDIA_TYPES["html"], config(output_format="markdown", html_options=_OPTIONS)
        )
    text = _IMAGE.sub(r"\1", tidy(result.content))
    return Extracted(
        text=text,
        media_type=MEDIA_TYPES[kind],
        parts=[],
        headings=[(each.start, each.end, each.level, each.title) for each in markdown_headings(text)],
        title=" ".join(unescape(found.group(1)).split()) if found else None,
        warnings=[*warnings, *warnings_of(result)],
    )
