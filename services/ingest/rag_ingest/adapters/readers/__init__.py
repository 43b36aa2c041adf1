"""Reads files; runs only inside the worker process. One module for each format or family of them.

A reader is a module with ``read(path: Path, kind: Format) -> Extracted``; it raises
:class:`BadDocument` for a file that it cannot read, :class:`OSError` when the system is short of something.
That of a container has ``read(path, kind, room: Room | None)`` and unpacks into the room.
"""

from importlib import import_module
from pathlib import Path
from typing import cast

from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers.packages import kind_of_package
from rag_ingest.domain.formats import Format, unsupported
from rag_ingest.domain.members import Room

_READERS: dict[Format, str] = {
    "html": "html",
    "pdf": "pdf",
    "image": "image",
    "docx": "docx",
    "pptx": "pptx",
    "xlsx": "xlsx",
    "odt": "opendocument",
    "odp": "opendocument",
    "ods": "opendocument",
    "rtf": "rtf",
    "epub": "epub",
    "csv": "csv",
    "json": "json",
    "xml": "xml",
}
"""Format → module of this package. A module is imported for its first file: some take long."""


_CONTAINERS: dict[Format, str] = {"zip": "zip", "eml": "eml", "msg": "msg"}


def extract(path: str, kind: str, room: Room | None = None) -> Extracted:
    """Read a file; of a ZIP archive (``zip``) the content decides what it is.

    :raises BadDocument: it cannot be read; the code says why.
    :raises OSError: the system is short of something.
    """
    known = cast(Format, kind)
    if known == "zip":
        known = kind_of_package(Path(path))
    if known in _CONTAINERS:
        container = import_module(f"{__name__}.{_CONTAINERS[known]}")
        return cast(Extracted, container.read(Path(path), known, room))
    if known not in _READERS:
        raise unsupported(f"of the format {known.upper()}")
    reader = import_module(f"{__name__}.{_READERS[known]}")
    return cast(Extracted, reader.read(Path(path), known))
