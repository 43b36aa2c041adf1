"""DOCX: paragraphs, headings and tables."""

import io
from pathlib import Path
from typing import Any

from kreuzberg import extract_bytes_sync

from rag_ingest.adapters.extracted import Extracted, TextBuilder
from rag_ingest.adapters.readers.docx_copy import restore_characters, write_readable_copy
from rag_ingest.adapters.readers.kreuzberg import config, named_errors, tidy, title_of, warnings_of
from rag_ingest.domain.formats import MEDIA_TYPES, Format


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    copy = io.BytesIO()
    write_readable_copy(path, copy)
    with named_errors(kind):
        result = extract_bytes_sync(
            copy.getvalue(),
            MEDIA_TYPES["docx"],
            config(include_document_structure=True, output_format="plain"),
        )
    del copy
    built = TextBuilder()
    for node in result.document["nodes"] if result.document else ():
        if node.get("content_layer") not in ("header", "footer"):
            _add(built, dict(node["content"]))
    title = title_of(result)
    return built.extracted(
        MEDIA_TYPES["docx"],
        title=restore_characters(title) if title else None,
        warnings=warnings_of(result),
    )


def _add(built: TextBuilder, content: dict[str, Any]) -> None:
    text = restore_characters(tidy(_text(content)))
    if not text:
        return
    if content["node_type"] in ("heading", "title"):
        built.add_heading(text, content.get("level") or 1)
    else:
        built.add(text)


def _text(content: dict[str, Any]) -> str:
    if content["node_type"] != "table":
        return str(content.get("text") or "")
    rows: dict[int, list[str]] = {}
    for cell in content["grid"]["cells"]:
        rows.setdefault(cell["row"], []).append(cell["content"])
    return "\n".join("\t".join(cells) for _, cells in sorted(rows.items())).strip("\t")
