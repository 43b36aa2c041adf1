"""Reads files; runs only inside the worker process. One module for each format or family of them.

A reader is a module with ``read(path: Path, kind: Format) -> Extracted``; it raises
:class:`BadDocument` for a file that it cannot read, :class:`OSError` when the system is short of something.
"""

from importlib import import_module
from pathlib import Path
from typing import cast

from rag_ingest.adapters.extracted import Extracted
from rag_ingest.adapters.readers.packages import kind_of_package
from rag_ingest.domain.formats import Format, unsupported

_READERS: dict[Format, str] = {"html": "html", "pdf": "pdf", "docx": "docx"}
"""Format → module of this package. A module is imported for its first file: some take long."""


def extract(path: str, kind: str) -> Extracted:
    """Read a file; of a ZIP archive (``zip``) the content decides what it is.

    :raises BadDocument: it cannot be read; the code says why.
    :raises OSError: the system is short of something.
    """
    known = cast(Format, kind)
    if known == "zip":
        known = kind_of_package(Path(path))
    if known not in _READERS:
        raise unsupported(f"of the format {known.upper()}")
    reader = import_module(f"{__name__}.{_READERS[known]}")
    return cast(Extracted, reader.read(Path(path), known))
