"""PDF: the text of each page."""

from pathlib import Path

from kreuzberg import PageConfig, extract_file_sync

from rag_ingest.adapters.extracted import Extracted, TextBuilder
from rag_ingest.adapters.readers.kreuzberg import config, named_errors, tidy, title_of, warnings_of
from rag_ingest.domain.formats import MEDIA_TYPES, Format


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    with named_errors(kind):
        result = extract_file_sync(
            path,
            MEDIA_TYPES[kind],
            config(pages=PageConfig(extract_pages=True), output_format="plain"),
        )
    built = TextBuilder()
    for page in result.pages or []:
        built.add_part(tidy(page["content"]), {"page": page["page_number"]})
    return built.extracted(MEDIA_TYPES[kind], title=title_of(result), warnings=warnings_of(result))
