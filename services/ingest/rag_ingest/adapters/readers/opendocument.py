"""OpenDocument: ODT texts, ODP presentations and ODS spreadsheets, from what the program last showed."""

from pathlib import Path

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers.odf_text import PREFIXES, FlowingText
from rag_ingest.adapters.readers.ods import Spreadsheet
from rag_ingest.adapters.readers.packages import check_size, member, opened
from rag_ingest.adapters.readers.xml_stream import Title, read_xml
from rag_ingest.domain.formats import MEDIA_TYPES, Format


def read(path: Path, kind: Format) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    handler: Spreadsheet | FlowingText = Spreadsheet() if kind == "ods" else FlowingText()
    with opened(path, kind) as archive:
        names = archive.NameToInfo
        wanted = ("content.xml", "meta.xml", "META-INF/manifest.xml")
        check_size(archive, [names[name] for name in wanted if name in names], kind)
        if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
            raise BadDocument(
                f"The {kind.upper()} is protected by a password. Remove the password and send it again.",
                code="password_protected",
            )
        with member(archive, "content.xml", kind) as content:
            read_xml(content, handler, kind, PREFIXES)
        meta = Title()
        if "meta.xml" in names:
            with member(archive, "meta.xml", kind) as source:
                read_xml(source, meta, kind, PREFIXES)
    return handler.built.extracted(MEDIA_TYPES[kind], title=meta.title)
