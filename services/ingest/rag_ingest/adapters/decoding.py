"""Text of any encoding, with chardet and ftfy behind the domain's decisions.

Both libraries are imported for the first text that needs them: most are plain UTF-8.
"""

from rag_ingest.domain.documents import ParsedDocument
from rag_ingest.domain.encodings import Guess
from rag_ingest.domain.formats import Format
from rag_ingest.domain.mojibake import Mended
from rag_ingest.domain.text import parse_text, read_text


def decoded(data: bytes, declared: str | None = None) -> tuple[str, tuple[str, ...]]:
    """The text and warnings; ``declared`` is the encoding that the file or its sender names.

    :raises BadDocument: ``empty_file``, ``not_text``, ``invalid_utf8``, ``damaged_encoding`` or
        ``unknown_encoding``.
    """
    return read_text(data, declared=declared, detector=_detector, mender=_mender)


def parsed_text(data: bytes, kind: Format, declared: str | None = None) -> ParsedDocument:
    """Plain text or Markdown.

    :raises BadDocument: as :func:`decoded`.
    """
    return parse_text(data, kind, declared=declared, detector=_detector, mender=_mender)


def _detector(data: bytes) -> list[Guess]:
    from rag_ingest.adapters.detection import guess_encodings

    return guess_encodings(data)


def _mender(text: str) -> Mended | None:
    from rag_ingest.adapters.mending import undo_misreading

    return undo_misreading(text)
