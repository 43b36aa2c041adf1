"""ZIP archives of all kinds: what one of them is, and how to open it without trusting it."""

import errno
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rag_common.contracts.documents import MEDIA_TYPE_PATTERN
from rag_common.errors import BadDocument
from rag_ingest.domain.formats import MEDIA_TYPES, Format, unsupported

MAX_UNPACKED = 256 * 1024**2
"""Bytes of XML in one file: the text of 20 books, or an archive that was made to burst."""
_BY_MEDIA_TYPE: dict[str, Format] = {MEDIA_TYPES[kind]: kind for kind in ("odt", "ods", "odp", "epub")}
_MARKERS: tuple[tuple[re.Pattern[str], Format], ...] = (
    # Office numbers them now and then
    (re.compile(r"word/document\d*\.xml"), "docx"),
    (re.compile(r"ppt/presentation\d*\.xml"), "pptx"),
    (re.compile(r"xl/workbook\d*\.xml"), "xlsx"),
    (re.compile(r"META-INF/container\.xml"), "epub"),
)
_MAX_MEDIA_TYPE = 200
_MEDIA_TYPE = re.compile(MEDIA_TYPE_PATTERN)
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

    :raises BadDocument: as :func:`opened`; ``unsupported_format``: the package of another program.
    """
    with opened(path, "zip") as archive:
        names = archive.namelist()
        declared = _declared(archive)
    if declared.removesuffix("-template") in _BY_MEDIA_TYPE:
        return _BY_MEDIA_TYPE[declared.removesuffix("-template")]
    for marker, kind in _MARKERS:
        if any(map(marker.fullmatch, names)):
            return kind
    if declared:
        raise unsupported(f"a package of the type {declared}")
    _refuse_foreign(set(names))
    return "zip"


def _refuse_foreign(names: set[str]) -> None:
    """Packages that nobody means as archives of documents."""
    if "[Content_Types].xml" in names:
        raise unsupported("an Office file of a kind that is not read (such as XLSB or VSDX)")
    if not names.isdisjoint(("META-INF/MANIFEST.MF", "AndroidManifest.xml")):
        raise unsupported("a program (JAR or APK)")
    if "Index/Document.iwa" in names:
        raise unsupported("a file of Apple Pages, Numbers or Keynote")


def _declared(archive: zipfile.ZipFile) -> str:
    """The media type in the member ``mimetype``, if there is one."""
    member = archive.NameToInfo.get("mimetype")
    if member is None or member.file_size > _MAX_MEDIA_TYPE:
        return ""
    declared = archive.read(member).decode("ascii", "replace").strip()
    return declared if _MEDIA_TYPE.fullmatch(declared) else ""


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
