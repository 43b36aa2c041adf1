"""ZIP archives of all kinds: what one of them is, and how to open it without trusting it."""

import errno
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rag_common.errors import BadDocument
from rag_ingest.domain.formats import MEDIA_TYPES, Format

MAX_UNPACKED = 256 * 1024**2
"""Bytes of XML in one file: the text of 20 books, or an archive that was made to burst."""
_BY_MEDIA_TYPE: dict[str, Format] = {media_type: kind for kind, media_type in MEDIA_TYPES.items()}
_MARKERS: tuple[tuple[str, Format], ...] = (
    ("word/document", "docx"),
    ("ppt/presentation", "pptx"),
    ("xl/workbook.xml", "xlsx"),
    ("META-INF/container.xml", "epub"),
)
_MAX_MEDIA_TYPE = 200
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError)
"""What zipfile raises for a file that is not what its directory promises; see :func:`blames_file`."""


@contextmanager
def opened(path: Path, kind: Format) -> Iterator[zipfile.ZipFile]:
    """The archive, for as long as the context lasts. What zipfile raises in it becomes a reason.

    :raises BadDocument: ``damaged_file`` or ``password_protected``.
    :raises OSError: the system does not let it be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        if not blames_file(error):
            raise
        raise damaged(kind) from error
    except (*DAMAGED, NotImplementedError) as error:
        raise damaged(kind) from error
    except RuntimeError as error:
        # zipfile has no narrower error for an encrypted member.
        raise BadDocument(
            "The archive is protected by a password. Remove the password and send it again.",
            code="password_protected",
        ) from error


def blames_file(error: OSError) -> bool:
    """Whether it is the archive's own fault, not that of the system.

    bz2 names no number for a damaged stream; a directory may point outside the file.
    """
    return error.errno in (None, errno.EINVAL)


def kind_of_package(path: Path) -> Format:
    """What the members of an archive make it.

    :raises BadDocument: as :func:`opened`.
    """
    with opened(path, "zip") as archive:
        names = archive.namelist()
        if "mimetype" in names and archive.getinfo("mimetype").file_size <= _MAX_MEDIA_TYPE:
            declared = archive.read("mimetype").decode("ascii", "replace").strip()
            declared = declared.removesuffix("-template")
            if declared in _BY_MEDIA_TYPE:
                return _BY_MEDIA_TYPE[declared]
    for marker, kind in _MARKERS:
        if any(name.startswith(marker) for name in names):
            return kind
    return "zip"


def check_size(archive: zipfile.ZipFile, parts: list[zipfile.ZipInfo], kind: Format) -> None:
    """zipfile yields no more bytes of a part than it declares, so what is declared can be trusted.

    :raises BadDocument: ``too_much_text``.
    """
    if sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise BadDocument(
            f"The {kind.upper()} holds more than {MAX_UNPACKED // 1024**2} MiB when it is unpacked."
            " Split it into several files.",
            code="too_much_text",
        )


def damaged(kind: Format, detail: str = "") -> BadDocument:
    """The error for a file that does not hold what it should; ``detail`` says where."""
    where = f" ({detail})" if detail else ""
    return BadDocument(
        f"The {kind.upper()} is damaged or incomplete and cannot be read{where}."
        " Check that it opens and send it again.",
        code="damaged_file",
    )


def member(archive: zipfile.ZipFile, name: str, kind: Format) -> IO[bytes]:
    """A part of the package, to be read.

    :raises BadDocument: ``damaged_file``; it is not there.
    """
    try:
        return archive.open(name)
    except KeyError as error:
        raise damaged(kind, f"{name} is missing") from error
